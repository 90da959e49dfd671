"""A fake EC2: moto answers the requests, and a host stands for every instance that runs.

Everything is inside the hosts' network. An instance that is terminated loses its host at once, as a
reclaimed spot machine does. The same server is the fake S3.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.hosts import NETWORK, Hosts
from tests.cluster.lab import checkout, fill_in, install, ledger, short_folder
from tests.cluster.page import Page

__all__ = [
    "OVERLAY",
    "PROFILE",
    "RAY",
    "SECTION",
    "STORE",
    "FakeEC2",
    "fake_ec2",
    "seconds_to_first_epoch",
]

OVERLAY = Path(__file__).with_name("fake_ec2_overlay.yaml")
SECTION = "AWS"
"""Of docs/cluster.md."""
RAY = "export RAY_AUTH_MODE=token; ray"
REGION, ACCOUNT, PORT, BUCKET = "us-west-2", "210987654321", 5555, "vidclass-test"
STORE = f"s3://{BUCKET}/store?endpoint_override={NETWORK}.1:{PORT}&scheme=http&region={REGION}"
"""Where the stores of studies lie."""
FILLED = {
    "&image ami-REPLACE": "&image ami-0123456789abcdef0",
    "fs-REPLACE.efs": "fs-0123456789abcdef0.efs",
    "123456789012:instance-profile/REPLACE-": f"{ACCOUNT}:instance-profile/vidclass-",
    "{CidrIp: 203.0.113.0/24}": "{CidrIp: 10.88.0.1/32}",
}
"""What a user fills in."""
HAS_AN_ENVIRONMENT = f"export PATH={sys.prefix}/bin:$PATH\n"
"""What an image brings: Python with Ray in its PATH."""
PROFILE = f"""
export AWS_ENDPOINT_URL=http://{NETWORK}.1:{PORT} AWS_DEFAULT_REGION={REGION}
export AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none AWS_EC2_METADATA_DISABLED=true
"""
"""What a machine on EC2 gets from its instance profile."""
SET_UP = f"""
import boto3
ec2, iam = boto3.client("ec2"), boto3.client("iam")
boto3.client("s3").create_bucket(
    Bucket="{BUCKET}", CreateBucketConfiguration={{"LocationConstraint": "{REGION}"}}
)
for subnet in ec2.describe_subnets()["Subnets"]:
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
vpc = ec2.create_vpc(CidrBlock="{NETWORK}.0/24")["Vpc"]["VpcId"]
for zone, first in zip("abc", (64, 128, 192)):
    ec2.create_subnet(
        VpcId=vpc, CidrBlock=f"{NETWORK}.{{first}}/26", AvailabilityZone=f"{REGION}{{zone}}"
    )
for name in ("vidclass-head", "vidclass-worker"):
    iam.create_instance_profile(InstanceProfileName=name)
"""


class FakeEC2:
    """moto's server on the laptop, and a thread that keeps hosts as its instances are."""

    def __init__(self, hosts: Hosts) -> None:
        self.hosts = hosts
        self.instances: dict[str, dict[str, Any]] = {}
        self.error: Exception | None = None
        self._here: dict[str, str] = {}
        self.seen_at: dict[str, float] = {}
        server = f"moto_server -H {NETWORK}.1 -p {PORT}"
        settings = f"MOTO_ACCOUNT_ID={ACCOUNT} MOTO_IAM_LOAD_MANAGED_POLICIES=true"
        self._server = hosts.start(
            "laptop", f"exec env {settings} {server}", hosts.state / "moto.log"
        )
        self.on_laptop(f"until curl -s -o /dev/null http://{NETWORK}.1:{PORT}; do sleep 0.2; done")
        self.on_laptop(f"python - <<'CODE'\n{SET_UP}\nCODE")
        self._watcher = subprocess.Popen(
            hosts.words("laptop", f"{PROFILE} exec python /srv/project/ec2_watch.py"),
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._follow, daemon=True).start()

    def on_laptop(self, command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a line of shell on the laptop, with the fake EC2 as its AWS."""
        return self.hosts.run("laptop", f"{PROFILE} cd /srv/project; {command}", **options)

    def running(self, node_type: str = "") -> dict[str, dict[str, Any]]:
        """Return the running instances of a node type of the cluster file, or all."""
        return {
            name: instance
            for name, instance in self.instances.items()
            if instance["state"] == "running"
            and node_type in instance["type"].get("ray-user-node-type", "")
        }

    def wait(self, condition: Callable[[], object], what: str, patience_s: float) -> float:
        """Wait for ``condition`` and return how many seconds it took."""
        started = time.monotonic()
        while not condition():
            assert self.error is None, self.error
            assert time.monotonic() - started < patience_s, (what, self.instances)
            time.sleep(0.3)
        return time.monotonic() - started

    def stored(self) -> list[str]:
        """Return the names of the objects in the studies' bucket."""
        code = (
            "import boto3; listed = boto3.client('s3').list_objects_v2"
            f"(Bucket='{BUCKET}'); [print(one['Key']) for one in listed.get('Contents', ())]"
        )
        return self.on_laptop(f'python -c "{code}"').stdout.split()

    def host_of(self, instance: str) -> str:
        """Return the host that stands for an instance."""
        return f"i{instance[-6:]}"

    def reclaim(self, instance: str) -> None:
        """Take a spot machine away, as EC2 does."""
        self.on_laptop(
            'python -c \'import boto3, sys; boto3.client("ec2")'
            f'.terminate_instances(InstanceIds=["{instance}"])\''
        )

    def close(self) -> None:
        """End the watcher and the server; the hosts end with theirs."""
        for process in (self._watcher, self._server):
            process.kill()
            process.wait()

    def _follow(self) -> None:
        assert self._watcher.stdout is not None
        for line in self._watcher.stdout:
            self.instances = json.loads(line)
            try:
                for name, instance in self.instances.items():
                    self._match(name, instance)
            except Exception as error:  # a thread's error is the test's
                self.error = error
                raise

    def _match(self, name: str, instance: dict[str, Any]) -> None:
        if instance["state"] == "running" and name not in self._here:
            host = self.host_of(name)
            self._authorise()
            self._here[name], self.seen_at[host] = host, time.time()
            self.hosts.add(host, int(instance["address"].rsplit(".", 1)[1]))
        elif instance["state"] == "terminated" and name in self._here:
            self.hosts.remove(self._here.pop(name))

    def _authorise(self) -> None:
        """Let hosts accept the key pair that Ray has had EC2 make before the head's start."""
        if self._here:
            return
        code = (
            "import boto3; [print(pair['PublicKey']) for pair in boto3.client('ec2')"
            ".describe_key_pairs(IncludePublicKey=True)['KeyPairs']]"
        )
        keys = self.on_laptop(f'python -c "{code}"').stdout
        (self.hosts.state / "key.pub").write_text(keys)


@contextmanager
def fake_ec2(repository: Path, folder: Path, page: Page) -> Iterator[FakeEC2]:
    """Yield a fake EC2 without machines, and ``overlaid.yaml`` for it on the laptop."""
    project = checkout(repository, folder)
    fill_in(project / "cluster.yaml", FILLED)
    config = yaml.safe_load((project / "cluster.yaml").read_text())
    over = yaml.safe_load(OVERLAY.read_text())
    (project / "overlaid.yaml").write_text(yaml.safe_dump(_overlaid(config, over), sort_keys=False))
    (project / "ec2_watch.py").write_text(Path(__file__).with_name("ec2_watch.py").read_text())
    hosts = Hosts(short_folder(), Path(sys.prefix), project, PROFILE + HAS_AN_ENVIRONMENT)
    try:
        install(hosts, page)
        ec2 = FakeEC2(hosts)
        yield ec2
        ec2.close()
    finally:
        hosts.close()


def seconds_to_first_epoch(ec2: FakeEC2, study: str, host: str) -> float | None:
    """Return the seconds from EC2's start of a machine to the first epoch that it reported."""
    events = ledger(ec2.hosts, study)
    there = {
        (e["trial"], e["attempt"])
        for e in events
        if e["event"] == "trial_started" and e["node"] == host
    }
    epochs = [e for e in events if e["event"] == "epoch" and (e["trial"], e["attempt"]) in there]
    return min(e["time"] for e in epochs) - ec2.seen_at[host] if epochs else None


def _overlaid(base: Any, over: Any) -> Any:
    """Return ``base`` with what ``over`` says instead; mappings are joined, unless it is empty."""
    if not (isinstance(base, dict) and isinstance(over, dict) and over):
        return over
    return {**base, **{key: _overlaid(base.get(key), part) for key, part in over.items()}}
