"""Points of a search: the start first, then even coverage, the same again after a resume."""

from pathlib import Path

import numpy as np
from optuna.trial import TrialState

from tests.sweep.simulator import Simulation, study
from vidclass.sweep.points import finished_study, next_point, sampler_name
from vidclass.sweep.state import State


def test_auto_is_quasi_random_up_to_ten_trials_and_tpe_above() -> None:
    assert sampler_name(study(budget__trials=10)) == "quasi_random"
    assert sampler_name(study(budget__trials=11)) == "tpe"


def test_the_known_good_point_comes_first() -> None:
    spec = study(arms__0__start={"lr": 0.002})
    assert next_point(State(), spec, spec.arms[0], 0, 1) == {"lr": 0.002}


def test_quasi_random_points_cover_each_decade_half() -> None:
    spec = study(budget__trials=10)
    points = [next_point(State(), spec, spec.arms[0], 0, n)["lr"] for n in range(1, 9)]
    assert len(set(points)) == 8
    counts = np.histogram(np.log10(points), bins=4, range=(-3, -2))[0]
    assert counts.min() >= 1, "Halton points fill every quarter of the range"


def test_arms_folds_and_numbers_have_points_of_their_own() -> None:
    spec = study()
    seen = {next_point(State(), spec, spec.arms[0], fold, 2)["lr"] for fold in range(5)}
    assert len(seen) == 5


def test_a_rebuilt_study_proposes_the_same_point_and_no_earlier_one(tmp_path: Path) -> None:
    spec = study(search__sampler="tpe", budget__trials=14, search__halving=None)
    simulation = Simulation(spec, tmp_path)
    engine = simulation.open()
    simulation.run(engine, max_messages=90)
    arm = spec.arms[1]
    earlier = [t.params["lr"] for t in engine.state.select(kind="search", arm="slow")]
    again = [next_point(engine.state, spec, arm, 0, len(earlier) + 1) for _ in range(2)]
    engine.close()
    assert again[0] == again[1]
    assert again[0]["lr"] not in earlier


def test_the_sampler_hears_how_each_trial_ended(tmp_path: Path) -> None:
    outcomes = {"t0002": "diverged", "t0003": "collapsed"}
    simulation = Simulation(study(), tmp_path, outcomes=outcomes)
    engine = simulation.open()
    simulation.run(engine)
    engine.close()
    told = {
        trial.user_attrs["trial"]: trial
        for arm in engine.spec.arms
        for trial in finished_study(engine.state, engine.spec, arm, 0).trials
    }
    assert told["t0002"].state == TrialState.COMPLETE and told["t0002"].value == 0.0
    assert told["t0003"].state == TrialState.COMPLETE and told["t0003"].value == 0.0
    stopped = [t for t in engine.state.trials.values() if t.status == "stopped"]
    assert stopped
    for trial in stopped:
        assert told[trial.trial].state == TrialState.PRUNED
        assert told[trial.trial].intermediate_values
