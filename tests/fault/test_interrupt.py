"""Ctrl-C, SIGTERM and `vidclass sweep stop`; a second driver; the verbs that only look."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.conftest import Home
from vidclass.home import datasets_folder

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]

LONG = ("smoke", "--set", "budget.epochs=6")
"""The smoke study with trainings that last long enough to be met in the middle."""
ENDLESS = ("smoke", "--set", "budget.epochs=1000")
"""The same, but it does not end while the test looks at it."""
NUM_TRAININGS = 9
ENDS_WITHIN_S = 60.0
"""15 s on a machine of its own."""


def in_mid_search(home: Home) -> bool:
    return any(t.epochs for t in home.state().running)


def scoring(home: Home) -> bool:
    return bool(home.state().finals)


def report_being_written(home: Home) -> bool:
    return bool(home.state().end_reason) and not home.events(event="reported")


def ended_by(home: Home, driver: subprocess.Popen[bytes], began: float) -> None:
    """Check all that an interruption promises."""
    assert driver.wait(timeout=ENDS_WITHIN_S) == 130, home.said()
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert home.left_behind(within_s=20) == []
    last = home.said().strip().splitlines()[-1]
    assert "run the same again" in last, last
    assert "Traceback" not in home.said()
    assert home.events()[-1]["event"] == "interrupted"


def videos_are_made(home: Home) -> bool:
    return bool(list(datasets_folder(home.path).rglob("0*.mp4")))


PHASES = (videos_are_made, in_mid_search, scoring, report_being_written)


def test_ctrl_c_in_every_phase_then_the_same_command_ends_well(
    new_home: Callable[..., Home],
) -> None:
    home = new_home()
    for phase in PHASES:
        driver = home.start(*LONG)
        home.wait(phase.__name__, lambda phase=phase: phase(home), driver)
        began = time.monotonic()
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: every process of the group
        ended_by(home, driver, began)

    done = home.run(*LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    state = home.state()
    assert state.end_reason == "complete"
    assert state.interruptions == len(PHASES)
    assert sum(trial.kind != "floors" for trial in state.trials.values()) == NUM_TRAININGS
    assert {trial.status for trial in state.trials.values()} == {"completed"}
    assert (home.folder / "report" / "report.html").is_file()


def test_ctrl_c_ends_all_workers_of_a_trial_and_the_same_command_goes_on(
    new_home: Callable[..., Home], made_data: Path
) -> None:
    home = new_home(made_data, ("datasets",))
    command = (*LONG, "--set", "workers=2")
    driver = home.start(*command)
    home.wait("the search runs", lambda: in_mid_search(home), driver)
    began = time.monotonic()
    os.killpg(driver.pid, signal.SIGINT)
    ended_by(home, driver, began)

    done = home.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    state = home.state()
    assert state.end_reason == "complete"
    assert {trial.status for trial in state.trials.values()} == {"completed"}


def test_a_running_study_is_looked_at_guarded_and_stopped_from_another_terminal(
    new_home: Callable[..., Home], made_data: Path
) -> None:
    home = new_home(made_data, ("datasets",))
    driver = home.start(*ENDLESS)
    home.wait("the search runs", lambda: in_mid_search(home), driver)
    name = home.study

    second = home.run(*ENDLESS)
    assert second.returncode == 2, second.stdout + second.stderr
    assert str(driver.pid) in second.stderr
    assert "Traceback" not in second.stderr

    looked_at(home, name, status=f"running: pid {driver.pid}", listed="running")

    began = time.monotonic()
    stopped = home.run("stop", name)  # sends SIGTERM
    assert stopped.returncode == 0, stopped.stderr
    ended_by(home, driver, began)

    looked_at(home, name, status="not running", listed="to be continued")
    twice = home.run("stop", name)
    assert twice.returncode == 2
    assert "it is not running" in twice.stderr


def looked_at(home: Home, name: str, *, status: str, listed: str) -> None:
    """Check what `status`, `list` and `logs` print."""
    told = home.run("status", name)
    assert told.returncode == 0, told.stderr
    assert status in told.stdout
    assert "slow" in told.stdout, "the table of arms"
    told = home.run("list")
    assert told.returncode == 0, told.stderr
    row = next(line for line in told.stdout.splitlines() if name in line)
    assert listed in row
    told = home.run("logs", name, "t0001")
    assert told.returncode == 0, told.stderr
    told = home.run("logs", name, "t9999")
    assert told.returncode == 2
    assert "instead:" in told.stderr
