"""The disk fills up in mid-study: told in three parts, and with room again nothing is missing."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fault.conftest import EPOCHS, SMOKE, Home

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]

NUM_TRAININGS = 11


def mount(folder: Path, options: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def small_disk(new_home: Callable[..., Home], made_data: Path) -> Iterator[Home]:
    """A home on a disk of its own that the videos, the store and little more fit on."""
    home = new_home()
    if os.geteuid() != 0 or not mount(home.path, "size=64m"):
        pytest.skip("needs root, to mount a small disk")
    shutil.copytree(made_data / "datasets", home.path / "datasets")
    yield home
    subprocess.run(["umount", "--lazy", str(home.path)], check=True)


def test_a_disk_that_fills_up_in_the_search_ends_the_study_and_loses_nothing(
    small_disk: Home,
) -> None:
    home, ballast = small_disk, small_disk.path / "ballast"
    driver = home.start(*SMOKE)
    home.wait("the search runs", lambda: any(t.epochs for t in home.state().running), driver)
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"0" * 2**16):  # whatever else lies on this disk grows
            pass
    assert driver.wait(timeout=600) == 2, home.said()
    said = home.said()
    assert "error: the disk has room for the study's files" in said
    assert "instead:  free some space" in said
    assert "Traceback" not in said

    ballast.unlink()
    done = home.run(*SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    trained = [t for t in home.state().trials.values() if t.kind != "floors"]
    assert len(trained) == NUM_TRAININGS
    assert {trial.status for trial in trained} == {"completed"}
    assert all(sorted(trial.epochs) == list(range(1, EPOCHS + 1)) for trial in trained)
    statuses = {a.status for trial in trained for a in trial.attempts}
    assert "failed" not in statuses, "a full disk is no failure of a trial"
