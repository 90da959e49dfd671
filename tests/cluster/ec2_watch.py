"""Runs on the laptop: prints the fake EC2's instances, a line of JSON at each change."""

import json
import time

import boto3

client = boto3.client("ec2", region_name="us-west-2")
told = ""
while True:
    found = {
        instance["InstanceId"]: {
            "state": instance["State"]["Name"],
            "address": instance["PrivateIpAddress"] or "",
            "spot": instance.get("InstanceLifecycle") == "spot",
            "zone": instance["Placement"]["AvailabilityZone"],
            "type": {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])},
        }
        for reservation in client.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    }
    if (line := json.dumps(found, sort_keys=True)) != told:
        told = line
        print(line, flush=True)
    time.sleep(0.3)
