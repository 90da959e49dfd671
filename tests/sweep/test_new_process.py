"""A process that starts beside short trials gets one: Tune itself would throw it away each time."""

import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.util import placement_group, remove_placement_group

from tests.sweep.simulator import Simulation, study
from vidclass.sweep.search import EngineScheduler, EngineSearcher, registered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRIAL_S = 0.3
"""A tenth of what the start of a process takes."""
MOST = 400
"""Trials after which a second process is not waited for any more."""

_BESIDE: dict[str, Any] = {}
"""What the adapters share with the test; Tune pickles them."""


class Searcher(EngineSearcher):
    """Sends what a simulated trial says along with its job; ends once two processes are at work."""

    def suggest(self, trial_id: str) -> Any:
        engine = _BESIDE["engine"]
        if len(_BESIDE["processes"]) == 2 or len(engine.state.trials) == MOST:
            return EngineSearcher.FINISHED
        told = super().suggest(trial_id)
        if isinstance(told, dict):
            told["messages"] = _BESIDE["simulation"].messages(told["job"], engine)
        return told


class Scheduler(EngineScheduler):
    """Notes the processes, and gives the second slot free once the first is at work."""

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        _BESIDE["processes"].add(json.loads(result["payload"])["pid"])
        if len(_BESIDE["engine"].state.trials) == 6:
            _BESIDE["give_free"]()
        return super().on_trial_result(controller, trial, result)


def trainable() -> Callable[[dict[str, Any]], None]:
    """Return a function that Tune pickles whole: its workers need not find this file."""

    def trial(config: dict[str, Any]) -> None:
        time.sleep(TRIAL_S)
        for message, payload in config["messages"]:
            told = json.dumps({**payload, "pid": os.getpid()})
            ids = {name: config["job"][name] for name in ("trial", "attempt")}
            tune.report({**ids, "message": message, "payload": told})

    return trial


def test_a_process_that_starts_beside_short_trials_is_not_thrown_away(
    tmp_path: Path, small_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = Simulation(study(budget__trials=MOST), tmp_path)
    taken = placement_group([{"CPU": 1}])
    ray.get(taken.ready())
    with closing(simulation.open()) as engine, registered(engine) as key:
        for name, value in {
            "simulation": simulation,
            "engine": engine,
            "processes": set(),
            "give_free": lambda: remove_placement_group(taken),
        }.items():
            monkeypatch.setitem(_BESIDE, name, value)
        tune.Tuner(
            tune.with_resources(trainable(), {"CPU": 1}),
            tune_config=tune.TuneConfig(
                search_alg=Searcher(key),
                scheduler=Scheduler(key),
                num_samples=-1,
                max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), verbose=0),
        ).fit()
        assert engine.error is None
        assert len(_BESIDE["processes"]) == 2, f"{len(engine.state.trials)} trials in one process"
