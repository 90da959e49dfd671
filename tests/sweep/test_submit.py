"""The wheel that a submitted study takes along: built, installed by pip and imported for real."""

import subprocess
import sys
from pathlib import Path

import pytest

from vidclass.errors import UserError
from vidclass.sweep.nodes import code_hash
from vidclass.sweep.submit import CARRIED, Submission, build_wheel, carried_plugins, exit_code


@pytest.fixture
def submission(tmp_path: Path, repository: Path) -> Submission:
    """A study with a plug-in file and a plug-in package."""
    return Submission(
        "tiny",
        repository / "docs" / "tiny.yaml",
        plugins=(str(repository / "docs" / "tiny_model.py"), "hatchling"),
    )


def test_the_same_content_makes_the_same_file(submission: Submission, tmp_path: Path) -> None:
    first = build_wheel(submission, tmp_path / "a")
    second = build_wheel(submission, tmp_path / "b")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    other = build_wheel(Submission("tiny", submission.file), tmp_path / "c")
    assert other.name != first.name


def test_pip_installs_it_alone_and_it_stands_before_what_is_there(
    submission: Submission, tmp_path: Path
) -> None:
    wheel = build_wheel(submission, tmp_path / "wheels")
    target = tmp_path / "target"
    command = [sys.executable, "-m", "pip", "install", "--no-index", "-q", str(wheel)]
    done = subprocess.run(
        [*command, "--target", str(target)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in target.iterdir()} >= {"vidclass", CARRIED, "hatchling"}
    assert not (target / "torch").exists(), "requirements are the nodes' own"
    code = (
        "import vidclass_job, hatchling, vidclass.sweep.nodes as n; "
        "print(vidclass_job.__file__, n.__file__, n.code_hash(), sep='\\n')"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    carried, package, hashed = told.stdout.splitlines()
    assert carried.startswith(str(target)) and package.startswith(str(target))
    assert hashed == code_hash()
    assert (target / CARRIED / "tiny.yaml").read_bytes() == submission.file.read_bytes()


def test_plugins_are_named_as_the_nodes_find_them(submission: Submission) -> None:
    assert carried_plugins(submission) == [f"{CARRIED}.tiny_model", "hatchling"]


@pytest.mark.parametrize("plugin", ["/no/such/file.py", "no_such_module_here", "math"])
def test_what_cannot_travel_is_told(plugin: str, tmp_path: Path, repository: Path) -> None:
    study = Submission("tiny", repository / "docs" / "tiny.yaml", plugins=(plugin,))
    with pytest.raises(UserError, match="a plug-in that travels"):
        build_wheel(study, tmp_path)


@pytest.mark.parametrize(
    ("status", "driver", "code"),
    [
        ("SUCCEEDED", 0, 0),
        ("SUCCEEDED", None, 0),
        ("FAILED", 2, 2),
        ("FAILED", 3, 3),
        ("FAILED", None, 1),
        ("FAILED", 0, 1),
        ("STOPPED", None, 130),
        ("RUNNING", None, 4),
        ("PENDING", None, 4),
    ],
)
def test_exit_codes(status: str, driver: int | None, code: int) -> None:
    assert exit_code(status, driver) == code
