"""Mistakes of cluster files, each found offline with its line and what to write instead."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vidclass.cluster.check import check_cluster_file, check_mounts, read_cluster_file
from vidclass.errors import UserError

Change = Callable[[dict[str, Any]], object]
FILLED = {
    "ami-REPLACE": "ami-0123456789abcdef0",
    "fs-REPLACE": "fs-0123456789abcdef0",
    "123456789012:instance-profile/REPLACE": "210987654321:instance-profile/vidclass",
    "203.0.113.0/24": "198.51.100.0/24",
}


@pytest.fixture(scope="module")
def filled(repository: Path) -> dict[str, Any]:
    text = (repository / "cluster.yaml").read_text()
    for placeholder, value in FILLED.items():
        text = text.replace(placeholder, value)
    return json.loads(json.dumps(yaml.safe_load(text)))  # each alias (*image) a value of its own


def findings(config: dict[str, Any], folder: Path) -> list[UserError]:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return check_cluster_file(path)


def node(config: dict[str, Any], name: str = "gpu_spot") -> dict[str, Any]:
    return config["available_node_types"][name]["node_config"]


def test_the_template_once_filled_in_has_nothing(filled: dict[str, Any], tmp_path: Path) -> None:
    assert findings(filled, tmp_path) == []


def test_the_template_as_it_is_names_each_placeholder_with_its_line(repository: Path) -> None:
    path = repository / "cluster.yaml"
    lines = path.read_text().splitlines()
    found = check_cluster_file(path)
    told = " ".join(error.received for error in found)
    for placeholder in ("ami-REPLACE", "fs-REPLACE", "203.0.113.0/24", "123456789012"):
        assert placeholder in told
    for error in found:
        number = int(error.received.split("line ")[1].split(",")[0])
        value = error.received.rsplit(": ", 1)[-1].split("/")[0]
        assert value in lines[number - 1], error.received


def disk(config: dict[str, Any]) -> dict[str, Any]:
    return node(config)["BlockDeviceMappings"][0]["Ebs"]


def door(config: dict[str, Any]) -> dict[str, Any]:
    return config["provider"]["security_group"]["IpPermissions"][0]["IpRanges"][0]


MISTAKES: list[tuple[str, Change, str, str]] = [
    (
        "a key of the file",
        lambda c: c.update(idle_timeout_minute=5),
        "Ray accepts",
        "idle_timeout_minute",
    ),
    (
        "a head that is not there",
        lambda c: c.update(head_node_type="haed"),
        "Ray accepts",
        "head_node_type",
    ),
    (
        "a key of provider",
        lambda c: c["provider"].update(regoin="eu-west-1"),
        "every key of provider",
        "regoin",
    ),
    (
        "a key of node_config",
        lambda c: node(c).update(InstanceMarketOption={}),
        "node_config",
        "InstanceMarketOption",
    ),
    (
        "a key inside node_config",
        lambda c: node(c)["InstanceMarketOptions"].update(MarketTyp="spot"),
        "node_config",
        "MarketTyp",
    ),
    (
        "a type inside node_config",
        lambda c: node(c)["BlockDeviceMappings"][0]["Ebs"].update(VolumeSize="200"),
        "node_config",
        "VolumeSize",
    ),
    (
        "a value of EC2",
        lambda c: node(c).update(InstanceType="g5.2xlrage"),
        "EC2 knows",
        "g5.2xlrage",
    ),
    ("a kind of disk", lambda c: disk(c).update(VolumeType="gp33"), "EC2 knows", "gp33"),
    ("an image", lambda c: node(c).update(ImageId="ami-12345"), "the form that EC2", "ami-12345"),
    (
        "a profile",
        lambda c: node(c).update(IamInstanceProfile={"Arn": "arn:aws:iam:vidclass"}),
        "the form that EC2",
        "arn:aws:iam:vidclass",
    ),
    (
        "a region",
        lambda c: c["provider"].update(region="us-wset-2"),
        "has this region",
        "us-wset-2",
    ),
    (
        "a zone of another region",
        lambda c: c["provider"].update(availability_zone="us-west-2a,eu-west-1b"),
        "zones lie in the region",
        "eu-west-1b",
    ),
    (
        "a file system of another region",
        lambda c: c["initialization_commands"].append(
            "mount fs-1.efs.eu-west-1.amazonaws.com:/ /x"
        ),
        "the file system lies in the region",
        "eu-west-1",
    ),
    (
        "a resource",
        lambda c: c["available_node_types"]["gpu_spot"].update(resources={"CPU": 8, "GPUs": 1}),
        "Ray counts this resource",
        "GPUs",
    ),
    (
        "a key of the security group",
        lambda c: c["provider"]["security_group"].update(GroupNam="x"),
        "Ray accepts the file",
        "GroupNam",
    ),
    (
        "a key of a port's rule",
        lambda c: c["provider"]["security_group"]["IpPermissions"][0].update(FromPorts=22),
        "every key of IpPermissions",
        "FromPorts",
    ),
    (
        "an address",
        lambda c: door(c).update(CidrIp="198.51.100.0/240"),
        "addresses are a network",
        "198.51.100.0/240",
    ),
    ("credentials without a token", lambda c: node(c).pop("MetadataOptions"), "IMDSv2", "None"),
    ("an open disk", lambda c: disk(c).update(Encrypted=False), "encrypted", "False"),
    (
        "a head on the spot market",
        lambda c: node(c, "head").update(InstanceMarketOptions={"MarketType": "spot"}),
        "the head is on demand",
        "InstanceMarketOptions",
    ),
    (
        "a command of ray",
        lambda c: c["worker_start_ray_commands"].insert(0, "ray sotp"),
        "ray has this command",
        "ray sotp",
    ),
    (
        "an option of ray",
        lambda c: c["worker_start_ray_commands"].append("ray start --adress=$RAY_HEAD_IP:6379"),
        "ray start has this option",
        "--adress",
    ),
    (
        "a module of vidclass",
        lambda c: c["head_start_ray_commands"].insert(0, "python -m vidclass.cluster.mlfow_server"),
        "vidclass has this module",
        "mlfow_server",
    ),
    (
        "a dashboard for everybody",
        lambda c: c["head_start_ray_commands"].append("ray start --head --dashboard-host=0.0.0.0"),
        "the dashboard listens on the head alone",
        "0.0.0.0",
    ),
    (
        "no token",
        lambda c: c["file_mounts"].pop("~/.ray/auth_token"),
        "has the token",
        "auth_token",
    ),
    (
        "a token that nobody asks for",
        lambda c: c.update(setup_commands=c["setup_commands"][2:]),
        "asks for the token",
        "RAY_AUTH_MODE",
    ),
    (
        "a port for everybody",
        lambda c: c["provider"]["security_group"]["IpPermissions"][0].update(
            IpRanges=[{"CidrIp": "0.0.0.0/0"}]
        ),
        "no port is open to everybody",
        "0.0.0.0/0",
    ),
    (
        "no security group",
        lambda c: c["provider"].pop("security_group"),
        "port 22",
        "no security_group",
    ),
    (
        "half a command",
        lambda c: c["setup_commands"].append("echo 'half"),
        "a command is whole",
        "echo 'half",
    ),
    (
        "a search path",
        lambda c: c["setup_commands"].append("echo export PYTHONPATH=x >> ~/.bashrc"),
        "as a wheel",
        "PYTHONPATH",
    ),
    (
        "a head with processors",
        lambda c: c.update(head_start_ray_commands=["ray start --head"]),
        "--num-cpus=0",
        "ray start --head",
    ),
]


@pytest.mark.parametrize(
    ("what", "change", "rule", "received"), MISTAKES, ids=[m[0] for m in MISTAKES]
)
def test_a_mistake_is_found_alone(
    what: str, change: Change, rule: str, received: str, filled: dict[str, Any], tmp_path: Path
) -> None:
    config = copy.deepcopy(filled)
    change(config)
    found = findings(config, tmp_path)
    assert len(found) == 1, (what, found)
    assert rule in found[0].rule and received in found[0].received and found[0].remedy


FREE = {
    "available_node_types.gpu_spot": "the user's own name of a node type",
    "available_node_types.gpu_ondemand": "the same",
    "available_node_types.decode_spot": "the same",
    "file_mounts.~/wheels": "a place on the nodes",
}
"""Keys that may be called anything."""


def keys_of(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the place of every key of a mapping, at any depth."""
    if isinstance(value, list):
        return [key for n, part in enumerate(value) for key in keys_of(part, (*place, n))]
    if not isinstance(value, dict):
        return []
    own = [(*place, key) for key in value]
    return own + [key for name, part in value.items() for key in keys_of(part, (*place, name))]


def test_every_key_of_the_template_misspelt_is_found(
    filled: dict[str, Any], tmp_path: Path
) -> None:
    unseen, tried = [], 0
    for place in keys_of(filled):
        dotted = ".".join(map(str, place))
        if dotted in FREE:
            continue
        config = copy.deepcopy(filled)
        owner = config
        for part in place[:-1]:
            owner = owner[part]
        name = str(place[-1])
        owner[name[: len(name) // 2] + "x" + name[len(name) // 2 :]] = owner.pop(place[-1])
        tried += 1
        if not findings(config, tmp_path):
            unseen.append(dotted)
    assert tried > 80
    assert unseen == []


def test_a_value_behind_an_alias_is_told_once(repository: Path) -> None:
    told = [error.received for error in check_cluster_file(repository / "cluster.yaml")]
    assert len([line for line in told if "ami-REPLACE" in line]) == 1
    assert len([line for line in told if "REPLACE-worker" in line]) == 2  # name and account


def test_all_mistakes_of_the_schema_are_told_at_once(
    filled: dict[str, Any], tmp_path: Path
) -> None:
    config = {**copy.deepcopy(filled), "max_worker": 1, "idle_timeout_minute": 5}
    received = " ".join(error.received for error in findings(config, tmp_path))
    assert "max_worker is no key" in received and "idle_timeout_minute is no key" in received


def test_files_that_would_be_copied_and_are_absent_are_told(
    filled: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    told = {error.received: error.remedy for error in check_mounts(filled)}
    assert told == {"~/.ray/auth_token": "ray get-auth-token --generate", "./dist": "make wheel"}
    (tmp_path / "dist").mkdir()
    assert [error.received for error in check_mounts(filled)] == ["~/.ray/auth_token"]


def test_all_own_machines_are_started(repository: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((repository / "cluster" / "onprem.yaml").read_text())
    config["provider"] |= {"head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2", "10.0.0.3"]}
    config["auth"]["ssh_user"] = "lab"
    found = findings(config, tmp_path)
    assert {error.rule.split()[0] for error in found} == {"min_workers", "max_workers"}
    assert {error.remedy for error in found} == {"2"}
    config |= {"min_workers": 2, "max_workers": 2}
    assert findings(config, tmp_path) == []


def test_a_near_name_is_offered(filled: dict[str, Any], tmp_path: Path) -> None:
    config = copy.deepcopy(filled)
    config["provider"]["regoin"] = "eu-west-1"
    (error,) = findings(config, tmp_path)
    assert "region" in error.remedy


def test_a_laboratorys_own_machines_need_no_ec2(tmp_path: Path) -> None:
    config = {
        "cluster_name": "lab",
        "provider": {"type": "local", "head_ip": "10.0.0.1", "worker_ips": ["10.0.0.2"]},
        "auth": {"ssh_user": "lab"},
    }
    assert findings(config, tmp_path) == []


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "", "\x00"])
def test_no_mapping_is_told(content: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        read_cluster_file(path)
    assert "bad.yaml" in caught.value.received


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="can be read"):
        check_cluster_file(tmp_path / "absent.yaml")
