"""``kill -9`` of the driver: the same command again comes to the end that nobody interrupted."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fault.conftest import EPOCHS, POLL_S, SMOKE, Home
from vidclass.home import datasets_folder, store_folder
from vidclass.sweep.exposure import read_exposure
from vidclass.sweep.predictions import CLIP_FILE, VIDEO_FILE

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]

NUM_TRAININGS = 11
"""Two arms: two searches, a re-run, a final each; of slow a control and two on fewer videos."""
NUM_SCORED = 5
"""Two finals, a control, two trainings on fewer videos."""
STOPPED_S = 10.0
"""How long a stopped driver waits for predictions; a training of the smoke study scores in one."""


def summary(home: Home) -> dict[str, Any]:
    """Return what must not depend on how often the driver was killed; figures to the last bit.

    Trials are named by what they are: their numbers t0002 ... follow from who ended first.
    """
    state = home.state()

    def identity(name: str) -> tuple[Any, ...]:
        trial = state.trials[name]
        return (trial.kind, trial.arm, trial.fold, trial.variant, trial.number)

    def drop_time(metrics: dict[str, float]) -> dict[str, float]:
        return {key: value for key, value in metrics.items() if key.startswith("valid_")}

    exposure = read_exposure(home.path, state.data["content_hash"], state.data["split_hash"])
    return {
        "videos": (state.data["content_hash"], state.data["split_hash"]),
        "trials": sorted(map(identity, state.trials)),
        "status": {identity(t.trial): t.status for t in state.trials.values()},
        "params": {identity(t.trial): t.params for t in state.trials.values()},
        "epochs": {
            identity(t.trial): {n: drop_time(e.metrics) for n, e in sorted(t.epochs.items())}
            for t in state.trials.values()
        },
        "winners": {key: identity(event["trial"]) for key, event in state.winners.items()},
        "finals": {identity(f.trial): (f.metrics, f.perturbations) for f in state.finals.values()},
        "floors": {key: event["metrics"] for key, event in state.floors.items()},
        "champion": (state.champion or {}).get("arm"),
        "reason": state.end_reason,
        "exposure": exposure.scored,
    }


def data_being_made(home: Home) -> object:
    """Some videos are there, the list of labels (written last) is not."""
    made = len(list(datasets_folder(home.path).rglob("[!.]*.mp4")))
    return 0 < made and not list(datasets_folder(home.path).rglob("labels.csv"))


def store_being_built(home: Home) -> object:
    """A decoder is at work."""
    working = list(store_folder(home.path).glob("*/*.current"))
    return working and not list(store_folder(home.path).glob("*/store.json"))


def searching(home: Home) -> object:
    """A search trial has reported its first epoch and is not done."""
    running = home.state().running
    return any(trial.kind == "search" and trial.epochs for trial in running)


def rerunning(home: Home) -> object:
    """A re-run of a good search trial has reported an epoch and is not done."""
    running = home.state().running
    return any(trial.kind == "rerun" and trial.epochs for trial in running)


def between_two_steps_of_scoring(home: Home) -> object:
    """Predictions lie aside, and neither the ledger nor the count of exposures knows of them.

    The trial writes them; the driver is stopped before, so that it cannot take note of them.
    """
    trained = [t for t in home.state().running if t.kind == "final" and len(t.epochs) == EPOCHS]
    if not trained:
        return False
    driver = home.started[-1]
    time.sleep(POLL_S)  # so that the trial knows that its last epoch was taken
    driver.send_signal(signal.SIGSTOP)
    until = time.monotonic() + STOPPED_S
    while time.monotonic() < until:
        aside = {path.name for path in home.folder.glob("artifacts/t*/*.aside")}
        if aside >= {f"{VIDEO_FILE}.aside", f"{CLIP_FILE}.aside"}:
            return True
        time.sleep(POLL_S)
    driver.send_signal(signal.SIGCONT)  # the trial was waiting for it
    return False


def scoring_finals(home: Home) -> object:
    """A test set has been scored, and another final is in training."""
    state = home.state()
    started = {event["trial"] for event in home.events(event="trial_started")}
    running = {t.trial for t in state.running if t.kind in ("final", "control")}
    return state.finals and running & started


def before_the_report(home: Home) -> object:
    """The study has ended, its report is not written."""
    return home.state().end_reason and not (home.folder / "report" / "report.html").exists()


PHASES = (
    data_being_made,
    store_being_built,
    searching,
    rerunning,
    between_two_steps_of_scoring,
    scoring_finals,
    before_the_report,
)


@pytest.fixture(scope="module")
def killed(new_home: Callable[..., Home]) -> Home:
    """A smoke study whose driver was killed once in every phase, then left to end."""
    home = new_home()
    for phase in PHASES:
        driver = home.start(*SMOKE)
        home.wait(phase.__name__, lambda phase=phase: phase(home), driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        # without a look at what is left behind: users press the key again at once
    done = home.run(*SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_kills_in_seven_phases_change_nothing_of_the_result(killed: Home, reference: Home) -> None:
    assert len(PHASES) == 7
    assert home_sessions(killed) == len(PHASES), "each kill met a session of its own"
    here, there = summary(killed), summary(reference)
    for key, value in there.items():
        assert here[key] == value, key
    assert len(here["trials"]) == NUM_TRAININGS + 1  # the floors are one job
    assert len(here["finals"]) == here["exposure"] == NUM_SCORED


def home_sessions(home: Home) -> int:
    starts = ("study_started", "study_resumed")
    return sum(event["event"] in starts for event in home.events())


def test_no_training_was_repeated_from_its_start(killed: Home) -> None:
    for event in killed.events(event="trial_proposed"):
        epochs = killed.state().trials[event["trial"]].epochs
        earlier = [e.epoch for e in epochs.values() if e.attempt < event["attempt"]]
        if earlier:
            assert event["resume_from"] is not None, event


def test_the_killed_study_left_no_process_and_a_whole_report(killed: Home) -> None:
    assert killed.left_behind(within_s=60) == []
    folder = killed.folder
    assert (folder / "report" / "report.html").stat().st_size > 10_000
    assert not list(folder.rglob("[!.]*.aside")), "a scored file was never given its name"


def test_a_finished_study_is_told_again_in_seconds_and_stays_as_it_is(reference: Home) -> None:
    before = (reference.folder / "ledger.jsonl").read_bytes()
    counted = summary(reference)
    started = time.monotonic()
    done = reference.run(*SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 90  # about ten seconds where nothing else runs
    assert (reference.folder / "ledger.jsonl").read_bytes() == before
    assert summary(reference) == counted
    assert "report" in done.stdout
