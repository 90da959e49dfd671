"""What one job does in its worker process: train, or run the floors, and report.

Nothing here knows Ray: ``report(message, payload)`` is all that leads out. A job gets plain data,
finds its study below the home folder of its own node, and never decides what to resume from.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vidclass.data.clip_choice import ClipChoice
from vidclass.data.crops import CropOptions
from vidclass.data.feature_dataset import FeatureDataset, FeatureTransform
from vidclass.data.frame_store import FrameStore
from vidclass.data.manifest import read_manifest
from vidclass.data.sampling import ClipDataset, FramePositions, Order, Window
from vidclass.data.subset import share_of_groups
from vidclass.data.transforms import Augment, BatchTransform
from vidclass.home import store_folder, studies_folder
from vidclass.models import create_model, model_entry
from vidclass.models.pretrained import NO_WEIGHTS, weights_hash
from vidclass.sweep import predictions as files
from vidclass.sweep.features import feature_source_of, features_of
from vidclass.sweep.policy import FEWER_VIDEOS, share_of
from vidclass.training import metrics
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.evaluate import Predictions, evaluate, recalibrate_batch_norm
from vidclass.training.fit import EpochReport, FitResult, fit
from vidclass.training.floor_features import floor_features
from vidclass.training.floors import FLOORS, run_floor

__all__ = ["Report", "build_model", "clip_dataset", "run_job", "transform_of"]

Job = dict[str, Any]
Report = Callable[[str, dict[str, Any]], None]

SCORED_KINDS = frozenset({"final", "control", FEWER_VIDEOS})
"""Kinds of trial that see the test set, once, at their end."""
PERTURBATIONS: tuple[Order, ...] = ("shuffled", "reversed", "frozen")


def run_job(job: Job, home: Path, report: Report) -> None:
    """Carry out ``job`` and report ``started``, then what it makes, then ``ended``."""
    report("started", {"node": socket.gethostname(), "pid": os.getpid()})
    if job["kind"] == "floors":
        _run_floors(job, home, report)
        report("ended", {"status": "completed", "reason": ""})
        return
    model = build_model(job)
    report("prepared", _prepared(job, home, model))
    try:
        result = _train(job, home, model, report)
        if result.status == "completed" and job["kind"] in SCORED_KINDS:
            _score(job, home, model, result, report)
    except torch.OutOfMemoryError as error:
        report("ended", {"status": "out_of_memory", "reason": str(error).splitlines()[0]})
        return
    report("ended", {"status": result.status, "reason": result.reason})


def _prepared(job: Job, home: Path, model: torch.nn.Module) -> dict[str, Any]:
    """Make sure of the features that the model takes; return what they and its weights are."""
    hashes = {getattr(module, "weights_sha256", None) for module in model.modules()}
    payload: dict[str, Any] = {"features": None}
    source = feature_source_of(job)
    if source is not None:
        frames = _store(store_folder(home) / job["store_key"])
        features, built = features_of(job, source, frames, home, _device())
        hashes.add(weights_hash(source.backbone, source.weights))
        payload["features"] = {"key": features.path.name, **asdict(built)}
    payload["weights_sha256"] = sorted(hashes - {None, NO_WEIGHTS})
    return payload


@lru_cache(maxsize=2)
def _tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return read_manifest(folder / "manifest.parquet"), pd.read_parquet(folder / "splits.parquet")


@lru_cache(maxsize=2)
def _store(path: Path) -> FrameStore:
    return FrameStore.open(path)


def _split_table(job: Job, home: Path, split: str) -> pd.DataFrame:
    """Return video_id, label_id and group of one split of the job's fold."""
    manifest, splits = _tables(studies_folder(home) / job["study"])
    wanted = splits[(splits["fold"] == job["fold"]) & (splits["split"] == split)]
    rows = wanted[["video_id"]].merge(manifest, on="video_id")
    ids = {name: number for number, name in enumerate(job["classes"])}
    return pd.DataFrame(
        {"video_id": rows["video_id"], "label_id": rows["label"].map(ids), "group": rows["group"]}
    )


def clip_dataset(
    job: Job,
    store: FrameStore,
    table: pd.DataFrame,
    *,
    order: Order,
) -> ClipDataset:
    """Return the clips of ``table`` as the job's model sees them."""
    return ClipDataset(store, table, **_clip_settings(job, order))


def _clip_settings(job: Job, order: Order) -> dict[str, Any]:
    entry = model_entry(job["config"]["model"])
    window = Window(**job["window"])
    options = entry.options.model_validate(job["config"]["options"])
    positions: FramePositions = entry.frame_positions(window.num_frames, options)
    return {
        "window": window,
        "positions": positions,
        "input_size": job["input_size"],
        "geometry": job["geometry"],
        "views": job["views"],
        "order": order,
        "seed": job["seed"],
        "choice": ClipChoice.model_validate(job["sampling"]),
        "crop": CropOptions.model_validate(job["crop"]),
    }


def build_model(job: Job) -> torch.nn.Module:
    """Return the job's untrained model."""
    config = job["config"]
    return create_model(config["model"], len(job["classes"]), **config["options"])


def transform_of(job: Job) -> BatchTransform:
    """Return the job's way from uint8 clips to model input."""
    entry = model_entry(job["config"]["model"])
    pixels = entry.normalisation(entry.options.model_validate(job["config"]["options"]))
    augment = Augment.model_validate(job["augment"])
    return BatchTransform(pixels.mean, pixels.std, augment, job["classes"])


def _input_of(job: Job) -> BatchTransform:
    """Return the job's way from what is stored of a clip, frames or features, to model input."""
    return transform_of(job) if feature_source_of(job) is None else FeatureTransform()


def _order(job: Job) -> Order:
    return "shuffled" if job["variant"] == "shuffled" else "kept"


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _data(job: Job, home: Path, split: str, *, order: Order | None = None) -> ClipDataset:
    store = _store(store_folder(home) / job["store_key"])
    table = _split_table(job, home, split)
    if split == "train" and (share := share_of(job["variant"])) < 1.0:
        table = share_of_groups(table, share, seed=job["seed"])
    order = order or _order(job)
    source = feature_source_of(job)
    if source is None:
        return clip_dataset(job, store, table, order=order)
    features, _ = features_of(job, source, store, home, _device())
    return FeatureDataset(store, features, table, **_clip_settings(job, order))


def _folder(job: Job, home: Path, room: str) -> Path:
    return studies_folder(home) / str(job["study"]) / room / str(job["trial"])


def _train(job: Job, home: Path, model: torch.nn.Module, report: Report) -> FitResult:
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

    return fit(
        model,
        _data(job, home, "train"),
        _data(job, home, "valid"),
        config,
        num_classes=len(job["classes"]),
        transform=_input_of(job),
        device=_device(),
        seed=job["seed"],
        select=job["select"],
        report=on_epoch,
        checkpoints=checkpoints,
        resume_from=job["resume_from"],
    )


def _score(job: Job, home: Path, model: torch.nn.Module, result: FitResult, report: Report) -> None:
    """Score the best checkpoint on the test set of the job's fold.

    ``fit`` left ``model`` with those weights, read back from the file and verified.
    """
    model.to(_device()).eval()
    predicted = _predict(job, home, model, _order(job))
    entry = model_entry(job["config"]["model"])
    perturbed = job["perturbations"] and job["variant"] == "kept" and entry.uses_order
    perturbations = {
        order: _perturbed(job, home, model, order) for order in (PERTURBATIONS if perturbed else ())
    }
    folder = _folder(job, home, "artifacts")
    for file, table in (
        (files.VIDEO_FILE, files.video_table(predicted, job["fold"])),
        (files.CLIP_FILE, files.clip_table(predicted, job["fold"])),
    ):
        # renamed by the driver once the ledger says that the test set was scored
        files.write_table(table, folder / f"{file}.aside")
    report(
        "scored",
        {
            "metrics": files.score(predicted.label_N, predicted.prob_NK),
            "clip_metrics": _clip_metrics(predicted),
            "perturbations": perturbations,
            "predictions": f"artifacts/{job['trial']}/{files.VIDEO_FILE}",
            "checkpoint": result.best_checkpoint,
        },
    )


def _predict(job: Job, home: Path, model: torch.nn.Module, order: Order) -> Predictions:
    train = TrainConfig.model_validate(job["config"]["train"])
    return evaluate(
        model,
        _data(job, home, "test", order=order),
        transform=_input_of(job),
        batch_size=train.batch_size,
        device=_device(),
        precision=train.precision,
    )


def _perturbed(
    job: Job, home: Path, model: torch.nn.Module, order: Order
) -> dict[str, float | list[list[int]]]:
    """Return the score on perturbed clips, and for reversal how the predictions moved."""
    train = TrainConfig.model_validate(job["config"]["train"])
    calibrated = recalibrate_batch_norm(
        model,
        _data(job, home, "train", order=order),
        transform=_input_of(job),
        batch_size=train.batch_size,
        device=_device(),
        precision=train.precision,
    )
    predicted = _predict(job, home, calibrated, order)
    prob_NK = predicted.prob_NK
    confusion_KK = metrics.confusion(predicted.label_N, prob_NK.argmax(axis=1), prob_NK.shape[1])
    return {**files.score(predicted.label_N, prob_NK), "confusion": confusion_KK.tolist()}


def _clip_metrics(predicted: Predictions) -> dict[str, float]:
    label_C = np.repeat(predicted.label_N, predicted.num_views)
    return files.score(label_C, predicted.clip_prob_NVK.reshape(len(label_C), -1))


def _run_floors(job: Job, home: Path, report: Report) -> None:
    """Fit every floor on train + validation of the fold (nothing is tuned) and score it on test."""
    manifest, _ = _tables(studies_folder(home) / job["study"])
    store = _store(store_folder(home) / job["store_key"])
    tables = {name: _split_table(job, home, name) for name in ("train", "valid", "test")}
    table = pd.concat([tables["train"], tables["valid"], tables["test"]], ignore_index=True)
    num_fit = len(tables["train"]) + len(tables["valid"])
    videos = table[["video_id"]].merge(manifest, on="video_id")
    features = floor_features(store, videos, Window(**job["window"]), geometry=job["geometry"])
    rows = np.arange(len(table))
    for name in FLOORS:
        prob_NK = run_floor(
            name,
            features,
            rows[:num_fit],
            rows[num_fit:],
            table["label_id"].to_numpy(np.int64),
            len(job["classes"]),
            seed=job["seed"],
        )
        report("floor", _floor_payload(job, home, name, table[num_fit:], prob_NK))


def _floor_payload(
    job: Job, home: Path, name: str, table: pd.DataFrame, prob_NK: npt.NDArray[np.float32]
) -> dict[str, Any]:
    label_N = table["label_id"].to_numpy(np.int64)
    predicted = Predictions(
        prob_NK=prob_NK,
        clip_prob_NVK=prob_NK[:, None],
        label_N=label_N,
        video_ids=list(table["video_id"]),
        groups=list(table["group"]),
        loss=metrics.log_loss(label_N, prob_NK),
    )
    file = f"artifacts/floors/{job['fold']}-{name}.parquet"
    path = studies_folder(home) / job["study"] / file
    files.write_table(files.video_table(predicted, job["fold"]), path)
    return {"floor": name, "metrics": files.score(label_N, prob_NK), "predictions": file}
