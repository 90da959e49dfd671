import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ALL_ADDRESSES = "0.0.0.0/0"


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "cluster.yaml").read_text()


@pytest.fixture
def config(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)


def check_with_ray(config: dict[str, Any]) -> dict[str, Any]:
    """Fill out and check as `ray up` does; neither credentials nor a network are needed."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    filled = prepare_config(copy.deepcopy(config))
    validate_config(filled)
    return filled


def test_ray_accepts_it(config: dict[str, Any]) -> None:
    filled = check_with_ray(config)
    assert filled["head_node_type"] == "head"
    assert filled["available_node_types"]["gpu_spot"]["min_workers"] == 0


def test_the_check_catches_an_unknown_key(config: dict[str, Any]) -> None:
    config["idle_timeout_minute"] = 10
    with pytest.raises(Exception, match="idle_timeout_minute"):
        check_with_ray(config)


def test_the_head_is_on_demand_and_runs_no_trials(config: dict[str, Any]) -> None:
    head = config["available_node_types"][config["head_node_type"]]
    assert head["resources"] == {"CPU": 0}
    assert "InstanceMarketOptions" not in head["node_config"]
    assert "--num-cpus=0" in config["head_start_ray_commands"][-1]


def test_workers_start_from_zero_and_leave_when_idle(config: dict[str, Any]) -> None:
    workers = {k: v for k, v in config["available_node_types"].items() if k != "head"}
    assert set(workers) == {"gpu_spot", "gpu_ondemand", "decode_spot"}
    for worker in workers.values():
        assert worker["min_workers"] == 0
    assert config["max_workers"] >= sum(worker["max_workers"] for worker in workers.values())
    assert 0 < config["idle_timeout_minutes"] <= 30
    assert len(config["provider"]["availability_zone"].split(",")) >= 3


def test_spot_machines_come_first_and_on_demand_ones_are_the_fallback(
    config: dict[str, Any],
) -> None:
    spot, fallback = (config["available_node_types"][k] for k in ("gpu_spot", "gpu_ondemand"))
    assert spot["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in fallback["node_config"]
    # only types of the same resources stand in for each other
    assert spot["resources"] == fallback["resources"] and spot["resources"]["GPU"] == 1
    assert spot["priority"] > fallback["priority"]
    decode = config["available_node_types"]["decode_spot"]
    assert "GPU" not in decode["resources"] and "InstanceMarketOptions" in decode["node_config"]


def test_every_machine_is_hardened(config: dict[str, Any]) -> None:
    for node in config["available_node_types"].values():
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
        disks = node["node_config"]["BlockDeviceMappings"]
        assert [disk["Ebs"]["Encrypted"] for disk in disks] == [True]


def test_every_port_is_named_and_mlflow_is_started_by_the_head_alone(
    config: dict[str, Any],
) -> None:
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        named = set(re.findall(r"--([\w-]*port)=\d+", config[key][-1]))
        assert {"node-manager-port", "object-manager-port", "metrics-export-port"} <= named
        assert {"min-worker-port", "max-worker-port", "dashboard-agent-listen-port"} <= named
    assert "python -m vidclass.cluster.mlflow_server" in config["head_start_ray_commands"]
    assert not [line for line in config["worker_start_ray_commands"] if "mlflow" in line]


def test_the_project_is_installed_as_a_wheel_with_the_tested_versions(
    config: dict[str, Any],
) -> None:
    assert config["file_mounts"]["~/wheels"] == "./dist"
    installs = [line for line in config["setup_commands"] if "pip install" in line]
    assert any("-c ~/wheels/constraints.txt ~/wheels/vidclass-*.whl" in line for line in installs)
    # an image that holds this very wheel needs no pip
    assert all(line.startswith("cmp -s ") for line in installs)


def test_no_search_path_shadows_a_submitted_job(config: dict[str, Any]) -> None:
    commands = [line for key in config if key.endswith("_commands") for line in config[key]]
    assert commands
    assert not [line for line in commands if "PYTHONPATH" in line]


def test_commands_are_whole(config: dict[str, Any]) -> None:
    """A blank and # inside a plain scalar would begin a comment and cut a command in half."""
    commands = [line for key in config if key.endswith("_commands") for line in config[key]]
    assert [line for line in commands if line.count("'") % 2 or line.count('"') % 2] == []


def test_every_node_asks_for_the_token(config: dict[str, Any]) -> None:
    assert "~/.ray/auth_token" in config["file_mounts"]
    assert any("RAY_AUTH_MODE=token" in line for line in config["setup_commands"])
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]


def test_only_ssh_is_open_and_not_to_everybody(config: dict[str, Any]) -> None:
    rules = config["provider"]["security_group"]["IpPermissions"]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in rules] == [(22, 22)]
    assert ALL_ADDRESSES not in str(rules)


def test_all_nodes_share_one_home(config: dict[str, Any]) -> None:
    export = next(line for line in config["setup_commands"] if "VIDCLASS_HOME" in line)
    folder = re.search(r"VIDCLASS_HOME=([^\s']+)", export)
    assert folder is not None
    mounted = re.search(r"-v (\S+):(\S+)", " ".join(config["docker"]["run_options"]))
    assert mounted is not None and folder[1].startswith(mounted[2] + "/")
    assert any(
        mounted[1] in line and "mount " in line for line in config["initialization_commands"]
    )


def test_the_images_carry_the_tested_ray(config: dict[str, Any], repository: Path) -> None:
    pins = dict(
        line.split("==")
        for line in (repository / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    for image in (config["docker"]["head_image"], config["docker"]["worker_image"]):
        assert image.startswith(f"rayproject/ray:{pins['ray']}-py311-")


def test_all_that_must_be_filled_in_is_named_on_top(text: str) -> None:
    head, _, body = text.partition("cluster_name:")
    assert set(re.findall(r"\b(\w+)-REPLACE", body)) == {"ami", "fs"}
    for hint in ("ami-REPLACE", "fs-REPLACE", "instance profiles", "203.0.113.0/24", "make wheel"):
        assert hint in head
    for value in ("ami-REPLACE", "fs-REPLACE", "203.0.113.0/24", "REPLACE-worker"):
        assert body.count(value) == 1, f"{value} stands in one place"
