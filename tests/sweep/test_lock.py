"""One driver a study."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidclass.errors import UserError
from vidclass.sweep.lock import driver_lock, driver_of


def test_a_second_driver_is_told_who_the_first_is(tmp_path: Path) -> None:
    with driver_lock(tmp_path):
        driver = driver_of(tmp_path)
        assert driver is not None and driver["pid"] == os.getpid()
        code = (
            "from pathlib import Path; from vidclass.sweep.lock import driver_lock\n"
            f"with driver_lock(Path({str(tmp_path)!r})): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert second.returncode != 0
        assert str(os.getpid()) in second.stderr
    assert driver_of(tmp_path) is None


def test_a_killed_drivers_hold_ends_with_it(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from vidclass.sweep.lock import driver_lock\n"
        f"with driver_lock(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert driver_of(tmp_path) is None
    with driver_lock(tmp_path):
        pass


def test_the_same_process_cannot_hold_it_twice(tmp_path: Path) -> None:
    with driver_lock(tmp_path), pytest.raises(UserError, match="one driver"), driver_lock(tmp_path):
        pass
