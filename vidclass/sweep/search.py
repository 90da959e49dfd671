"""Three thin adapters between Ray Tune and the engine: searcher, scheduler, callback.

Tune pickles its searcher and scheduler, so these hold only a key, under which the driver's engine
is found. Tune calls its hooks at a result in the order scheduler, searcher, callbacks; therefore
the scheduler's hook is where a message enters the ledger, before any decision on it.

An error inside a hook is neither swallowed nor retried, since either would let the ledger and Tune
drift apart: the first one is kept, nothing more is proposed, every trial is stopped, and the
runner raises it when ``fit()`` returns.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from vidclass.sweep.engine import Engine

__all__ = ["EngineScheduler", "EngineSearcher", "registered"]

_ENGINES: dict[str, Engine] = {}


@contextmanager
def registered(engine: Engine) -> Iterator[str]:
    """Make ``engine`` known to the adapters under the yielded key."""
    _ENGINES[engine.name] = engine
    try:
        yield engine.name
    finally:
        del _ENGINES[engine.name]


@contextmanager
def _kept_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        engine.error = engine.error or error


class EngineSearcher(Searcher):
    """Gives Tune the engine's jobs."""

    def __init__(self, key: str) -> None:
        """Remember under which key the engine is found."""
        super().__init__(metric="attempt", mode="max")
        self.key = key

    def suggest(self, trial_id: str) -> Any:
        """Return the next job, None when one must end first, FINISHED when nothing is left."""
        engine = _ENGINES[self.key]
        job = None
        with _kept_errors(engine):
            if engine.error is None:
                job = engine.propose()
        if job is not None:
            # one machine has one home; on a cluster every node resolves its own
            local = "RAY_ADDRESS" not in os.environ
            return {"job": job, "home": str(engine.home) if local else None}
        if engine.error is not None or engine.finished:
            return str(Searcher.FINISHED)
        # None with nothing alive would block Tune for ten minutes.
        assert any(not trial.ended for trial in engine.state.trials.values())
        return None

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: the scheduler's hooks have told the engine already."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds all there is."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing: the ledger holds all there is."""


class EngineScheduler(FIFOScheduler):
    """Carries every message of a trial to the engine, and the engine's stop back.

    Trials run in the order in which the engine proposed them.
    """

    def __init__(self, key: str) -> None:
        """Remember under which key the engine is found."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.key = key

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand the message on and answer whether the trial goes on."""
        engine = _ENGINES[self.key]
        stop = False
        with _kept_errors(engine):
            stop = engine.on_message(
                result["trial"],
                result["attempt"],
                result["message"],
                json.loads(result["payload"]),
            )
        if stop or engine.error is not None:
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Check that the trial said how it ended; silence is a failure."""
        self._failed(trial, "the trial returned without saying how it ended")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tell the engine that the process of a trial died or raised."""
        self._failed(trial, _reason(trial), lost=_node_lost(trial))

    def _failed(self, trial: Any, reason: str, *, lost: bool = False) -> None:
        engine = _ENGINES[self.key]
        with _kept_errors(engine):
            job = trial.config["job"]
            engine.on_failure(job["trial"], job["attempt"], reason, lost=lost)


def _error_text(trial: Any) -> str:
    file = trial.error_file
    if not file:
        return ""
    with open(file, encoding="utf-8", errors="replace") as opened:
        return opened.read()


def _reason(trial: Any) -> str:
    lines = [line for line in _error_text(trial).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "the trial's process died"


def _node_lost(trial: Any) -> bool:
    text = _error_text(trial)
    return any(sign in text for sign in ("node was terminated", "NodeDiedError", "node is dead"))
