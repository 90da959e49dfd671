"""A node that goes away under a trial: the trial goes on elsewhere, and no failure is counted."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.fault.conftest import Home
from tests.sharing.conftest import Nodes
from vidclass.sweep.state import Trial

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]

SETTINGS = ["--set", "budget.epochs=6", "--set", "budget.failures=0", "--set", "budget.retries=0"]


def test_trials_of_a_lost_node_go_on_from_their_checkpoint(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
) -> None:
    """Budget.failures is 0, so that one counted failure would end the study."""
    home = new_home(made_data, ("datasets",))
    nodes = new_cluster(home)
    raylets = {nodes.add(1), nodes.add(1)}
    joined(nodes)
    driver = home.start("smoke", *SETTINGS)
    study = ""

    def training() -> Trial | None:
        nonlocal study
        for ledger in home.path.glob("studies/*/ledger.jsonl"):
            study = ledger.parent.name
        running = home.state(study).running if study else []
        fit = [t for t in running if t.kind == "search" and 2 <= len(t.epochs) <= 4]
        return fit[0] if fit else None

    home.wait("a trial in its middle", training, driver)
    victim = training()
    assert victim is not None
    started = home.events(study, event="trial_started", trial=victim.trial)[-1]
    raylet = psutil.Process(started["pid"]).ppid()
    assert raylet in raylets
    nodes.tell(f"remove {raylet}")
    nodes.add(1)
    assert driver.wait(timeout=900) == 0, home.said()

    state = home.state(study)
    assert state.end_reason == "complete"
    statuses = {a.status for t in state.trials.values() for a in t.attempts}
    assert "failed" not in statuses
    again = state.trials[victim.trial]
    assert [attempt.status for attempt in again.attempts] == ["lost", "completed"]
    resumed = again.attempts[-1].resume_from
    assert resumed is not None and int(resumed.split(".")[0]) >= 2
    assert sorted(again.epochs) == list(range(1, 7))


def test_a_node_that_joins_without_the_home_ends_the_study_with_a_message(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
    tmp_path: Path,
) -> None:
    home = new_home(made_data, ("datasets",))
    nodes = new_cluster(home)
    first = nodes.add(1)
    joined(nodes)
    driver = home.start("smoke")
    home.wait("a trial", lambda: home.state("smoke").running, driver)
    nodes.add(1, VIDCLASS_HOME=tmp_path / "elsewhere")
    nodes.tell(f"remove {first}")
    assert driver.wait(timeout=600) == 2, home.said()
    assert "all nodes share the home folder" in home.said()
    before = {t.trial for t in home.state("smoke").trials.values() if t.ended_well}

    nodes = new_cluster(home)
    nodes.add(2)
    joined(nodes)
    ended = home.run("smoke")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    state = home.state("smoke")
    assert all(len(state.trials[name].attempts) == 1 for name in before)
    assert "failed" not in {a.status for t in state.trials.values() for a in t.attempts}
