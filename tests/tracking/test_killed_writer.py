import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tracking.make_ledger import make_study
from tests.tracking.readback import everything
from vidclass.tracking.writer import LedgerWriter

pytestmark = pytest.mark.fault

DRIVER = """
import sys, time
from pathlib import Path
from vidclass.tracking.writer import LedgerWriter
home = Path(sys.argv[1])
LedgerWriter(home / "studies" / "small", home, "small").start()
time.sleep(600)
"""


def num_runs(home: Path) -> int:
    experiment = home / "mlartifacts" / "vidclass" / "small"
    return len(list(experiment.glob("*"))) if experiment.exists() else 0


@pytest.mark.parametrize("after", [1, 5, 10])
def test_a_writer_killed_between_its_runs_leaves_none_twice(stored_home: Path, after: int) -> None:
    study = make_study(stored_home)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(stored_home)])
    while num_runs(stored_home) < after:  # runs whose files have been uploaded
        assert driver.poll() is None
        time.sleep(0.01)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not (study / "tracking.json").exists(), "killed before anything was noted"
    writer = LedgerWriter(study, stored_home, "small")
    writer.start()
    assert writer.finish(120) == ""
    shown = everything(stored_home)  # fails when a trial has two runs
    assert len(shown) == 15
    assert [step for step, _, _ in shown["t0002"]["metrics"]["valid_accuracy"]] == [1, 2, 3]
