"""What is read from Ray's account of a failure: the node's end, or the trial's own."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from tests.sweep.simulator import Simulation, study
from vidclass.sweep.engine import Engine
from vidclass.sweep.search import (
    EngineCallback,
    EngineScheduler,
    EngineSearcher,
    node_lost,
    registered,
)

DIED = "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.\n"
SILENT = "ActorUnavailableError: The actor is unavailable: rpc_code: 14, Socket closed"


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (f"{DIED}The actor died because its node has died. Node Id: 1f\n", True),
        (f"{DIED}\tthe actor's node was terminated unexpectedly: health check failed", True),
        (f"{DIED}\tthe actor's node was preempted: ", True),
        ("NodeDiedError: Task failed due to the node (where this task was running)", True),
        (SILENT, None),
        (f"{DIED}The actor is dead because its worker process has died. SYSTEM_ERROR", False),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", False),
        ("", False),
    ],
)
def test_a_lost_node_is_told_from_a_trial_that_died(error: str, lost: bool | None) -> None:
    assert node_lost(error) is lost


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = Simulation(study(), tmp_path).open()
    yield opened
    opened.close()


def fails_silently(engine: Engine, node: str | None, folder: Path) -> str:
    """Have the process of a trial go silent before any report; return the trial's id.

    Args:
        node: what the process said when it started; None where it never did.
    """
    job = engine.propose()
    assert job is not None
    said = folder / "error.txt"
    said.write_text(SILENT)
    trial = SimpleNamespace(config={"job": job}, error_file=str(said), trial_id=job["trial"])
    if node is not None:
        asked = SimpleNamespace(remote=lambda question: ray.put(node))
        trial.temporary_state = SimpleNamespace(ray_actor=SimpleNamespace(__ray_call__=asked))
        EngineCallback(engine.name).on_trial_start(0, [], trial)
    EngineScheduler(engine.name).on_trial_error(None, trial)
    return str(job["trial"])


@pytest.mark.parametrize(("there", "status"), [(True, "failed"), (False, "lost")])
def test_the_study_goes_on_while_a_silent_node_is_asked(
    engine: Engine, there: bool, status: str, tmp_path: Path, small_ray: None
) -> None:
    node = ray.get_runtime_context().get_node_id()
    with registered(engine) as key:
        trial = fails_silently(engine, node if there else "1" * len(node), tmp_path)
        assert not engine.state.trials[trial].ended
        searcher, give_up = EngineSearcher(key), time.monotonic() + 90
        jobs = [searcher.suggest("1")]
        attempts = engine.state.trials[trial].attempts
        # there is work at once: another trial, or this one where the answer is there already
        assert jobs[0]["job"]["trial"] != trial or attempts[0].status == status
        while attempts[0].status is None and time.monotonic() < give_up:
            jobs.append(searcher.suggest("1"))
            time.sleep(0.1)
        assert attempts[0].status == status
        assert jobs[-1]["job"]["attempt"] == 2  # and it goes on at once
        assert engine.error is None


def test_a_process_that_goes_silent_before_it_has_started_is_lost(
    engine: Engine, tmp_path: Path
) -> None:
    with registered(engine):
        trial = fails_silently(engine, None, tmp_path)
    assert engine.state.trials[trial].attempts[0].status == "lost"
