"""The study engine: carries out what ``policy`` decides, and writes every word of it down first.

The engine knows nothing of Ray. An adapter asks it for jobs (``propose``), and tells it what came
of them (``on_message``, ``on_failure``). Whatever it answers follows from the ledger.
"""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidclass.sweep.arm_stores import store_key_of
from vidclass.sweep.exposure import record_exposure
from vidclass.sweep.ledger import Ledger
from vidclass.sweep.load import trial_config
from vidclass.sweep.placement import half_batch
from vidclass.sweep.points import next_point, sampler_name
from vidclass.sweep.policy import (
    SCORED_KINDS,
    Decision,
    Finished,
    Propose,
    Record,
    Retry,
    Wait,
    decide,
    search_kind,
    should_stop,
)
from vidclass.sweep.refit import kept_epoch, refitted
from vidclass.sweep.sharing import Gate
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial, apply, replay
from vidclass.training.checkpoints import CheckpointFolder

__all__ = ["Engine", "Job", "job_data"]

NOT_THE_END = frozenset({"failed", "lost", "out_of_memory"})
"""Statuses after which a further attempt may go on from the trial's last checkpoint."""
SAME_IN_ALL_ATTEMPTS = (
    "trial",
    "kind",
    "arm",
    "fold",
    "seed",
    "number",
    "params",
    "parent",
    "variant",
)

Job = dict[str, Any]
"""What travels to a trial: plain data only, every path relative to home."""


@dataclass
class Engine:
    """One study that is being worked on.

    Args:
        spec: the study.
        name: its folder's name.
        home: the home folder; the study lies in home/studies/NAME.
        videos: where its videos are: a folder, or the name of a data set.
        plugins: modules or files that every trial loads first.
        decide: what to do next, of state and spec; a single training has a policy of its own.
        gate: asked before each trial on a cluster that studies share; None starts them all.

    Attributes:
        slots: processes that may train at once, of which a trial takes one for each of its
            workers; None does not count them.
        streams: whether the clips of trials with several workers come by a stream.
    """

    spec: StudySpec
    name: str
    home: Path
    videos: str = ""
    plugins: tuple[str, ...] = ()
    decide: Callable[..., Decision] = decide
    gate: Gate | None = field(init=False, default=None)
    slots: int | None = field(init=False, default=None)
    streams: bool = field(init=False, default=False)
    state: State = field(init=False)
    ledger: Ledger = field(init=False)
    error: BaseException | None = field(init=False, default=None)
    finished: str = field(init=False, default="")
    changing: threading.Lock = field(init=False, default_factory=threading.Lock)
    """Held while the state changes, and by the screen's thread while it counts."""

    def __post_init__(self) -> None:
        """Read the ledger and open it for writing."""
        path = self.folder / "ledger.jsonl"
        self.state = replay(path)
        self.ledger = Ledger(path)

    @property
    def folder(self) -> Path:
        """The study's folder."""
        return self.home / "studies" / self.name

    def append(self, event: str, **fields: Any) -> None:
        """Write an event and fold it into the state: the one way in which a study changes."""
        written = self.ledger.append(event, **fields)
        with self.changing:
            apply(self.state, written)

    # -- what an adapter asks ---------------------------------------------------------------

    def propose(self) -> Job | None:
        """Return the next job, or None when nothing can start now.

        ``finished`` is set once nothing is left at all.
        """
        while not self.finished:
            decision = self.decide(self.state, self.spec, worked_seconds=self.state.seconds)
            if not self._has_room(decision) or self._closed(decision):
                return None
            match decision:
                case Record():
                    self.append(decision.event, **decision.fields)
                    if decision.event == "winner":
                        self._drop_losers(decision.fields)
                case Propose():
                    return self._start(decision)
                case Retry():
                    return self._retry(decision)
                case Wait():
                    return None
                case Finished():
                    self.finished = decision.reason
        return None

    def _closed(self, decision: Decision) -> bool:
        """Ask the gate for the slot that ``decision`` needs."""
        if self.gate is None:
            return False
        if isinstance(decision, Wait):
            self.gate.idle(self._busy)
        if not isinstance(decision, Propose | Retry):
            return False
        # the gate asks for one slot more; the further workers of the trial come on top
        return not self.gate.may_start(self._busy + self._workers_of(decision) - 1)

    def on_message(self, trial: str, attempt: int, message: str, payload: dict[str, Any]) -> bool:
        """Take what a trial reports and return whether it must stop now.

        A message of an attempt that is no longer the newest comes from a node given up for lost:
        it is ignored, and its sender stopped.
        """
        known = self.state.trials[trial]
        if known.ended or attempt != known.attempt:
            return True
        if message == "epoch":
            self.append("epoch", trial=trial, attempt=attempt, **payload)
            return self._stopped_by_halving(known, payload["epoch"])
        if message == "scored":
            self._scored(known, payload)
        elif message == "floor":
            self._floor_scored(known, payload)
        elif message == "ended":
            self._ended(known, payload["status"], payload["reason"])
        else:
            self.append(f"trial_{message}", trial=trial, attempt=attempt, **payload)
        return False

    def on_failure(self, trial: str, attempt: int, reason: str, *, lost: bool = False) -> None:
        """Take note that a trial's process died (``lost``: that its node went away)."""
        known = self.state.trials[trial]
        if not known.ended and attempt == known.attempt:
            self._ended(known, "lost" if lost else "failed", reason)

    def recover(self) -> None:
        """Bring the state to where work can go on after any kind of end of the last driver.

        Final scores whose files were still aside are completed, an epoch whose checkpoint was
        written but not yet reported is taken into the ledger, and trials without a process are
        lost: their next attempt continues from the newest checkpoint.
        """
        for final in self.state.finals.values():
            self._publish(self.state.trials[final.trial])
        for trial in self.state.running:
            if trial.trial in self.state.finals:
                self._ended(trial, "completed", "")
                continue
            self._adopt_unreported_epoch(trial)
            self._ended(trial, "lost", "the driver ended before the trial did")

    # -- how it is done ---------------------------------------------------------------------

    @property
    def _busy(self) -> int:
        """Slots that running trials have: one for each of their workers."""
        return sum(self.spec.workers_of(trial.arm) for trial in self.state.running)

    def _workers_of(self, decision: Propose | Retry) -> int:
        if isinstance(decision, Retry):
            return self.spec.workers_of(self.state.trials[decision.trial].arm)
        return self.spec.workers_of(decision.arm)

    def _has_room(self, decision: Decision) -> bool:
        """Say whether a trial that ``decision`` starts finds a slot for each of its workers."""
        if self.slots is None or not isinstance(decision, Propose | Retry):
            return True
        return self._busy + self._workers_of(decision) <= self.slots

    def _start(self, proposal: Propose) -> Job:
        number = len(self.state.trials) + 1
        trial = f"t{number:04d}"
        if proposal.kind == "floors":
            config: dict[str, Any] = {"model": "floors", "options": {}, "train": {"epochs": 0}}
            params: dict[str, Any] = {}
        else:
            arm = self.spec.arm(proposal.arm)
            params = (
                next_point(self.state, self.spec, arm, proposal.fold, proposal.number)
                if proposal.params is None
                else proposal.params
            )
            config = trial_config(self.spec, arm, params)
            if proposal.params is not None:
                # a final is trained to its end whatever it learns: that is what it measures
                config["train"]["collapse_after"] = 0
            if self.spec.finals.refit and proposal.kind in SCORED_KINDS:
                config = refitted(config)
        self.append(
            "trial_proposed",
            trial=trial,
            kind=proposal.kind,
            arm=proposal.arm,
            fold=proposal.fold,
            seed=proposal.seed,
            number=proposal.number,
            params=params,
            config=config,
            parent=proposal.parent,
            epochs=config["train"]["epochs"],
            variant=proposal.variant,
            attempt=1,
            resume_from=None,
            source=sampler_name(self.spec) if proposal.params is None else "policy",
        )
        return self._job(self.state.trials[trial])

    def _retry(self, decision: Retry) -> Job:
        trial = self.state.trials[decision.trial]
        config = trial.config
        if decision.halve_batch:
            train = half_batch(config["train"], self.spec.workers_of(trial.arm))
            config = {**config, "train": train}
        self.append(
            "trial_proposed",
            **{name: getattr(trial, name) for name in SAME_IN_ALL_ATTEMPTS},
            config=config,
            epochs=trial.epochs_planned,
            attempt=trial.attempt + 1,
            resume_from=None if decision.halve_batch else self._newest_checkpoint(trial),
            source="retry",
        )
        return self._job(trial)

    def _job(self, trial: Trial) -> Job:
        newest = trial.attempts[-1]
        workers = self.spec.workers_of(trial.arm)
        return {
            **job_data(self.state, trial.config),
            "study": self.name,
            "trial": trial.trial,
            "attempt": newest.number,
            "resume_from": newest.resume_from,
            "kind": trial.kind,
            "arm": trial.arm,
            "fold": trial.fold,
            "seed": trial.seed,
            "variant": trial.variant,
            "config": trial.config,
            "select": f"valid_{self.spec.primary.metric}",
            "perturbations": self.spec.finals.perturbations,
            "floors": self.spec.floors.model_dump(mode="json"),
            "plugins": list(self.plugins),
            "workers": workers,
            "stream": self.streams and workers > 1,
        }

    def _stopped_by_halving(self, trial: Trial, epoch: int) -> bool:
        if not should_stop(self.state, self.spec, trial, epoch):
            return False
        self._ended(trial, "stopped", f"successive halving at epoch {epoch}")
        return True

    def _ended(self, trial: Trial, status: str, reason: str) -> None:
        name = f"valid_{self.spec.primary.metric}"
        best = kept_epoch(trial, name)
        self.append(
            "trial_ended",
            trial=trial.trial,
            attempt=trial.attempt,
            status=status,
            reason=reason,
            best_epoch=best.epoch if best else None,
            best_value=best.metrics[name] if best else None,
            best_checkpoint=f"best-{best.checkpoint}" if best and best.checkpoint else None,
        )
        if status not in NOT_THE_END:
            self._checkpoints(trial, trial.attempt).keep_only(trial.best_checkpoint)

    def _drop_losers(self, winner: dict[str, Any]) -> None:
        """Remove the weights of searched and re-run trials that did not win their arm and fold."""
        for trial in self.state.trials.values():
            rival = trial.arm == winner["arm"] and trial.fold == winner["fold"]
            searched = trial.kind == "rerun" or trial.kind == search_kind(trial.fold)
            if rival and searched and trial.trial != winner["trial"]:
                shutil.rmtree(self.folder / "checkpoints" / trial.trial, ignore_errors=True)

    def _scored(self, trial: Trial, payload: dict[str, Any]) -> None:
        self.append(
            "final_scored",
            trial=trial.trial,
            arm=trial.arm,
            fold=trial.fold,
            seed=trial.seed,
            variant=trial.variant,
            **payload,
        )
        self._publish(trial)

    def _floor_scored(self, trial: Trial, payload: dict[str, Any]) -> None:
        if (trial.fold, payload["floor"]) not in self.state.floors:
            self.append("floor_scored", fold=trial.fold, trial=trial.trial, **payload)

    def _publish(self, trial: Trial) -> None:
        """Rename what a scored trial wrote aside, and count the exposure of its test set, once."""
        for aside in sorted((self.folder / "artifacts" / trial.trial).glob("*.aside")):
            aside.replace(aside.with_suffix(""))
        record_exposure(
            self.home,
            content_hash=self.state.data["content_hash"],
            split_hash=self.state.data["split_hash"],
            study=self.name,
            trial=trial.trial,
            scored_at=self.state.finals[trial.trial].time,
        )

    def _checkpoints(self, trial: Trial, attempt: int) -> CheckpointFolder:
        return CheckpointFolder(self.folder / "checkpoints" / trial.trial, attempt)

    def _newest_checkpoint(self, trial: Trial) -> str | None:
        """Return the newest checkpoint in the ledger that its sidecar confirms."""
        whole = set(self._checkpoints(trial, trial.attempt).names())
        for epoch in sorted(trial.epochs.values(), key=lambda e: -e.epoch):
            if epoch.checkpoint in whole:
                return epoch.checkpoint
        return None

    def _adopt_unreported_epoch(self, trial: Trial) -> None:
        """Give the ledger the epoch whose checkpoint exists but whose report was never written."""
        epoch = max(trial.epochs, default=0) + 1
        name = f"{epoch}.{trial.attempt}"
        folder = self._checkpoints(trial, trial.attempt)
        if name in folder.names():
            self.append(
                "epoch",
                trial=trial.trial,
                attempt=trial.attempt,
                epoch=epoch,
                metrics=folder.sidecar(name).metrics,
                checkpoint=name,
                best=False,
            )

    def close(self) -> None:
        """Sync and close the ledger."""
        self.ledger.close()


def job_data(state: State, config: dict[str, Any]) -> dict[str, Any]:
    """Return what a job says of the data: the study's fields, and over them those of the trial."""
    data = state.spec["data"] | config.get("data", {})
    return {
        "task": data.get("task", "multiclass"),
        "classes": state.data["classes"],
        "samples": state.data.get("samples"),
        "label_from": (data.get("windows") or {}).get("label_from", "last"),
        "store_key": store_key_of(state.data, data["store"]),
        "window": data["window"],
        "input_size": data["input_size"],
        "geometry": data["geometry"],
        "input": data.get("input", "rgb"),  # as are the next two
        "sampling": data.get("sampling", {}),  # absent from ledgers of the first version
        "crop": data.get("crop", {}),
        "views": data["views"],
        "augment": data["augment"],
    }
