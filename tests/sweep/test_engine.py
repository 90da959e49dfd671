"""The engine over whole simulated studies: budgets, kills, failures, scoring once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.sweep.simulator import Simulation, study, summary
from vidclass.sweep.engine import Engine
from vidclass.sweep.exposure import read_exposure
from vidclass.sweep.ledger import read_events
from vidclass.training.checkpoints import CheckpointFolder


@pytest.fixture(autouse=True)
def ledgers_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the tests opened, also those that fail."""
    opened = []
    original = Simulation.open

    def remembered(self: Simulation) -> Engine:
        opened.append(original(self))
        return opened[-1]

    monkeypatch.setattr(Simulation, "open", remembered)
    yield
    for engine in opened:
        engine.close()


def finished(simulation: Simulation) -> dict:
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    assert engine.finished == "complete"
    return summary(engine)


def test_every_arm_gets_the_same_budget_and_every_final_is_scored(tmp_path: Path) -> None:
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    simulation.run(engine)
    for arm in ("single", "slow"):
        assert len(engine.state.select(kind="search", arm=arm)) == 4
        assert len(engine.state.select(kind="rerun", arm=arm)) == 2
        assert len(engine.state.select(kind="final", arm=arm)) == 2
    assert len(engine.state.select(kind="control", arm="slow")) == 2
    assert not engine.state.select(kind="control", arm="single"), "no order, so 0 by definition"
    assert len(engine.state.finals) == 6


def test_a_kill_after_any_message_leads_to_the_same_end(tmp_path: Path) -> None:
    # halving looks at what has been reported so far, and so may decide otherwise after a kill
    spec = study(search__halving=None)
    whole = finished(Simulation(spec, tmp_path / "plain"))
    for killed_after in range(1, 120, 7):
        home = tmp_path / f"killed{killed_after}"
        simulation = Simulation(spec, home)
        engine = simulation.open()
        simulation.run(engine, max_messages=killed_after)
        engine.close()  # what a kill leaves is the ledger up to here, and processes that are gone
        assert finished(Simulation(spec, home)) == whole, f"killed after {killed_after}"


def test_repeated_kills_keep_count_of_trials_and_test_scorings(tmp_path: Path) -> None:
    spec = study()
    engine = None
    for _ in range(40):
        simulation = Simulation(spec, tmp_path)
        engine = simulation.open()
        simulation.run(engine, max_messages=20)
        engine.close()
        if engine.finished:
            break
    assert engine is not None and engine.finished == "complete"
    counts = {kind: len(engine.state.select(kind=kind)) for kind in ("search", "final", "control")}
    assert counts == {"search": 8, "final": 4, "control": 2}
    assert read_exposure(tmp_path, "c" * 64, "s" * 64).scored == 6


def test_outer_folds_search_each_fold_and_train_a_deployment_model(tmp_path: Path) -> None:
    simulation = Simulation(study(), tmp_path, folds=3)
    engine = simulation.open()
    simulation.run(engine)
    assert len(engine.state.select(kind="search", arm="slow", fold=2)) == 4
    assert len(engine.state.winners) == 2 * 3 + 1
    [deployed] = engine.state.select(kind="deploy")
    assert deployed.fold == -1
    assert deployed.arm == engine.state.champion["arm"]
    assert deployed.trial not in engine.state.finals, "the deployment model is never scored"


@pytest.mark.parametrize(
    ("outcome", "status", "attempts"),
    [
        ("failed", "completed", 2),
        ("out_of_memory", "completed", 2),
        ("diverged", "diverged", 1),
        ("collapsed", "collapsed", 1),
    ],
)
def test_each_way_to_fail(tmp_path: Path, outcome: str, status: str, attempts: int) -> None:
    simulation = Simulation(study(search__halving=None), tmp_path, outcomes={"t0002": outcome})
    engine = simulation.open()
    simulation.run(engine)
    trial = engine.state.trials["t0002"]
    assert (trial.status, len(trial.attempts)) == (status, attempts)
    assert engine.finished == "complete"
    if outcome == "out_of_memory":
        assert trial.config["train"]["accumulate"] == 2


def test_too_many_failures_end_the_study_with_their_number(tmp_path: Path) -> None:
    outcomes = {f"t{n:04d}": "failed" for n in range(2, 9)}
    simulation = Simulation(study(budget__failures=3), tmp_path, outcomes=outcomes)
    engine = simulation.open()
    simulation.run(engine)
    assert engine.finished == "4 failures are more than budget.failures = 3"


def test_a_late_message_of_a_lost_attempt_changes_nothing(tmp_path: Path) -> None:
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    job = engine.propose()
    assert job is not None
    engine.on_failure(job["trial"], 1, "gone", lost=True)
    again = engine.propose()
    assert again is not None and (again["trial"], again["attempt"]) == (job["trial"], 2)
    before = engine.state.num_events
    assert engine.on_message(job["trial"], 1, "ended", {"status": "completed", "reason": ""})
    assert engine.state.num_events == before


def test_comparisons_are_declared_before_the_first_final(tmp_path: Path) -> None:
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    events = list(read_events(engine.folder / "ledger.jsonl"))
    declared = next(e["n"] for e in events if e["event"] == "comparisons_declared")
    finals = [e["n"] for e in events if e["event"] == "trial_proposed" and e["kind"] == "final"]
    assert declared < min(finals)


def test_a_kill_between_the_score_and_its_file_counts_once(tmp_path: Path) -> None:
    simulation = Simulation(study(), tmp_path)
    engine = simulation.open()
    simulation.run(engine)
    trial = next(iter(engine.state.finals))
    final = engine.folder / "artifacts" / trial / "test_predictions.parquet"
    final.rename(final.with_name(f"{final.name}.aside"))  # as a kill before the rename leaves it
    engine.close()
    engine = Simulation(study(), tmp_path).open()
    assert final.exists()
    assert read_exposure(tmp_path, "c" * 64, "s" * 64).scored == len(engine.state.finals)


def test_only_weights_that_somebody_reads_are_kept(tmp_path: Path) -> None:
    simulation = Simulation(study(search__halving=None), tmp_path)
    engine = simulation.open()

    def write(trial: str, name: str) -> None:
        CheckpointFolder(engine.folder / "checkpoints" / trial, 1).save_best(
            int(name), {"w": torch.zeros(1)}, {}
        )
        CheckpointFolder(engine.folder / "checkpoints" / trial, 1).save(int(name), {}, {})

    for number in range(1, 20):
        write(f"t{number:04d}", "4")
    simulation.run(engine)
    kept = {
        path.parent.name: path.name
        for path in (engine.folder / "checkpoints").glob("t*/*.1")
        if path.parent.name in engine.state.trials
    }
    winners = {event["trial"] for event in engine.state.winners.values()}
    scored = set(engine.state.finals)
    floors = {trial.trial for trial in engine.state.select(kind="floors")}
    assert set(kept) - floors == winners | scored
    assert {kept[trial] for trial in winners | scored} == {"best-4.1"}
