"""One model trained, without a search: the same data, engine, checkpoints and files as a trial.

It is a study of one arm and one training, so its ledger says what was done, running it again goes
on where it was, and the test set is scored once and counted. There is no floor and no verdict: for
these run a study.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vidclass.data.readers import absolute_source, is_made
from vidclass.errors import UserError
from vidclass.models import ModelOptions, model_entry, validate_options
from vidclass.sweep.engine import Engine, Job
from vidclass.sweep.identity import check_identity, session_facts
from vidclass.sweep.job import run_job
from vidclass.sweep.load import LoadedStudy, parse_study, results_hash
from vidclass.sweep.lock import driver_lock
from vidclass.sweep.overrides import read_override
from vidclass.sweep.policy import Decision, Finished, Propose, Wait, retries
from vidclass.sweep.prepare import check_source, prepare_data
from vidclass.sweep.screen import Screen, duration
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial
from vidclass.sweep.stores import are_built
from vidclass.sweep.weights import check_weights

__all__ = ["Trained", "one_training", "train", "training_study"]

SECTIONS = ("data", "train", "budget")
"""Sections of a study file that `--set` reaches by their dotted names."""


@dataclass(frozen=True)
class Trained:
    """How a training ended."""

    name: str
    folder: Path
    trial: Trial
    metrics: dict[str, float]
    interrupted: bool = False


def training_study(
    model: str,
    data: str,
    *,
    epochs: int,
    seed: int,
    name: str | None = None,
    overrides: Sequence[str] = (),
) -> LoadedStudy:
    """Return the study of one training.

    Args:
        model: a registered name.
        data: folder of videos, or the name of a data set.
        epochs: passes over the training videos.
        seed: of weights, order and split.
        name: of the study's folder; by default ``train_MODEL@HASH`` of what shapes results.
        overrides: ``option=value`` of the model, ``field=value`` of the training, or the dotted
            name of a field of a study file, as ``data.window.span_s=2``.

    Raises:
        UserError: for an override that can't be read.
        UserErrors: for every option, field and value that there is not.
    """
    given = dict(read_override(item) for item in overrides)
    changes = {key: value for key, value in given.items() if key.split(".")[0] in SECTIONS}
    fixed = {key: value for key, value in given.items() if key not in changes}
    source = data if is_made(data) else f"--data {Path(data).name}"
    content = {
        "study": f"train_{model}"[:40],
        "data": {"source": source, "split": {"folds": None, "seed": seed}, **_form(model, fixed)},
        "budget": {"trials": 1, "epochs": epochs},
        "search": {"halving": None, "seed": seed},
        "finals": {"perturbations": False, "fewer_videos": []},
        "arms": [{"name": model[:40], "model": model, "fixed": fixed}],
    }
    spec = parse_study(yaml.safe_dump(content), source="vidclass train", changes=changes)
    words = ["vidclass train", f"--model {model}", "--data FOLDER", f"--epochs {epochs}"]
    words += [f"--seed {seed}", *(f"--set {item}" for item in overrides)]
    return LoadedStudy(
        spec=spec,
        name=name or f"{spec.study}@{results_hash(spec)[:8]}",
        source="vidclass train",
        command=" ".join(words),
        videos=data if is_made(data) else absolute_source(data),
    )


def _form(model: str, fixed: dict[str, Any]) -> dict[str, Any]:
    """Return window and size that are the model's own, and a store that holds them."""
    known = model_entry(model).options.model_fields
    own = {key: value for key, value in fixed.items() if key in known}
    options: ModelOptions = validate_options(model, own)
    return {
        "input_size": options.input_size,
        "window": {"num_frames": options.window_frames},
        "store": {"short_side": max(options.input_size, 16)},
    }


def one_training(state: State, spec: StudySpec, *, worked_seconds: float = 0.0) -> Decision:
    """Decide what is next of a study of one training: it, its further attempts, its end.

    The arguments are those of :func:`vidclass.sweep.policy.decide`.
    """
    for again in retries(state, spec):
        return again
    trials = list(state.trials.values())
    if not trials:
        return Propose("final", spec.arms[0].name, 0, 1, spec.search.seed, {})
    return Finished("complete") if all(trial.ended for trial in trials) else Wait()


def train(loaded: LoadedStudy, home: Path, screen: Screen) -> Trained:
    """Train the model of ``loaded``, or go on with it, and write the files of a trial.

    Raises:
        UserError: for every mistake that the user can mend; what was trained is kept.
    """
    folder = home / "studies" / loaded.name
    if not (folder / "ledger.jsonl").exists():
        check_source(loaded.videos, loaded.spec.data, home)
        check_weights(loaded.spec)
    folder.mkdir(parents=True, exist_ok=True)
    with driver_lock(folder):
        engine = Engine(loaded.spec, loaded.name, home, loaded.videos, decide=one_training)
        try:
            check_identity(engine, loaded)
            return _worked(engine, loaded, screen)
        finally:
            engine.close()


def _worked(engine: Engine, loaded: LoadedStudy, screen: Screen) -> Trained:
    interrupted = False
    try:
        if engine.state.end_reason != "complete":
            _prepare(engine, loaded, screen)
            screen.warn(engine.state.data.get("warnings", ()))
            while (job := engine.propose()) is not None:
                _run(engine, job, screen.say)
            engine.append("study_ended", reason=engine.finished)
    except KeyboardInterrupt:
        engine.append("interrupted", reason="Ctrl-C")
        interrupted = True
    if not engine.state.trials:
        raise KeyboardInterrupt
    (trial,) = engine.state.trials.values()
    final = engine.state.finals.get(trial.trial)
    if trial.ended:
        _write_files(engine, trial)
    metrics = final.metrics if final else {}
    return Trained(engine.name, engine.folder, trial, metrics, interrupted)


def _prepare(engine: Engine, loaded: LoadedStudy, screen: Screen) -> None:
    session_facts(engine, loaded, slots=1)
    engine.recover()
    if are_built(engine.state, engine.home):
        prepare_data(engine, screen.data_progress)
        return
    from vidclass.sweep.cluster import cluster  # Ray decodes; training needs none

    with cluster():
        prepare_data(engine, screen.data_progress)


def _run(engine: Engine, job: Job, say: Callable[[str], None]) -> None:
    """Carry out a job in this process and tell each epoch."""
    started = time.monotonic()
    first = len(engine.state.trials[job["trial"]].epochs)
    epochs = job["config"]["train"]["epochs"]

    def report(message: str, payload: dict[str, Any]) -> None:
        engine.on_message(job["trial"], job["attempt"], message, payload)
        if message == "epoch":
            done = payload["epoch"] - first
            left = (time.monotonic() - started) / done * (epochs - payload["epoch"])
            say(_epoch_line(payload, epochs, left))

    try:
        # Alone on the machine: all its cores, where a trial of a study has one.
        run_job({**job, "num_threads": os.cpu_count() or 1}, engine.home, report)
    except Exception as error:
        engine.on_failure(job["trial"], job["attempt"], f"{type(error).__name__}: {error}")
        raise


def _epoch_line(payload: dict[str, Any], epochs: int, seconds_left: float) -> str:
    metrics = payload["metrics"]
    valid = {key: value for key, value in metrics.items() if key.startswith("valid_")}
    told = [f"{key.removeprefix('valid_')} {value:.4f}" for key, value in sorted(valid.items())]
    best = ", the best so far" if payload["best"] else ""
    return (
        f"epoch {payload['epoch']} of {epochs}: train loss {metrics['train_loss']:.4f}, accuracy "
        f"{metrics['train_accuracy']:.4f}; valid {', '.join(told[:3])}{best}; "
        f"{duration(seconds_left)} left"
    )


def _write_files(engine: Engine, trial: Trial) -> None:
    """Write params.json, results.json, fit_history.csv, the confusion, and the weights."""
    import torch

    from vidclass.tracking.artifacts import trial_files  # MLflow takes two seconds to import
    from vidclass.tracking.cost import cost_of
    from vidclass.training.checkpoints import CheckpointFolder

    cost = cost_of(trial.config, len(engine.state.data["classes"]))
    trial_files(engine.state, engine.name, engine.folder, trial, cost)
    if trial.best_checkpoint is None:
        return
    checkpoints = CheckpointFolder(engine.folder / "checkpoints" / trial.trial)
    place = engine.folder / "artifacts" / trial.trial
    torch.save(checkpoints.load_weights(trial.best_checkpoint), place / "model.pt")


def refuse_several_folds(spec: StudySpec) -> None:
    """Refuse a division into folds: one training has one test set.

    Raises:
        UserError: when the study has outer folds.
    """
    if spec.data.split.folds is not None:
        raise UserError(
            "one training has one division into train, valid and test",
            f"data.split.folds: {spec.data.split.folds}",
            "leave it out; or write a study file and run `vidclass sweep run`",
        )
