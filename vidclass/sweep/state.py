"""The state of a study: what the ledger says, in a form that decisions and reports can read.

``apply`` folds one event into the state in O(1); ``replay`` folds a whole ledger. Nothing else
changes a state, so whatever is decided from one can be decided again from the file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidclass.sweep.ledger import Event, read_events

__all__ = [
    "ENDED_WELL",
    "Attempt",
    "Epoch",
    "Final",
    "State",
    "Trial",
    "apply",
    "replay",
    "fold_in",
]

ENDED_WELL = frozenset({"completed", "stopped"})
"""Statuses of a trial whose scores count; the others are failures, divergence and collapse."""


@dataclass
class Epoch:
    """One reported epoch of a trial (``epoch`` counts from 1)."""

    epoch: int
    attempt: int
    time: float
    metrics: dict[str, float]
    checkpoint: str | None
    best: bool


@dataclass
class Attempt:
    """One try at carrying a trial out: a crash or a lost node leads to the next attempt."""

    number: int
    resume_from: str | None
    started_at: float | None = None
    ended_at: float | None = None
    status: str | None = None
    node: str | None = None
    machine: str = ""
    """The node's type in the cluster file, where the autoscaler started it."""


@dataclass
class Trial:
    """One training: what was asked for, and what has been reported of it so far."""

    trial: str
    kind: str
    arm: str
    fold: int
    seed: int
    number: int
    params: dict[str, Any]
    config: dict[str, Any]
    parent: str | None
    epochs_planned: int
    variant: str
    proposed_at: float
    attempts: list[Attempt] = field(default_factory=list)
    epochs: dict[int, Epoch] = field(default_factory=dict)
    status: str | None = None
    reason: str = ""
    best_epoch: int | None = None
    best_value: float | None = None
    best_checkpoint: str | None = None
    ended_at: float | None = None
    weights_sha256: list[str] = field(default_factory=list)
    seconds_features: float = 0.0
    """Time in which this trial made features that others then found there."""

    @property
    def ended(self) -> bool:
        """Whether the trial will not run again."""
        return self.status is not None

    @property
    def ended_well(self) -> bool:
        """Whether the trial ended with a score that counts."""
        return self.status in ENDED_WELL

    @property
    def attempt(self) -> int:
        """The number of the newest attempt, from 1."""
        return self.attempts[-1].number

    @property
    def seconds(self) -> float:
        """Wall seconds of all attempts that ended, and of the running one up to its last epoch."""
        total = 0.0
        for attempt in self.attempts:
            if attempt.started_at is None:
                continue
            times = [e.time for e in self.epochs.values() if e.attempt == attempt.number]
            end = attempt.ended_at or max(times, default=attempt.started_at)
            total += max(0.0, end - attempt.started_at)
        return total


@dataclass
class Final:
    """The one scoring of a final (or control) trial on the test set of its fold."""

    trial: str
    arm: str
    fold: int
    seed: int
    variant: str
    metrics: dict[str, float]
    clip_metrics: dict[str, float]
    perturbations: dict[str, dict[str, float]]
    predictions: str
    checkpoint: str | None
    time: float
    thresholds: tuple[float, ...] | None = None


@dataclass
class State:
    """All that a ledger says about its study."""

    spec: dict[str, Any] = field(default_factory=dict)
    started: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    floors: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    winners: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    finals: dict[str, Final] = field(default_factory=dict)
    declared: dict[str, Any] | None = None
    champion: dict[str, Any] | None = None
    sessions: list[tuple[float, float]] = field(default_factory=list)
    interruptions: int = 0
    ended_at: float | None = None
    end_reason: str = ""
    reported: bool = False
    num_events: int = 0
    last_time: float = 0.0

    def select(self, **wanted: object) -> list[Trial]:
        """Return the trials whose fields equal ``wanted``, in the order of proposal."""
        return [
            trial
            for trial in self.trials.values()
            if all(getattr(trial, name) == value for name, value in wanted.items())
        ]

    @property
    def running(self) -> list[Trial]:
        """Trials that were proposed and have not ended."""
        return [trial for trial in self.trials.values() if not trial.ended]

    @property
    def seconds(self) -> float:
        """Wall seconds in which some driver worked on the study, all sessions together."""
        return sum(end - start for start, end in self.sessions)


_NO_WORK = frozenset({"study_started", "study_resumed", "reported"})
"""Events that no work led up to: the time between a study's end and its report is the report's."""


def apply(state: State, event: Event) -> None:
    """Fold one event into ``state``; an event that this version does not know changes nothing."""
    state.num_events += 1
    state.last_time = event["time"]
    name = event["event"]
    state.reported = name == "reported"  # anything after it wants a new report
    if state.sessions and name not in _NO_WORK:
        state.sessions[-1] = (state.sessions[-1][0], event["time"])
    handler = _HANDLERS.get(name)
    if handler is not None:
        handler(state, event)


def fold_in(events: Iterable[Event]) -> State:
    """Return the state that ``events`` lead to."""
    state = State()
    for event in events:
        apply(state, event)
    return state


def replay(path: Path) -> State:
    """Return the state that the ledger at ``path`` leads to."""
    return fold_in(read_events(path))


def _study_started(state: State, event: Event) -> None:
    state.started = event
    state.spec = event["spec"]
    state.sessions.append((event["time"], event["time"]))


def _study_resumed(state: State, event: Event) -> None:
    state.sessions.append((event["time"], event["time"]))
    state.ended_at = None
    state.end_reason = ""


def _data_ready(state: State, event: Event) -> None:
    state.data = event


def _floor_scored(state: State, event: Event) -> None:
    state.floors[event["fold"], event["floor"]] = event


def _trial_proposed(state: State, event: Event) -> None:
    name = event["trial"]
    if name not in state.trials:
        state.trials[name] = Trial(
            trial=name,
            kind=event["kind"],
            arm=event["arm"],
            fold=event["fold"],
            seed=event["seed"],
            number=event["number"],
            params=event["params"],
            config=event["config"],
            parent=event["parent"],
            epochs_planned=event["epochs"],
            variant=event["variant"],
            proposed_at=event["time"],
        )
    trial = state.trials[name]
    trial.config = event["config"]
    trial.status = None
    trial.attempts.append(Attempt(event["attempt"], event["resume_from"]))


def _attempt(state: State, event: Event) -> Attempt | None:
    for attempt in reversed(state.trials[event["trial"]].attempts):
        if attempt.number == event["attempt"]:
            return attempt
    return None


def _trial_started(state: State, event: Event) -> None:
    attempt = _attempt(state, event)
    if attempt is not None:
        attempt.started_at = event["time"]
        attempt.node = event["node"]
        attempt.machine = event.get("machine", "")


def _trial_prepared(state: State, event: Event) -> None:
    trial = state.trials[event["trial"]]
    trial.weights_sha256 = event["weights_sha256"]
    trial.seconds_features += (event["features"] or {}).get("seconds", 0.0)


def _epoch(state: State, event: Event) -> None:
    trial = state.trials[event["trial"]]
    if event["epoch"] in trial.epochs:  # a resumed attempt repeats at most one: the first stands
        return
    trial.epochs[event["epoch"]] = Epoch(
        epoch=event["epoch"],
        attempt=event["attempt"],
        time=event["time"],
        metrics=event["metrics"],
        checkpoint=event["checkpoint"],
        best=event["best"],
    )


def _trial_ended(state: State, event: Event) -> None:
    trial = state.trials[event["trial"]]
    attempt = _attempt(state, event)
    if attempt is not None:
        attempt.ended_at = event["time"]
        attempt.status = event["status"]
    trial.status = event["status"]
    trial.reason = event["reason"]
    trial.best_epoch = event["best_epoch"]
    trial.best_value = event["best_value"]
    trial.best_checkpoint = event["best_checkpoint"]
    trial.ended_at = event["time"]


def _winner(state: State, event: Event) -> None:
    state.winners[event["arm"], event["fold"]] = event


def _final_scored(state: State, event: Event) -> None:
    state.finals[event["trial"]] = Final(
        trial=event["trial"],
        arm=event["arm"],
        fold=event["fold"],
        seed=event["seed"],
        variant=event["variant"],
        metrics=event["metrics"],
        clip_metrics=event["clip_metrics"],
        perturbations=event["perturbations"],
        predictions=event["predictions"],
        checkpoint=event["checkpoint"],
        time=event["time"],
        thresholds=tuple(event["thresholds"]) if event.get("thresholds") else None,
    )


def _comparisons_declared(state: State, event: Event) -> None:
    state.declared = event


def _champion(state: State, event: Event) -> None:
    state.champion = event


def _interrupted(state: State, event: Event) -> None:
    state.interruptions += 1


def _study_ended(state: State, event: Event) -> None:
    state.ended_at = event["time"]
    state.end_reason = event["reason"]


_HANDLERS = {
    "study_started": _study_started,
    "study_resumed": _study_resumed,
    "data_ready": _data_ready,
    "floor_scored": _floor_scored,
    "trial_proposed": _trial_proposed,
    "trial_started": _trial_started,
    "trial_prepared": _trial_prepared,
    "epoch": _epoch,
    "trial_ended": _trial_ended,
    "winner": _winner,
    "comparisons_declared": _comparisons_declared,
    "final_scored": _final_scored,
    "champion": _champion,
    "interrupted": _interrupted,
    "study_ended": _study_ended,
}
