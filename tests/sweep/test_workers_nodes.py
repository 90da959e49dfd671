"""Nodes of one Ray cluster die: with either worker of a trial of two, or before a trial's word."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]


def told(repository: Path, module: str, home: Path, *words: str) -> list[list[str]]:
    """Run a module of tests on a cluster of its own; return the words of each line it prints."""
    folder = tempfile.mkdtemp(prefix="vc-", dir="/tmp")  # a socket's path is short
    done = subprocess.run(
        [sys.executable, "-m", f"tests.sweep.{module}", str(home), folder, *words],
        cwd=repository,
        # in RAY_TMPDIR a cluster notes its address, and nobody else's
        env={**os.environ, "PYTHONPATH": str(repository), "RAY_TMPDIR": folder},
        capture_output=True,
        text=True,
        timeout=240,
    )
    shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("worker", "epoch"), [(0, 2), (1, 2), (1, 0)])
def test_a_trial_over_two_nodes_goes_on_when_that_of_a_worker_is_lost(
    repository: Path, tmp_path: Path, worker: int, epoch: int
) -> None:
    lines = told(repository, "worker_nodes", tmp_path, f"{worker}", f"{epoch}")
    attempts = [words[1:] for words in lines if words[:1] == ["ATTEMPT"]]
    assert [status for _, status, _ in attempts] == ["lost", "completed"]
    if epoch:
        assert attempts[1][2].endswith(".1"), "from a checkpoint of the first attempt"
    assert ["EPOCHS", "True"] in lines
    assert ["FINISHED", "complete"] in lines


@pytest.mark.parametrize(("what", "status"), [("node", "lost"), ("process", "failed")])
def test_a_trial_whose_node_goes_away_before_its_first_word_is_lost_not_failed(
    repository: Path, tmp_path: Path, what: str, status: str
) -> None:
    lines = told(repository, "silent_nodes", tmp_path, what)
    statuses = [words[2:] for words in lines if words[:1] == ["TRIAL"]]
    assert [those for those in statuses if len(those) > 1] == [[status, "completed"]]
    assert ["FINISHED", "complete"] in lines
