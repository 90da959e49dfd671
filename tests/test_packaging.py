"""What is shipped: the wheel's content, the dependencies, the constraints, the targets of make."""

import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import vidclass

FIXED_CORE = {"ray", "torch", "torchvision", "decord", "optuna", "pandas", "pyarrow", "mlflow"}

IMPORT_NAMES = {"PyYAML": "yaml", "pillow": "PIL", "scikit-learn": "sklearn"}


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def requirements(project: dict[str, Any]) -> list[Requirement]:
    return [Requirement(line) for line in project["dependencies"]]


@pytest.fixture(scope="module")
def pins(repository: Path) -> dict[str, Version]:
    lines = (repository / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pairs}


@pytest.fixture(scope="module")
def wheel_names(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names in a wheel built from this working tree, without an environment of its own."""
    out = tmp_path_factory.mktemp("dist")
    (built,) = WheelBuilder(str(repository)).build(directory=str(out), versions=["standard"])
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_the_fixed_core_and_nothing_unexplained(
    requirements: list[Requirement], repository: Path
) -> None:
    names = {requirement.name for requirement in requirements}
    assert names >= FIXED_CORE
    text = (repository / "pyproject.toml").read_text()
    for name in names - FIXED_CORE - {"decord2"}:
        line = next(line for line in text.splitlines() if line.strip().startswith(f'"{name}>='))
        named = re.findall(r"[\w/]+\.py", line.partition("#")[2])
        assert named, f"{name}: no comment names the file that needs it"
        module = IMPORT_NAMES.get(name, name)
        for file in named[:1]:
            source = (repository / "vidclass" / file).read_text()
            assert re.search(rf"^ *(import|from) {module}\b", source, re.M), f"{file}: no {name}"


def test_ray_brings_the_parts_in_use(requirements: list[Requirement]) -> None:
    ray = next(requirement for requirement in requirements if requirement.name == "ray")
    assert ray.extras == {"default", "data", "train", "tune"}


@pytest.mark.parametrize(
    ("platform", "machine", "expected"),
    [
        ("linux", "x86_64", {"decord"}),
        ("linux", "aarch64", {"decord2"}),
        ("darwin", "arm64", {"decord2"}),
    ],
)
def test_one_decord_for_every_machine(
    requirements: list[Requirement], platform: str, machine: str, expected: set[str]
) -> None:
    environment = {"sys_platform": platform, "platform_machine": machine}
    chosen = {
        requirement.name
        for requirement in requirements
        if requirement.name.startswith("decord")
        and (requirement.marker is None or requirement.marker.evaluate(environment))
    }
    assert chosen == expected


def test_constraints_pin_all_of_it_with_names_and_versions_only(
    project: dict[str, Any], pins: dict[str, Version]
) -> None:
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, wanted):
        if requirement.name == "decord2":
            continue  # for machines that were not tested
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pin), requirement
    assert {name: pin for name, pin in pins.items() if pin.local} == {}


def test_versions_agree(repository: Path) -> None:
    assert str(Version(vidclass.__version__)) == vidclass.__version__
    assert "## [" in (repository / "CHANGELOG.md").read_text()


def test_the_wheel_has_every_module_and_all_package_data(
    wheel_names: set[str], repository: Path
) -> None:
    package = repository / "vidclass"
    suffixes = {".py", ".typed", ".json", ".j2", ".css", ".js", ".html"}
    expected = {
        path.relative_to(repository).as_posix()
        for path in package.rglob("*")
        if path.suffix in suffixes and "__pycache__" not in path.parts
    }
    assert expected - wheel_names == set()
    studies = {f"vidclass/sweeps/{path.name}" for path in (repository / "sweeps").glob("*.yaml")}
    assert studies and studies <= wheel_names


def test_the_wheel_has_nothing_else(wheel_names: set[str]) -> None:
    outside = {
        name
        for name in wheel_names
        if not name.startswith(("vidclass/", f"vidclass-{vidclass.__version__}.dist-info/"))
    }
    assert outside == set()
    assert not [name for name in wheel_names if name.endswith((".pyc", ".db", ".mp4"))]
    assert f"vidclass-{vidclass.__version__}.dist-info/licenses/LICENSE" in wheel_names


@pytest.mark.parametrize("target", ["study", "smoke", "test", "test-slow", "test-fault", "check"])
def test_make_knows_its_targets_and_tells_of_them(repository: Path, target: str) -> None:
    plan = subprocess.run(
        ["make", "-n", target], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ".venv/bin/python -m" in plan.stdout
    told = subprocess.run(["make", "help"], cwd=repository, capture_output=True, text=True)
    assert f"make {target} " in told.stdout


def test_make_leaves_pips_index_settings_alone(repository: Path) -> None:
    plan = subprocess.run(
        ["make", "-nB", "test"], cwd=repository, capture_output=True, text=True, check=True
    )
    installs = [
        line for line in plan.stdout.splitlines() if " install " in line and "-m pip" in line
    ]
    assert len(installs) == 2
    for line in installs:
        assert "-c constraints.txt" in line
        assert not re.search(r"--isolated|index-url|find-links", line)


def test_make_names_the_python_that_is_too_old(repository: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = subprocess.run(
        ["make", "python-version", f"PYTHON={old}"], cwd=repository, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr and "Python 3.9.1" in done.stderr
