"""Two studies at once on one cluster of two CPUs: both end, and share it while both are there."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.conftest import Home
from tests.sharing.conftest import Nodes
from vidclass.sweep.state import Trial

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FIRST, SECOND = "smoke", "other"


def intervals(home: Home, study: str) -> list[tuple[float, float]]:
    """Return when each trial of ``study`` began and ended, seconds since 1970."""
    begun = {e["trial"]: e["time"] for e in home.events(study, event="trial_started")}
    trials: list[Trial] = list(home.state(study).trials.values())
    return [(begun[t.trial], t.ended_at) for t in trials if t.ended_at is not None]


def most_at_once(spans: list[tuple[float, float]]) -> int:
    changes = sorted([(end, -1) for _, end in spans] + [(begin, 1) for begin, _ in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


@pytest.fixture
def other_study(tmp_path: Path, repository: Path) -> Path:
    """The smoke study under another name, of higher priority."""
    text = (repository / "sweeps" / "smoke.yaml").read_text()
    path = tmp_path / f"{SECOND}.yaml"
    path.write_text(text.replace("study: smoke", f"study: {SECOND}\npriority: 1"))
    return path


def test_two_studies_share_two_slots(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
    other_study: Path,
) -> None:
    home = new_home(made_data, ("datasets",))
    joined(new_cluster(home, head_cpus=2))
    first = home.start(FIRST)
    home.wait("two trials of the first", lambda: len(home.state(FIRST).running) == 2, first)
    second = home.start(str(other_study))
    assert second.wait(timeout=900) == 0, home.said()
    assert first.wait(timeout=900) == 0, home.said()
    ours, theirs = intervals(home, FIRST), intervals(home, SECOND)
    assert len(ours) == len(theirs) == 10
    assert min(begin for begin, _ in theirs) < max(end for _, end in ours)
    assert most_at_once(ours) == 2
    assert most_at_once(ours + theirs) == 2, "a slot was in use twice"


def test_the_slots_of_a_killed_study_go_to_the_other(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
    other_study: Path,
) -> None:
    """One slot: the second study waits for it, and the first, killed, says no goodbye."""
    home = new_home(made_data, ("datasets",))
    joined(new_cluster(home, head_cpus=1))
    first = home.start(FIRST)
    home.wait("a trial of the first", lambda: home.state(FIRST).running, first)
    second = home.start(str(other_study))
    home.wait("the second waits", lambda: "waiting for a slot" in home.said(), second)
    os.kill(first.pid, signal.SIGKILL)
    assert second.wait(timeout=900) == 0, home.said()
