"""One real smoke study for all tests that look at what a study leaves behind."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class SmokeRun:
    """A finished `python -m vidclass.sweep smoke`: where, with what environment, what it said."""

    home: Path
    folder: Path
    environment: dict[str, str]
    output: str

    def again(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m vidclass.sweep ARGUMENTS` in the same home."""
        return subprocess.run(
            [sys.executable, "-m", "vidclass.sweep", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmokeRun]:
    """Run the smoke study once, through the command line."""
    folder = tmp_path_factory.mktemp("smoke")
    ray_folder = tempfile.mkdtemp(prefix="vc-", dir="/tmp")  # a socket's path is short
    environment = {
        **os.environ,
        "VIDCLASS_HOME": str(folder / "home"),
        "VIDCLASS_RAY_TEMP": ray_folder,
    }
    run = SmokeRun(folder / "home", folder, environment, "")
    done = run.again("smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    yield SmokeRun(run.home, folder, environment, done.stdout)
    shutil.rmtree(ray_folder, ignore_errors=True)
