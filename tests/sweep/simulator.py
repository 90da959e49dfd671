"""A study without training: the real engine and ledger, driven by outcomes that a rule gives.

The outcome of an epoch depends on (arm, seed, epoch) alone, so that a study that was cut short and
resumed has to come to the same end as one that was not.
"""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vidclass.sweep.engine import Engine, Job
from vidclass.sweep.load import parse_study, results_hash
from vidclass.sweep.policy import seed_of
from vidclass.sweep.spec import StudySpec

STUDY = """
study: simulated
arms:
  - {name: single, model: single_frame, search: {lr: {low: 0.001, high: 0.01, log: true}}}
  - {name: slow, model: slow_fusion, search: {lr: {low: 0.001, high: 0.01, log: true}}}
budget: {trials: 4, epochs: 4}
search: {halving: {min_epochs: 2, reduction: 2}}
"""


def study(**changes: Any) -> StudySpec:
    """Return the simulated study with fields changed by dotted name (``__`` for a dot)."""
    return parse_study(STUDY, changes={k.replace("__", "."): v for k, v in changes.items()})


@dataclass
class Simulation:
    """Runs an engine's jobs on ``slots`` slots, one message at a time."""

    spec: StudySpec
    home: Path
    folds: int = 1
    slots: int = 2
    outcomes: dict[str, str] = field(default_factory=dict)
    """Status that a trial's first attempts end with instead of completing: failed, diverged ..."""
    broken_arms: tuple[str, ...] = ()
    """Arms whose trainings crash before their first epoch, in every attempt."""

    def open(self) -> Engine:
        """Return the engine as a driver would open it, data phase included."""
        engine = Engine(self.spec, "simulated", self.home)
        if not engine.state.started:
            spec = self.spec.model_dump(mode="json")
            engine.append(
                "study_started", spec=spec, spec_hash=results_hash(self.spec), slots=self.slots
            )
        else:
            engine.append("study_resumed", slots=self.slots)
        engine.recover()
        if not engine.state.data:
            engine.append(
                "data_ready",
                content_hash="c" * 64,
                split_hash="s" * 64,
                store_key="k",
                classes=["a", "b"],
                folds=self.folds,
            )
        return engine

    def run(self, engine: Engine, max_messages: int | None = None) -> int:
        """Carry jobs out until the study is finished or ``max_messages`` were sent."""
        sent = 0
        live: deque[tuple[Job, deque[tuple[str, dict[str, Any]]]]] = deque()
        while True:
            while len(live) < self.slots and (job := engine.propose()) is not None:
                live.append((job, deque(self.messages(job, engine))))
            if not live:
                return sent
            if max_messages is not None and sent >= max_messages:
                return sent
            job, messages = live.popleft()
            message, payload = messages.popleft()
            sent += 1
            if message == "crash":
                engine.on_failure(job["trial"], job["attempt"], "it crashed")
                continue
            stop = engine.on_message(job["trial"], job["attempt"], message, payload)
            if messages and not stop:
                live.append((job, messages))

    def messages(self, job: Job, engine: Engine) -> list[tuple[str, dict[str, Any]]]:
        """Return what the trial of ``job`` will say."""
        told: list[tuple[str, dict[str, Any]]] = [("started", {"node": "here", "pid": 1})]
        ended = ("ended", {"status": "completed", "reason": ""})
        if job["kind"] == "floors":
            metrics = {"accuracy": 0.5}
            floor = {"floor": "majority", "metrics": metrics, "predictions": "p"}
            return [*told, ("floor", floor), ended]
        if job["arm"] in self.broken_arms:
            return [*told, ("crash", {})]
        outcome = self.outcomes.get(job["trial"])
        first = int((job["resume_from"] or "0").split(".")[0]) + 1
        for epoch in range(first, job["config"]["train"]["epochs"] + 1):
            if outcome == "failed" and job["attempt"] == 1 and epoch == 2:
                return [*told, ("crash", {})]
            if outcome in ("diverged", "collapsed", "out_of_memory") and epoch == 2:
                if outcome != "out_of_memory" or job["attempt"] == 1:
                    return [*told, ("ended", {"status": outcome, "reason": "as asked"})]
            value = value_of(job["arm"], job["seed"], epoch)
            metrics = {"valid_accuracy": value, "valid_loss": 1 - value, "valid_log_loss": 1.0}
            checkpoint = f"{epoch}.{job['attempt']}"
            told.append(
                (
                    "epoch",
                    {"epoch": epoch, "metrics": metrics, "checkpoint": checkpoint, "best": True},
                )
            )
        if job["kind"] in ("final", "control"):
            folder = engine.folder / "artifacts" / job["trial"]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "test_predictions.parquet.aside").write_text("scored")
            scored = {
                "metrics": {"accuracy": 0.9},
                "clip_metrics": {"accuracy": 0.9},
                "perturbations": {},
                "predictions": f"artifacts/{job['trial']}/test_predictions.parquet",
                "checkpoint": "best-4.1",
            }
            told.append(("scored", scored))
        return [*told, ended]


def value_of(arm: str, seed: int, epoch: int) -> float:
    """Return the validation accuracy that a simulated trial reports."""
    return 0.3 + 0.1 * epoch + (seed_of(arm, seed) % 1000) / 10_000


def summary(engine: Engine) -> dict[str, Any]:
    """Return what must not depend on how often a study was interrupted."""
    trials = engine.state.trials.values()
    return {
        "trials": sorted((t.trial, t.kind, t.arm, t.fold, t.seed, t.status) for t in trials),
        "params": {t.trial: t.params for t in trials},
        "scored": sorted(engine.state.finals),
        "winners": {key: event["trial"] for key, event in engine.state.winners.items()},
    }
