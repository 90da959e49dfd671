"""The node image's file: a linter reads it, and its steps are those of the cluster file's setup."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def text(repository: Path) -> str:
    return (repository / "cluster" / "Dockerfile").read_text()


def test_the_linter_finds_nothing(repository: Path) -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(linter), "cluster/Dockerfile"], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_starts_from_the_image_of_the_cluster_file(text: str, repository: Path) -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE))
    base = re.search(r"^FROM (\S+)", text, re.MULTILINE)
    assert base is not None
    image = base[1].replace("${RAY_VERSION}", arguments["RAY_VERSION"])
    config = yaml.safe_load((repository / "cluster.yaml").read_text())
    assert image.replace("${DEVICE}", "cpu") == config["docker"]["head_image"]
    assert image.replace("${DEVICE}", "gpu") == config["docker"]["worker_image"]


def test_the_setup_commands_find_its_wheel_and_install_nothing(
    text: str, repository: Path, tmp_path: Path
) -> None:
    """Run the setup commands for real, with folders of the test in place of the node's."""
    assert "dist/ /opt/vidclass/" in text
    config = yaml.safe_load((repository / "cluster.yaml").read_text())
    installs = [line for line in config["setup_commands"] if "pip install" in line]
    for name in ("wheels", "opt"):
        (tmp_path / name).mkdir()
    (tmp_path / "pip").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/installed\n')
    (tmp_path / "pip").chmod(0o755)
    wheel = tmp_path / "wheels" / "vidclass-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    (tmp_path / "opt" / wheel.name).write_bytes(b"one")

    def set_up() -> bool:
        for line in installs:
            line = line.replace("~/wheels", f"{tmp_path}/wheels")
            line = line.replace("/opt/vidclass", f"{tmp_path}/opt")
            environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
            subprocess.run(["bash", "-c", line], check=True, env=environment)
        return (tmp_path / "installed").exists()

    assert not set_up()
    wheel.write_bytes(b"newer")
    assert set_up()
    assert (tmp_path / "installed").read_text().count("\n") == 2
