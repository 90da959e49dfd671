"""One run of a study from its first to its last event, on whatever Ray there is.

The order: lock, ledger, data, trials (one Tuner, one queue), report. Running the same command again
does what is missing.
"""

import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ray import tune

from vidclass.sweep.cluster import cluster, scratch_folder, slots_of
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import check_identity, session_facts
from vidclass.sweep.load import LoadedStudy
from vidclass.sweep.lock import driver_lock
from vidclass.sweep.prepare import prepare_data
from vidclass.sweep.screen import Screen
from vidclass.sweep.search import EngineScheduler, EngineSearcher, registered
from vidclass.sweep.trial import run_trial

__all__ = ["Outcome", "run"]


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended."""

    name: str
    folder: Path
    reason: str
    interrupted: bool


def run(
    loaded: LoadedStudy,
    home: Path,
    screen: Screen,
    *,
    plugins: tuple[str, ...] = (),
) -> Outcome:
    """Run what is left of a study and return how it ended; its report is not written here.

    Raises:
        UserError: for every mistake that the user can mend; nothing computed is lost by it.
    """
    folder = home / "studies" / loaded.name
    folder.mkdir(parents=True, exist_ok=True)
    with driver_lock(folder), _interruptible():
        engine = Engine(loaded.spec, loaded.name, home, plugins)
        try:
            check_identity(engine, loaded)
            with _tracked(engine), screen.showing(engine):
                return _work(engine, loaded, screen)
        finally:
            engine.close()


def _work(engine: Engine, loaded: LoadedStudy, screen: Screen) -> Outcome:
    interrupted = False
    if engine.state.ended_at is None or engine.state.end_reason != "complete":
        try:
            with cluster(engine.home):
                slots, resources = slots_of(loaded.spec.slots)
                session_facts(engine, loaded, slots)
                screen.slots = slots
                engine.recover()
                prepare_data(engine, screen.data_progress)
                _fit(engine, slots, resources)
            engine.append("study_ended", reason=engine.finished)
        except KeyboardInterrupt:
            engine.append("interrupted", reason="Ctrl-C or SIGTERM")
            interrupted = True
    return Outcome(engine.name, engine.folder, engine.state.end_reason, interrupted)


def _fit(engine: Engine, slots: int, resources: dict[str, float]) -> None:
    """Run the engine's jobs to the end on ``slots`` slots."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + 2)
    scratch = scratch_folder()
    with registered(engine) as key, _quiet():
        try:
            tune.Tuner(
                tune.with_resources(run_trial, resources),
                tune_config=tune.TuneConfig(
                    search_alg=EngineSearcher(key),
                    scheduler=EngineScheduler(key),
                    num_samples=-1,
                    max_concurrent_trials=slots,
                    reuse_actors=True,
                    trial_dirname_creator=_directory_name,
                ),
                run_config=tune.RunConfig(
                    name="tune",
                    storage_path=scratch,
                    verbose=0,
                    failure_config=tune.FailureConfig(max_failures=0),
                    progress_reporter=_Silent(),
                ),
            ).fit()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if engine.error is not None:
        raise engine.error


def _directory_name(trial: Any) -> str:
    job = trial.config["job"]
    return f"{job['trial']}.{job['attempt']}"


class _Silent(tune.ProgressReporter):
    """Tune's own tables would be drawn over the screen."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Say nothing."""


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Tune's notices, which it logs and prints whatever it is told, off the screen."""
    loggers = [logging.getLogger(name) for name in ("ray.tune", "ray.train", "ray")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into KeyboardInterrupt, the second into leaving at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread; a notebook's kernel handles them itself
        return
    seen = 0

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(130)
        raise KeyboardInterrupt

    kept = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in kept.items():
            signal.signal(number, old)


@contextmanager
def _tracked(engine: Engine) -> Iterator[None]:
    """Have the ledger written into MLflow for as long as the study runs."""
    from vidclass.tracking.writer import LedgerWriter  # MLflow takes two seconds to import

    writer = LedgerWriter(engine.folder, engine.home, engine.name)
    writer.start()
    try:
        yield
    finally:
        engine.ledger.sync()
        writer.finish(timeout_s=120)
