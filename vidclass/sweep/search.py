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
from dataclasses import dataclass
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from vidclass.disk import FULL_DISK_ERRORS, no_space
from vidclass.errors import UserError
from vidclass.sweep.engine import Engine
from vidclass.sweep.interruption import raise_if_interrupted
from vidclass.sweep.nodes import NodeQuestion, code_hash, own_node

__all__ = ["EngineCallback", "EngineScheduler", "EngineSearcher", "node_lost", "registered"]

NODE_SIGNS = ("its node has died", "node was", "NodeDiedError", "node is dead")
"""What Ray writes of a process whose node died or was taken back ("the actor's node was ...")."""
LOST_CONTACT = ("ActorUnavailableError", "Socket closed")
"""What it writes before it knows."""
NODE_PATIENCE_S = 60.0
"""How long a node may take to do a first piece of work, before it counts as lost."""
FULL_DISK = tuple(os.strerror(number) for number in FULL_DISK_ERRORS)


@dataclass(frozen=True)
class _Doubt:
    """A failed attempt of which it is not known yet whether its node went away."""

    trial: str
    attempt: int
    reason: str
    node: NodeQuestion


_ENGINES: dict[str, Engine] = {}
_DOUBTS: dict[str, list[_Doubt]] = {}
_PLACES: dict[str, dict[str, Any]] = {}
"""By Tune's name of a trial: the answer of its process on which node it is."""


@contextmanager
def registered(engine: Engine) -> Iterator[str]:
    """Make ``engine`` known to the adapters under the yielded key."""
    _ENGINES[engine.name], _DOUBTS[engine.name], _PLACES[engine.name] = engine, [], {}
    try:
        yield engine.name
    finally:
        del _ENGINES[engine.name], _DOUBTS[engine.name], _PLACES[engine.name]


@contextmanager
def _kept_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        engine.error = engine.error or error


def _settle_doubts(key: str) -> None:
    """Tell the engine of each doubtful failure whose node has answered, or did not in time.

    Until then the trial counts as running, so that the study does not end.
    """
    engine, doubts = _ENGINES[key], _DOUBTS[key]
    for doubt in list(doubts):
        answers = doubt.node.answer()
        if answers is not None:
            doubts.remove(doubt)
            with _kept_errors(engine):
                engine.on_failure(doubt.trial, doubt.attempt, doubt.reason, lost=not answers)


class EngineSearcher(Searcher):
    """Gives Tune the engine's jobs."""

    def __init__(self, key: str) -> None:
        """Remember under which key the engine is found."""
        super().__init__(metric="attempt", mode="max")
        self.key = key

    def suggest(self, trial_id: str) -> Any:
        """Return the next job, None when one must end first, FINISHED when nothing is left."""
        raise_if_interrupted()  # Tune asks here once a second when nothing else happens
        _settle_doubts(self.key)
        engine = _ENGINES[self.key]
        job = None
        with _kept_errors(engine):
            if engine.error is None:
                job = engine.propose()
        if job is not None:
            # one machine has one home; on a cluster every node resolves its own
            if "RAY_ADDRESS" not in os.environ:
                return {"job": job, "home": str(engine.home)}
            return {"job": job, "home": None, "code": code_hash(), "seen": str(engine.home)}
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

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the trial to start next; give back warm processes whose slot is not ours.

        Tune gives an idle process to the trial that is returned here, and throws the process away
        that starts for it. With the oldest waiting trial, as Tune would choose, a process on a node
        that has just come would never be done with its start while short trials end elsewhere.
        """
        raise_if_interrupted()  # this hook is called several times a second
        _settle_doubts(self.key)
        gate = _ENGINES[self.key].gate
        if gate is not None and gate.gives_back:
            statuses = {trial.status for trial in tune_controller.get_live_trials()}
            if "PENDING" not in statuses:
                # Tune keeps an idle process, and its CPU, for the next trial; there is no public
                # way to end it. tests/sharing/test_two_studies.py holds this.
                tune_controller._cleanup_cached_actors(force_all=True)
        waiting = {
            trial
            for trial in tune_controller.get_live_trials()
            if trial.status == "PENDING" and not _process_starts(tune_controller, trial)
        }
        for trial in tune_controller.get_trials() if waiting else ():
            if trial in waiting:
                return trial
        return super().choose_trial_to_run(tune_controller)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Hand the message on and answer whether the trial goes on."""
        engine = _ENGINES[self.key]
        stop = False
        payload = json.loads(result["payload"])
        with _kept_errors(engine):
            if result["message"] == "refused":
                # the node came after the study began, and is not what the others are
                engine.on_failure(result["trial"], result["attempt"], payload["rule"], lost=True)
                raise UserError(**payload)
            stop = engine.on_message(result["trial"], result["attempt"], result["message"], payload)
        if stop or engine.error is not None:
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Check that the trial said how it ended; silence is a failure."""
        self._failed(trial, "the trial returned without saying how it ended")

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tell the engine that the process of a trial died or raised.

        A full disk is nobody's fault: the trial counts as lost, and the study stops, since every
        further trial would meet it too.
        """
        text, node, job = _error_text(trial), self._node_of(trial), trial.config["job"]
        full = any(sign in text for sign in FULL_DISK)
        lost = full or node_lost(text)
        if lost is None and node is not None:
            question = NodeQuestion(node, NODE_PATIENCE_S)
            doubt = _Doubt(job["trial"], job["attempt"], _reason(trial), question)
            _DOUBTS[self.key].append(doubt)
        else:
            # silent before it could say where it is: nothing of the trial has run yet
            self._failed(trial, _reason(trial), lost=lost is not False)
        engine = _ENGINES[self.key]
        if full and engine.error is None:
            engine.error = no_space("the study's files", engine.folder, _reason(trial))

    def _failed(self, trial: Any, reason: str, *, lost: bool = False) -> None:
        engine = _ENGINES[self.key]
        with _kept_errors(engine):
            job = trial.config["job"]
            engine.on_failure(job["trial"], job["attempt"], reason, lost=lost)

    def _node_of(self, trial: Any) -> str | None:
        """Return the id of the node that a trial's process is on, None where it never answered."""
        answer = _PLACES[self.key].get(trial.trial_id)
        if answer is None:
            return None
        try:
            return str(ray.get(answer, timeout=0))
        except RayError:
            return None


class EngineCallback(tune.Callback):
    """Asks each process on which node it is, before it does anything for its trial."""

    def __init__(self, key: str) -> None:
        """Remember under which key the engine is found."""
        self.key = key

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Ask; the answer is there long before it is wanted, and nobody waits for it."""
        process = trial.temporary_state.ray_actor  # Tune has no other word for it
        _PLACES[self.key][trial.trial_id] = process.__ray_call__.remote(own_node)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Forget where it was."""
        _PLACES[self.key].pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Forget where it was; the scheduler's hook, which wants to know, comes before."""
        _PLACES[self.key].pop(trial.trial_id, None)


def _error_text(trial: Any) -> str:
    file = trial.error_file
    if not file:
        return ""
    with open(file, encoding="utf-8", errors="replace") as opened:
        return opened.read()


def _reason(trial: Any) -> str:
    lines = [line for line in _error_text(trial).splitlines() if line.strip()]
    return lines[-1][:300] if lines else "the trial's process died"


def node_lost(error: str) -> bool | None:
    """Say whether a trial failed because its node went away, which is never its own fault.

    Args:
        error: Tune's text of the failure.

    Returns:
        None where the text does not tell: the process does not answer, because it died or its
        whole node did. Ray may need most of a minute to know.
    """
    if any(sign in error for sign in NODE_SIGNS):
        return True
    return None if any(sign in error for sign in LOST_CONTACT) else False


def _process_starts(tune_controller: Any, trial: Any) -> bool:
    """Say whether a process is being started for a trial that waits; Tune has no public word."""
    actor = tune_controller._trial_to_actor.get(trial)
    return actor is not None and bool(tune_controller._actor_manager.is_actor_started(actor))
