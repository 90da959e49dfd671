"""What only a cluster file for AWS can get wrong: names and values that EC2 knows, open doors.

The names come from the service description that botocore ships, so nothing is asked over a network.
"""

import ipaddress
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from vidclass.cluster.findings import Finding, Place, near, node_types, texts
from vidclass.errors import UserError

__all__ = ["check_aws"]

SET_BY_RAY = ("MinCount", "MaxCount")
RAYS_OWN = ("SubnetIds",)
RESOURCES = {"CPU", "GPU", "memory", "object_store_memory"}
FORMS = {
    "ImageId": (re.compile(r"ami-([0-9a-f]{8}|[0-9a-f]{17})"), "ami- and 8 or 17 hex digits"),
    "Arn": (
        re.compile(r"arn:aws[\w-]*:iam::\d{12}:instance-profile/[\w+=,.@/-]+"),
        "arn:aws:iam::ACCOUNT:instance-profile/NAME",
    ),
}
"""Values whose form EC2 checks, by their key in node_config."""


def check_aws(config: dict[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong in a file for AWS; nothing for other providers.

    Raises:
        UserError: when botocore is absent.
    """
    if (config.get("provider") or {}).get("type") != "aws":
        return
    for check in (_node_configs, _values, _resources, _places, _doors, _hardening):
        yield from check(config)


@lru_cache(maxsize=1)
def _ec2() -> tuple[Any, Any]:
    """Return botocore's session and EC2's service description, both shipped with the package."""
    try:
        import botocore.session
    except ImportError:
        raise UserError(
            "node types of AWS are checked with botocore's own request shapes",
            "botocore is not installed",
            "pip install 'vidclass[cluster]'",
        ) from None
    session = botocore.session.Session()
    return session, session.get_service_model("ec2")


def _report(operation: str, given: dict[str, Any]) -> list[str]:
    """Return what botocore finds wrong in a request, a line each."""
    from botocore.validate import ParamValidator

    shape = _ec2()[1].operation_model(operation).input_shape
    return str(ParamValidator().validate(given, shape).generate_report()).splitlines()


def _node_configs(config: dict[str, Any]) -> Iterator[Finding]:
    """Hold every node_config against the shape of EC2's RunInstances request."""
    _ec2()
    for name, node in node_types(config):
        given = {k: v for k, v in (node.get("node_config") or {}).items() if k not in RAYS_OWN}
        place = ("available_node_types", name, "node_config")
        for message in _report("RunInstances", {**dict.fromkeys(SET_BY_RAY, 1), **given}):
            yield place, "EC2 knows every key of node_config", message, "RunInstances' own names"


def _values(config: dict[str, Any]) -> Iterator[Finding]:
    """Hold values that EC2 lists (instance types, markets, kinds of disk) against its lists."""
    shape = _ec2()[1].operation_model("RunInstances").input_shape
    for name, node in node_types(config):
        place = ("available_node_types", name, "node_config")
        yield from _listed(node.get("node_config") or {}, shape, place)
        for at, text in texts(node.get("node_config") or {}, place):
            form = FORMS.get(str(at[-1]))
            if form is not None and "REPLACE" not in text and not form[0].fullmatch(text):
                yield at, f"{at[-1]} has the form that EC2 gives it", text, form[1]


def _listed(value: Any, shape: Any, place: Place) -> Iterator[Finding]:
    if isinstance(value, dict) and shape.type_name == "structure":
        for key, part in value.items():
            if key in shape.members:
                yield from _listed(part, shape.members[key], (*place, key))
    elif isinstance(value, list) and shape.type_name == "list":
        for number, part in enumerate(value):
            yield from _listed(part, shape.member, (*place, number))
    elif isinstance(value, str) and getattr(shape, "enum", None) and value not in shape.enum:
        yield place, f"EC2 knows this {shape.name}", value, near(value, shape.enum)


def _resources(config: dict[str, Any]) -> Iterator[Finding]:
    for name, node in node_types(config):
        for key in node.get("resources") or {}:
            if key not in RESOURCES and near(key.upper(), RESOURCES) != "remove it":
                place = ("available_node_types", name, "resources", key)
                yield place, "Ray counts this resource", key, near(key.upper(), RESOURCES)


def _places(config: dict[str, Any]) -> Iterator[Finding]:
    """Region, zones and addresses that lie in a region agree."""
    provider = config["provider"]
    region, regions = str(provider.get("region")), _ec2()[0].get_available_regions("ec2")
    if region not in regions:
        yield ("provider", "region"), "AWS has this region", region, near(region, regions)
        return
    for zone in str(provider.get("availability_zone") or f"{region}a").split(","):
        if not re.fullmatch(rf"{region}[a-z]", zone.strip()):
            at: Place = ("provider", "availability_zone")
            yield at, f"zones lie in the region {region}", zone, f"{region}a"
    for place, text in texts(config):
        for found in re.findall(r"\.efs\.([\w-]+)\.amazonaws\.com", text):
            if found != region:
                yield place, f"the file system lies in the region {region}", found, region


def _doors(config: dict[str, Any]) -> Iterator[Finding]:
    place: Place = ("provider", "security_group")
    group = config["provider"].get("security_group") or {}
    if not group:
        yield (
            ("provider",),
            "port 22 is open to your own addresses alone",
            "no security_group: Ray's own opens it to everybody",
            "security_group with IpPermissions, as in cluster.yaml",
        )
        return
    given = {"IpPermissions": group.get("IpPermissions") or []}
    for message in _report("AuthorizeSecurityGroupIngress", given):
        yield place, "EC2 knows every key of IpPermissions", message, "as in cluster.yaml"
    for at, text in texts(group, place):
        if at[-1] in ("CidrIp", "CidrIpv6"):
            yield from _addresses(at, text)


def _addresses(place: Place, text: str) -> Iterator[Finding]:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        yield place, "addresses are a network", text, "your own, as 198.51.100.0/24"
        return
    if network.prefixlen == 0:
        yield place, "no port is open to everybody", text, "your own, as 198.51.100.0/24"


def _hardening(config: dict[str, Any]) -> Iterator[Finding]:
    """Hold every machine to IMDSv2 and an encrypted disk, and the head to no spot market."""
    for name, node in node_types(config):
        place = ("available_node_types", name, "node_config")
        given = node.get("node_config") or {}
        if (given.get("MetadataOptions") or {}).get("HttpTokens") != "required":
            yield (
                place,
                "a node's credentials are had with a session token alone (IMDSv2)",
                given.get("MetadataOptions"),
                "MetadataOptions: {HttpTokens: required, HttpPutResponseHopLimit: 2}",
            )
        disks = [disk.get("Ebs") or {} for disk in given.get("BlockDeviceMappings") or ()]
        if not disks or not all(disk.get("Encrypted") is True for disk in disks):
            yield place, "disks are encrypted", given.get("BlockDeviceMappings"), "Encrypted: true"
        if name == config.get("head_node_type") and "InstanceMarketOptions" in given:
            yield place, "the head is on demand", "InstanceMarketOptions", "remove it"
