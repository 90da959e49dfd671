"""Decisions: successive halving and the choice of winners, on small states written by hand."""

from pathlib import Path
from typing import Any

import pytest

from tests.sweep.simulator import Simulation, study
from vidclass.sweep.policy import decide_winner, seed_of, share_of, share_variant, should_stop
from vidclass.sweep.state import State, Trial, apply


def trial(name: str, values: list[float], *, number: int = 1, parent: str | None = None) -> Trial:
    """Return an ended search trial of arm slow that reported ``values``."""
    state = State()
    proposed: dict[str, Any] = {
        "trial": name,
        "kind": "search",
        "arm": "slow",
        "fold": 0,
        "seed": 1,
        "number": number,
        "params": {},
        "config": {},
        "parent": parent,
        "epochs": 8,
        "variant": "kept",
        "attempt": 1,
        "resume_from": None,
    }
    apply(state, {"event": "trial_proposed", "time": 0.0, **proposed})
    for epoch, value in enumerate(values, start=1):
        metrics = {"valid_accuracy": value, "valid_log_loss": 1.0 - value}
        reported = {"epoch": epoch, "attempt": 1, "checkpoint": None, "best": True}
        event = {"event": "epoch", "time": 1.0, "trial": name, "metrics": metrics, **reported}
        apply(state, event)
    found = state.trials[name]
    if values:
        found.best_value, found.best_epoch = max(values), values.index(max(values)) + 1
    return found


def state_of(*trials: Trial) -> State:
    state = State()
    state.trials = {t.trial: t for t in trials}
    return state


@pytest.mark.parametrize(
    ("rivals", "own", "stops"),
    [
        ([], 0.2, False),  # the first at a rung always goes on
        ([0.5], 0.2, True),  # the best half of two is one
        ([0.1], 0.2, False),
        ([0.1, 0.3, 0.4], 0.35, False),
        ([0.1, 0.3, 0.4], 0.25, True),
        ([0.2], 0.2, False),  # a tie is not worse
    ],
)
def test_the_best_half_goes_on(rivals: list[float], own: float, stops: bool) -> None:
    others = [trial(f"t{n}", [0.0, value]) for n, value in enumerate(rivals)]
    asked = trial("own", [0.0, own])
    assert should_stop(state_of(*others, asked), study(), asked, 2) is stops


def test_only_rungs_and_only_search_trials_are_stopped() -> None:
    strong, weak = trial("a", [0.9] * 3), trial("b", [0.1] * 3)
    state = state_of(strong, weak)
    assert should_stop(state, study(), weak, 2)
    assert not should_stop(state, study(), weak, 3), "epoch 3 is no rung of 2, 4, 8"
    weak.kind = "final"
    assert not should_stop(state, study(), weak, 2)
    assert not should_stop(state, study(search__halving=None), weak, 2)


def test_the_mean_of_the_runs_decides_not_the_luckiest_run() -> None:
    lucky, steady = trial("t1", [0.9]), trial("t2", [0.8])
    reruns = [trial("t3", [0.4], parent="t1"), trial("t4", [0.78], parent="t2")]
    winner = decide_winner("slow", 0, [lucky, steady], reruns)
    assert winner["trial"] == "t2"
    assert winner["mean"] == pytest.approx(0.79)


def test_log_loss_breaks_ties() -> None:
    first, second = trial("t1", [0.8]), trial("t2", [0.8])
    second.epochs[1].metrics["valid_log_loss"] = 0.01
    assert decide_winner("slow", 0, [first, second], [])["trial"] == "t2"


def test_an_arm_without_a_score_has_no_winner() -> None:
    assert decide_winner("slow", 0, [], [])["trial"] is None


def test_seeds_are_the_same_everywhere_and_differ_between_parts() -> None:
    assert seed_of(0, "slow", 1) == 791503193, "a figure of another process and day"
    assert len({seed_of(0, "slow", n) for n in range(1000)}) == 1000


def test_the_champion_is_trained_on_fewer_videos_with_the_seed_of_its_first_final(
    tmp_path: Path,
) -> None:
    simulation = Simulation(study(finals__fewer_videos=[0.25, 0.5]), tmp_path, folds=3)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    champion = engine.state.champion
    assert champion is not None
    fewer = engine.state.select(kind="fewer_videos")
    assert {trial.arm for trial in fewer} == {champion["arm"]}
    assert sorted((trial.fold, share_of(trial.variant)) for trial in fewer) == [
        (fold, share) for fold in range(3) for share in (0.25, 0.5)
    ]
    for trial in fewer:
        (final,) = [
            other
            for other in engine.state.select(kind="final", arm=trial.arm, fold=trial.fold)
            if other.number == 1
        ]
        assert (trial.seed, trial.params) == (final.seed, final.params)


@pytest.mark.parametrize(("variant", "share"), [("kept", 1.0), ("shuffled", 1.0)])
def test_other_variants_train_on_all_videos(variant: str, share: float) -> None:
    assert share_of(variant) == share
    assert share_of(share_variant(0.125)) == 0.125
