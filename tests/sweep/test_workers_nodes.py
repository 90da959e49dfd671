"""A trial of two workers on two nodes of one Ray cluster, and the node of either worker dies."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


@pytest.mark.parametrize("worker", [0, 1])
def test_a_trial_over_two_nodes_goes_on_when_that_of_a_worker_is_lost(
    repository: Path, tmp_path: Path, worker: int
) -> None:
    folder = tempfile.mkdtemp(prefix="vc-", dir="/tmp")  # a socket's path is short
    done = subprocess.run(
        [sys.executable, "-m", "tests.sweep.worker_nodes", str(tmp_path), folder, f"{worker}"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    attempts = [line.split()[1:] for line in done.stdout.splitlines() if "ATTEMPT" in line]
    assert [status for _, status, _ in attempts] == ["lost", "completed"]
    assert attempts[1][2].endswith(".1"), "from a checkpoint of the first attempt"
    assert "EPOCHS True" in done.stdout
    assert "FINISHED complete" in done.stdout
