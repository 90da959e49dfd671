"""A process that starts beside short trials gets one: Tune itself would throw it away each time."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune

from tests.sweep.simulator import Simulation, study
from vidclass.sweep.engine import Engine
from vidclass.sweep.search import EngineScheduler, EngineSearcher, registered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TRIAL_S = 0.3
"""A tenth of what the start of a process takes."""
MOST = 400
"""Trials after which a second process is not waited for any more."""


def test_a_process_that_starts_beside_short_trials_is_not_thrown_away(
    tmp_path: Path, small_ray: None
) -> None:
    simulation = Simulation(study(budget__trials=MOST), tmp_path)
    engine: Engine = simulation.open()
    processes: list[int] = []
    taken = ray.remote(num_cpus=1)(time.sleep).remote(10_000)  # the second slot

    def trial(config: dict[str, Any]) -> None:
        time.sleep(TRIAL_S)
        for message, payload in config["messages"]:
            told = json.dumps({**payload, "pid": os.getpid()})
            job = config["job"]
            common = {"trial": job["trial"], "attempt": job["attempt"]}
            tune.report({**common, "message": message, "payload": told})

    class Searcher(EngineSearcher):
        def suggest(self, trial_id: str) -> Any:
            if len(set(processes)) == 2 or len(engine.state.trials) == MOST:
                return EngineSearcher.FINISHED
            told = super().suggest(trial_id)
            if isinstance(told, dict):
                told["messages"] = simulation.messages(told["job"], engine)
            return told

    class Scheduler(EngineScheduler):
        def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
            processes.append(json.loads(result["payload"])["pid"])
            if len(engine.state.trials) == 6:  # the first slot is at work, its process warm
                ray.cancel(taken, force=True)
            return super().on_trial_result(controller, trial, result)

    with registered(engine) as key:
        tune.Tuner(
            tune.with_resources(trial, {"CPU": 1}),
            tune_config=tune.TuneConfig(
                search_alg=Searcher(key),
                scheduler=Scheduler(key),
                num_samples=-1,
                max_concurrent_trials=2,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), verbose=0),
        ).fit()
    engine.close()
    assert engine.error is None
    assert len(set(processes)) == 2, len(engine.state.trials)
