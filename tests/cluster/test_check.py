"""Mistakes of cluster files, each found offline with its line and what to write instead."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from vidclass.cluster.check import check_cluster_file, read_cluster_file
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
    return yaml.safe_load(text)


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
