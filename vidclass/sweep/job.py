"""What one job does in its worker process: train, or run the floors, and report.

Nothing here knows Ray: ``report(message, payload)`` is all that leads out. A job gets plain data,
finds its study below the home folder of its own node, and never decides what to resume from.
"""

import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidclass.data.sampling import Order
from vidclass.home import studies_folder
from vidclass.models import FeatureSource, ModelEntry, create_model, model_entry
from vidclass.models.backbones import source_hash
from vidclass.models.pretrained import NO_WEIGHTS
from vidclass.sweep import predictions as files
from vidclass.sweep.features import feature_source_of, features_of
from vidclass.sweep.floor_job import run_floors
from vidclass.sweep.job_data import (
    Job,
    device,
    input_of,
    order_of,
    pretraining_data,
    seen_store,
    split_data,
)
from vidclass.sweep.policy import SCORED_KINDS
from vidclass.sweep.refit import is_refit
from vidclass.training import metrics
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.evaluate import Predictions, evaluate, recalibrate_batch_norm
from vidclass.training.fit import EpochReport, FitResult, fit
from vidclass.training.scoring import Thresholds, scores
from vidclass.training.workers import ALONE, Workers

__all__ = ["Join", "Report", "alone", "build_model", "follow_job", "run_job"]

Report = Callable[[str, dict[str, Any]], None]
Join = Callable[[], AbstractContextManager[Workers]]
"""Brings the workers of a trial together, for the time in which they train."""

PERTURBATIONS: tuple[Order, ...] = ("shuffled", "reversed", "frozen")


def alone() -> AbstractContextManager[Workers]:
    """Train without company."""
    return nullcontext(ALONE)


def run_job(job: Job, home: Path, report: Report, join: Join = alone) -> None:
    """Carry out ``job`` and report ``started``, then what it makes, then ``ended``."""
    machine = os.environ.get("RAY_NODE_TYPE_NAME", "")
    report("started", {"node": socket.gethostname(), "pid": os.getpid(), "machine": machine})
    if job["kind"] == "floors":
        run_floors(job, home, report)
        report("ended", {"status": "completed", "reason": ""})
        return
    model = build_model(job)
    report("prepared", _prepared(job, home, model))
    try:
        with join() as workers:
            result = _train(job, home, model, report, workers)
        if result.status == "completed" and job["kind"] in SCORED_KINDS:
            _score(job, home, model, result, report)
    except torch.OutOfMemoryError as error:
        report("ended", {"status": "out_of_memory", "reason": str(error).splitlines()[0]})
        return
    report("ended", {"status": result.status, "reason": result.reason})


def follow_job(job: Job, home: Path, workers: Workers) -> None:
    """Take part in the training of ``job`` as one of its workers after the first."""
    _train(job, home, build_model(job), lambda message, payload: None, workers)


def _prepared(job: Job, home: Path, model: torch.nn.Module) -> dict[str, Any]:
    """Make sure of the features that the model takes; return what they and its weights are."""
    hashes = {getattr(module, "weights_sha256", None) for module in model.modules()}
    payload: dict[str, Any] = {"features": None}
    source = feature_source_of(job)
    if source is not None:
        frames = seen_store(job, home)
        features, built = features_of(job, source, frames, home, device())
        if isinstance(source, FeatureSource):
            hashes.add(source_hash(source))
        payload["features"] = {"key": features.path.name, **asdict(built)}
    payload["weights_sha256"] = sorted(hashes - {None, NO_WEIGHTS})
    return payload


def build_model(job: Job) -> torch.nn.Module:
    """Return the job's untrained model."""
    config = job["config"]
    return create_model(config["model"], len(job["classes"]), **config["options"])


def _folder(job: Job, home: Path, room: str) -> Path:
    return studies_folder(home) / str(job["study"]) / room / str(job["trial"])


def _train(
    job: Job, home: Path, model: torch.nn.Module, report: Report, workers: Workers
) -> FitResult:
    config = TrainConfig.model_validate(job["config"]["train"])
    checkpoints = CheckpointFolder(_folder(job, home, "checkpoints"), job["attempt"])

    def on_epoch(epoch: EpochReport) -> bool:
        report(
            "epoch",
            {
                "epoch": epoch.epoch,
                "metrics": epoch.metrics,
                "checkpoint": epoch.checkpoint,
                "best": epoch.best,
            },
        )
        return False  # a stop comes from the scheduler, which ends this thread inside report()

    train, valid = split_data(job, home, "train"), split_data(job, home, "valid")
    return fit(
        model,
        train,
        valid,
        config,
        num_classes=len(job["classes"]),
        transform=input_of(job),
        device=device(),
        seed=job["seed"],
        select=job["select"],
        keep="last" if is_refit(job["config"]) else "best",
        report=on_epoch,
        num_threads=job.get("num_threads", 1),
        checkpoints=checkpoints,
        resume_from=job["resume_from"],
        pretrain_on=pretraining_data(job, home),
        report_pretraining=lambda told: report("pretrained", told._asdict()),
        workers=workers,
        stream=workers.open_stream(train, valid) if workers.open_stream else None,
    )


def _score(job: Job, home: Path, model: torch.nn.Module, result: FitResult, report: Report) -> None:
    """Score the best checkpoint on the test set of the job's fold.

    ``fit`` left ``model`` with those weights, read back from the file and verified.
    """
    model.to(device()).eval()
    predicted = _predict(job, home, model, order_of(job))
    entry = model_entry(job["config"]["model"])
    perturbed = job["perturbations"] and job["variant"] == "kept" and entry.uses_order
    perturbations = {
        order: _perturbed(job, home, model, order, result.thresholds)
        for order in (_perturbations(entry) if perturbed else ())
    }
    folder = _folder(job, home, "artifacts")
    for file, table in (
        (files.VIDEO_FILE, files.sample_predictions(predicted, job["fold"], result.thresholds)),
        (files.CLIP_FILE, files.clip_predictions(predicted, job["fold"], result.thresholds)),
    ):
        # renamed by the driver once the ledger says that the test set was scored
        files.write_table(table, folder / f"{file}.aside")
    report(
        "scored",
        {
            "metrics": scores(predicted.labels, predicted.prob_NK, result.thresholds),
            "clip_metrics": _clip_metrics(predicted, result.thresholds),
            "thresholds": result.thresholds,
            "perturbations": perturbations,
            "predictions": f"artifacts/{job['trial']}/{files.VIDEO_FILE}",
            "checkpoint": result.best_checkpoint,
        },
    )


def _perturbations(entry: ModelEntry) -> tuple[Order, ...]:
    """Return how frames are disturbed: at a step of a frozen stretch there is nothing to answer."""
    return tuple(o for o in PERTURBATIONS if not (entry.framewise and o == "frozen"))


def _predict(job: Job, home: Path, model: torch.nn.Module, order: Order) -> Predictions:
    train = TrainConfig.model_validate(job["config"]["train"])
    return evaluate(
        model,
        split_data(job, home, "test", order=order),
        transform=input_of(job),
        batch_size=train.batch_size,
        device=device(),
        precision=train.precision,
    )


def _perturbed(
    job: Job, home: Path, model: torch.nn.Module, order: Order, thresholds: Thresholds | None
) -> dict[str, float | list[list[int]]]:
    """Return the score on perturbed clips, and for one class a clip how the predictions moved."""
    train = TrainConfig.model_validate(job["config"]["train"])
    calibrated = recalibrate_batch_norm(
        model,
        split_data(job, home, "train", order=order),
        transform=input_of(job),
        batch_size=train.batch_size,
        device=device(),
        precision=train.precision,
    )
    predicted = _predict(job, home, calibrated, order)
    prob_NK = predicted.prob_NK
    measured = scores(predicted.labels, prob_NK, thresholds)
    if thresholds is not None:
        return {**measured}
    label_N = predicted.labels.astype(np.int64)
    confusion_KK = metrics.confusion(label_N, prob_NK.argmax(axis=1), prob_NK.shape[1])
    return {**measured, "confusion": confusion_KK.tolist()}


def _clip_metrics(predicted: Predictions, thresholds: Thresholds | None) -> dict[str, float]:
    of_clip_C = np.repeat(np.arange(len(predicted.sample_ids)), predicted.num_views)
    prob_CK = predicted.clip_prob_NVK.reshape(len(of_clip_C), -1)
    return scores(predicted.labels[of_clip_C], prob_CK, thresholds)
