"""What `vidclass cluster` decides before and after it calls Ray."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vidclass.cluster.launch import _always, _check_wheel, _environment, bring_up, status_lines
from vidclass.errors import UserError, UserErrors

LOCAL = {"provider": {"type": "local"}, "min_workers": 2}


def test_the_status_is_a_line_a_node_head_first_then_services_and_studies() -> None:
    node = {"name": "w1", "address": "10.0.0.2", "head": False, "cpus": 8.0, "gpus": 1.0}
    head = {"name": "head", "address": "10.0.0.9", "head": True, "cpus": 0, "gpus": 0}
    told = status_lines(
        {
            "nodes": [node, head],
            "services": {"MLflow": True, "dashboard": False},
            "studies": ["fusion_study"],
        }
    )
    assert [line.split() for line in told[:2]] == [
        ["head", "head", "10.0.0.9", "0", "CPUs,", "0", "GPUs", "for", "trials"],
        ["worker", "w1", "10.0.0.2", "8", "CPUs,", "1", "GPUs", "for", "trials"],
    ]
    assert told[2:] == ["MLflow answers, dashboard is away", "running: fusion_study"]


@pytest.mark.parametrize(
    ("config", "workers"),
    [
        (LOCAL, 2),
        ({"available_node_types": {"a": {"min_workers": 1}, "b": {"min_workers": 2}}}, 3),
        ({"available_node_types": {"a": {}}}, 0),
    ],
)
def test_the_workers_that_are_always_wanted(config: dict[str, Any], workers: int) -> None:
    assert _always(config) == workers


def test_the_older_autoscaler_is_asked_for_with_own_machines_alone() -> None:
    assert _environment(LOCAL)["RAY_UP_enable_autoscaler_v2"] == "0"
    assert "RAY_UP_enable_autoscaler_v2" not in _environment({"provider": {"type": "aws"}})


def test_a_folder_with_another_wheel_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    folder.mkdir()
    config = {"file_mounts": {"~/wheels": str(folder)}}
    for name in ("vidclass-0.0.1-py3-none-any.whl", None):
        with pytest.raises(UserError, match="make wheel"):
            _check_wheel(config)
        if name:
            (folder / name).touch()


def test_nothing_is_started_with_a_file_that_has_mistakes(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    (tmp_path / ".ray" / "auth_token").chmod(0o644)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.yaml"
    config = yaml.safe_load((repository / "cluster" / "onprem.yaml").read_text())
    config["setup_commands"] = [line for line in config["setup_commands"] if "env" not in line]
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # bash, and no ray
    with pytest.raises(UserErrors) as caught:
        bring_up(path, print, wait_s=1)
    assert "REPLACE-user" in str(caught.value)
    assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
