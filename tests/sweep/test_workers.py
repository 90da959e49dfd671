"""Trials of two workers in real Tune: the same curves, and nothing left behind by a stop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray import tune

from tests.sweep.worker_study import carried_out, curves, study
from vidclass.errors import UserErrors
from vidclass.home import store_folder
from vidclass.plugins import load_plugin
from vidclass.sweep.engine import Engine
from vidclass.sweep.ledger import read_events
from vidclass.sweep.load import LoadedStudy, parse_study
from vidclass.sweep.runner import bundles, run
from vidclass.sweep.screen import Screen
from vidclass.sweep.seats import start_trial
from vidclass.training.checkpoints import CheckpointFolder

pytestmark = pytest.mark.slow

SAME = {"rtol": 2e-3, "atol": 2e-4}


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def one(shared_home: Path, small_ray: None) -> Engine:
    return carried_out(study(shared_home, "one", workers=1))


@pytest.fixture(scope="module")
def two(shared_home: Path, small_ray: None) -> Engine:
    return carried_out(study(shared_home, "two", workers=2))


def test_a_study_of_two_workers_has_the_curves_of_one(one: Engine, two: Engine) -> None:
    assert two.finished == one.finished == "complete"
    for figure in ("train_loss", "valid_loss", "valid_accuracy"):
        single, double = curves(one, figure), curves(two, figure)
        assert single.keys() == double.keys()
        for trial, values in single.items():
            np.testing.assert_allclose(double[trial], values, **SAME, err_msg=figure)
    assert {t.status for t in two.state.trials.values()} == {"completed"}
    for final in two.state.finals.values():
        [same] = [f for f in one.state.finals.values() if f.trial == final.trial]
        assert final.metrics["log_loss"] == pytest.approx(same.metrics["log_loss"], rel=2e-3)


def test_a_plan_that_cannot_fit_is_refused_before_anything_is_made(
    tmp_path: Path, small_ray: None
) -> None:
    spec = parse_study("study: unfit\nworkers: 3\narms: [{name: a, model: single_frame}]")
    loaded = LoadedStudy(spec, "unfit", "unfit.yaml", "", spec.data.source)
    with pytest.raises(UserErrors, match="a slot for each of its workers"):
        run(loaded, tmp_path, Screen())
    assert not store_folder(tmp_path).exists()
    assert list(read_events(tmp_path / "studies" / "unfit" / "ledger.jsonl")) == []


PLUGIN = '''
"""A small model that fails in its second worker, each variant in its own way."""

import os
import signal
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from vidclass.models.registry import ModelOptions, register_model

SEEN = Path("{seen}")


class Failing(nn.Module):
    def __init__(self, num_classes, how):
        super().__init__()
        self.head = nn.Linear(3, num_classes)
        self.how = how
        self.steps = 0

    def forward(self, x_BTCHW):
        logits_BK = self.head(x_BTCHW.mean(dim=(1, 3, 4)))
        self.steps += self.training
        in_second = dist.is_initialized() and dist.get_rank() == 1
        if self.how == "no_number":
            return logits_BK * torch.inf * 0
        if self.how == "raising":
            raise RuntimeError("this model never works")
        once = SEEN.with_suffix("." + self.how)
        if in_second and self.steps == 4 and not once.exists():
            once.touch()
            if self.how == "dying":
                os.kill(os.getpid(), signal.SIGKILL)
            raise torch.OutOfMemoryError("the second worker's memory is full")
        return logits_BK


def register(how):
    @register_model(how, options=ModelOptions, uses_order=True)
    def make(num_classes, options):
        """Fails."""
        return Failing(num_classes, how)


for how in ("dying", "full", "no_number", "raising"):
    register(how)
'''


@pytest.fixture(scope="module")
def failing(shared_home: Path) -> str:
    """The file of a plugin whose models fail in one of two workers."""
    file = shared_home / "failing_workers.py"
    file.write_text(PLUGIN.replace("{seen}", str(shared_home / "seen")))
    return str(file)


def of_model(home: Path, plugin: str, model: str) -> Engine:
    load_plugin(plugin)
    made = study(
        home, model, workers=2, plugins=(plugin,), model=model, fixed="", trials=1, epochs=4
    )
    return carried_out(made)


def reasons(engine: Engine) -> list[str]:
    """Return why the attempts of the search trial ended."""
    [trial] = engine.state.select(kind="search")
    events = read_events(engine.folder / "ledger.jsonl")
    return [
        event["reason"]
        for event in events
        if event["event"] == "trial_ended" and event["trial"] == trial.trial
    ]


def test_a_worker_that_dies_ends_the_attempt_and_the_next_goes_on(
    shared_home: Path, failing: str, small_ray: None
) -> None:
    engine = of_model(shared_home, failing, "dying")
    [trial] = engine.state.select(kind="search")
    first, second = trial.attempts
    assert (first.status, second.status) == ("failed", "completed")
    assert "a worker died" in reasons(engine)[0]
    assert second.resume_from == "1.1"
    assert sorted(trial.epochs) == [1, 2, 3, 4]


def test_full_memory_of_one_worker_halves_the_batch_of_all(
    shared_home: Path, failing: str, small_ray: None
) -> None:
    engine = of_model(shared_home, failing, "full")
    [trial] = engine.state.select(kind="search")
    first, second = trial.attempts
    assert (first.status, second.status) == ("out_of_memory", "completed")
    assert "worker 1" in reasons(engine)[0] and "full" in reasons(engine)[0]
    assert trial.config["train"]["accumulate"] == 2


@pytest.mark.parametrize(
    ("model", "statuses", "reason"),
    [
        ("no_number", ["diverged"], "not finite"),
        ("raising", ["failed"] * 3, "this model never works"),
    ],
)
def test_failures_of_all_workers_end_as_those_of_one(
    shared_home: Path, failing: str, small_ray: None, model: str, statuses: list[str], reason: str
) -> None:
    engine = of_model(shared_home, failing, model)
    [trial] = engine.state.select(kind="search")
    assert [attempt.status for attempt in trial.attempts] == statuses
    assert reason in trial.reason


def test_trials_follow_each_other_after_early_stops(shared_home: Path, small_ray: None) -> None:
    engine = carried_out(
        study(
            shared_home,
            "stopping",
            workers=2,
            trials=5,
            epochs=3,
            halving="{min_epochs: 1, reduction: 2}",
        )
    )
    trials = engine.state.select(kind="search")
    assert {trial.status for trial in trials} == {"stopped", "completed"}
    assert engine.finished == "complete"
    assert all(len(trial.attempts) == 1 for trial in trials)
    starts = [trial.attempts[0].started_at for trial in trials]
    assert starts == sorted(starts)  # two slots hold one trial of two workers at a time
    pids = {
        event["pid"]
        for event in read_events(engine.folder / "ledger.jsonl")
        if event["event"] == "trial_started" and event["trial"] in {t.trial for t in trials}
    }
    assert len(pids) == 1  # one process served them all, early stops included


def test_streamed_clips_give_the_curves_of_mapped_ones(
    shared_home: Path, one: Engine, small_ray: None
) -> None:
    streamed = study(shared_home, "streamed", workers=2, stream="always")
    carried_out(streamed, cpus=0.5)
    for figure in ("train_loss", "valid_loss", "valid_accuracy"):
        for trial, values in curves(one, figure).items():
            np.testing.assert_allclose(curves(streamed, figure)[trial], values, **SAME)


def test_a_trial_gives_the_same_weights_as_the_first_and_as_the_last_of_its_process(
    shared_home: Path, small_ray: None
) -> None:
    engine = study(shared_home, "again", workers=2, trials=3, epochs=2)
    job = next(job for job in iter(engine.propose, None) if job["kind"] == "search")
    jobs = [{**job, "trial": f"a{n}", "seed": job["seed"] + (n in (1, 2))} for n in range(4)]
    engine.close()
    run_jobs(jobs, shared_home)
    folder = engine.folder / "checkpoints"
    weights = []
    for name in ("a0", "a1", "a3"):
        kept = CheckpointFolder(folder / name, 1)
        [best] = [name for name in kept.names() if name.startswith("best-")]
        weights.append(kept.load_weights(best))
    for key, weight in weights[0].items():
        assert torch.equal(weights[2][key], weight), key
    assert any(not torch.equal(weights[1][key], weight) for key, weight in weights[0].items())


def run_jobs(jobs: list[dict[str, Any]], home: Path) -> None:
    """Carry jobs out one after the other in one process of Tune."""
    results = tune.Tuner(
        tune.with_resources(start_trial, bundles(2, {"CPU": 1.0})),
        param_space={"job": tune.grid_search(jobs), "home": str(home)},
        tune_config=tune.TuneConfig(max_concurrent_trials=1, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(home / "tune"), verbose=0),
    ).fit()
    assert not results.errors
