"""One run of a study from its first to its last event, on whatever Ray there is.

The order: lock, ledger, data, trials (one Tuner, one queue), report. Running the same command again
does what is missing.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from vidclass.disk import disk_errors_for_users
from vidclass.errors import UserError
from vidclass.sweep.cluster import capacity, cluster, scratch_folder, slots_of
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import check_identity, session_facts
from vidclass.sweep.interruption import interruptible
from vidclass.sweep.leases import decoding, leased
from vidclass.sweep.load import LoadedStudy
from vidclass.sweep.lock import driver_lock
from vidclass.sweep.nodes import check_nodes, node_resources
from vidclass.sweep.placement import as_grown, check_placement, needs_stream
from vidclass.sweep.prepare import check_source, prepare_data
from vidclass.sweep.screen import Screen
from vidclass.sweep.search import EngineCallback, EngineScheduler, EngineSearcher, registered
from vidclass.sweep.seats import start_trial
from vidclass.sweep.weights import check_weights

if TYPE_CHECKING:
    from vidclass.report.render import Rendered

__all__ = ["Outcome", "run"]

MLFLOW_PATIENCE_S = 180
"""How long a finished study waits for MLflow; what is missing then is brought by `sweep sync`."""
HASTE_S = 5.0
"""How long an interrupted one, or one that failed, waits for it."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a study ended, and its report unless it was interrupted."""

    name: str
    folder: Path
    reason: str
    interrupted: bool
    rendered: "Rendered | None"
    report_s: float
    untracked: str
    """What MLflow does not have yet and how to bring it; empty when it has all."""


def run(
    loaded: LoadedStudy,
    home: Path,
    screen: Screen,
    *,
    plugins: tuple[str, ...] = (),
    out: Path | None = None,
) -> Outcome:
    """Run what is left of a study, write its report (a copy to ``out``), bring MLflow up to it.

    Raises:
        UserError: for every mistake that the user can mend; nothing computed is lost by it.
    """
    folder = home / "studies" / loaded.name
    with interruptible(), disk_errors_for_users("the study's files", folder):
        if not (folder / "ledger.jsonl").exists():
            check_source(loaded.videos, loaded.spec.data, home)
            check_weights(loaded.spec)
        _make_writable(folder)
        with driver_lock(folder):
            engine = Engine(loaded.spec, loaded.name, home, loaded.videos, plugins)
            try:
                check_identity(engine, loaded)
                return _told_again(engine, out) or _tracked(engine, loaded, screen, out)
            finally:
                engine.close()


def _told_again(engine: Engine, out: Path | None) -> Outcome | None:
    """Return the end of a study of which nothing is left to do; None where something is."""
    from vidclass.report.render import written_report  # brings matplotlib

    written = written_report(engine.folder, out) if engine.state.reported else None
    if written is None:
        return None
    return Outcome(engine.name, engine.folder, engine.state.end_reason, False, written, 0.0, "")


def _make_writable(folder: Path) -> None:
    """Make the study's folder and try to write in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            "the home folder can be written",
            f"{folder}: {error.strerror}",
            "set VIDCLASS_HOME to a folder of yours, on a disk with room",
        ) from error


def _tracked(engine: Engine, loaded: LoadedStudy, screen: Screen, out: Path | None) -> Outcome:
    """Have MLflow follow the study while it runs, and take its report and models at the end."""
    from vidclass.tracking.writer import LedgerWriter  # MLflow takes two seconds to import

    writer = LedgerWriter(engine.folder, engine.home, engine.name)
    writer.start()
    rendered, report_s, untracked, interrupted = None, 0.0, "", False
    try:
        with screen.showing(engine):
            _work(engine, loaded, screen)
        from vidclass.report.render import render_report  # brings matplotlib

        started = time.monotonic()
        rendered = render_report(engine.folder, engine.home, out)
        report_s = time.monotonic() - started
        untracked = writer.finish(MLFLOW_PATIENCE_S)
        if not untracked:
            engine.append("reported")
    except KeyboardInterrupt:
        engine.append("interrupted", reason="Ctrl-C or SIGTERM")
        rendered, interrupted = None, True
    finally:
        engine.ledger.sync()
        writer.finish(HASTE_S)
    reason = engine.state.end_reason
    return Outcome(engine.name, engine.folder, reason, interrupted, rendered, report_s, untracked)


def _work(engine: Engine, loaded: LoadedStudy, screen: Screen) -> None:
    if engine.state.end_reason == "complete":
        return
    with cluster(), leased(engine.name, loaded.spec.priority) as leases:
        check_nodes(engine.home)
        slots, resources = slots_of(loaded.spec.slots)
        nodes = as_grown(node_resources(), capacity())
        check_placement(loaded.spec, slots, resources, nodes)
        session_facts(engine, loaded, slots)
        screen.slots = slots
        engine.recover()
        with decoding(leases, screen.say):
            prepare_data(engine, screen.data_progress)
        screen.warn(engine.state.data.get("warnings", ()))
        if leases is not None:
            leases.enter(resources, slots, decodes=False, say=screen.say)
            engine.gate = leases
        engine.slots = slots
        engine.streams = needs_stream(loaded.spec, engine.home, engine.state.data, nodes)
        check_placement(loaded.spec, slots, resources, nodes, streams=engine.streams)
        _fit(engine, slots, resources)
    engine.append("study_ended", reason=engine.finished)


def _fit(engine: Engine, slots: int, resources: dict[str, float]) -> None:
    """Run the engine's jobs to the end on ``slots`` slots."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(slots + 2)
    scratch = scratch_folder()
    with registered(engine) as key, _quiet():
        try:
            tune.Tuner(
                tune.with_resources(
                    start_trial, lambda config: bundles(config["job"]["workers"], resources)
                ),
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
                    callbacks=[EngineCallback(key)],
                ),
            ).fit()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    if engine.error is not None:
        raise engine.error


def bundles(workers: int, resources: dict[str, float]) -> tune.PlacementGroupFactory:
    """Return what a trial asks Tune for: equal bundles, one for each worker."""
    return tune.PlacementGroupFactory([dict(resources)] * workers)


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
