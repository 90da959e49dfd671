"""Trainings that several processes carry out together, and what each of them saw.

``python -m tests.training.worker_runs RANK SIZE FOLDER CASE...`` is one of the processes.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist

from tests.training.conftest import NUM_CLASSES, SIZE, FrameStack
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.data.transforms import Augment, BatchTransform
from vidclass.models import create_model
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.fit import fit
from vidclass.training.pretrain import PretrainReport
from vidclass.training.workers import ALONE, Workers

NUM_TRAIN, NUM_VALID = 90, 30
EXACT = {"precision": "float32", "epochs": 3, "batch_size": 16}
CASES: dict[str, dict[str, Any]] = {
    "plain": {"train": EXACT},
    "uneven": {"train": {**EXACT, "batch_size": 7, "epochs": 2}},
    "all_options": {
        "train": {
            **EXACT,
            "accumulate": 2,
            "clip_norm": 0.5,
            "ema_decay": 0.9,
            "label_smoothing": 0.1,
            "class_balance": "weights",
            "loss": "focal",
        }
    },
    "oversampled": {"train": {**EXACT, "class_balance": "oversample"}},
    "rounds": {"train": {**EXACT, "epochs": 6, "schedule": "rounds", "num_rounds": 3, "lr": 0.02}},
    "augmented": {
        "train": {**EXACT, "epochs": 2, "batch_size": 15},
        "augment": {"flip": True, "crop_padding": 2, "torus_roll": True, "brightness": 0.3},
    },
    "batch_norm": {"train": {**EXACT, "epochs": 4}, "norm": True},
    "dropout": {"train": EXACT, "dropout": 0.5},
    "resumed": {"train": EXACT, "stop_after": 2},
    "pretrained": {
        "train": {**EXACT, "epochs": 2, "batch_size": 14, "pretrain_epochs": 2},
        "model": "frame_autoencoder",
    },
    "diverging": {"train": {**EXACT, "lr": 10.0, "schedule": "constant", "optimizer": "sgd"}},
}


class WatchedClips(ClipDataset):
    """Clips, and which of them were read for training in which epoch."""

    seen: dict[int, list[int]]

    def read(self, clips_B: Any, *, epoch: int, train: bool) -> torch.Tensor:
        if train:
            self.seen = getattr(self, "seen", {})
            self.seen.setdefault(epoch, []).extend(int(clip) for clip in clips_B)
        return super().read(clips_B, epoch=epoch, train=train)


def clips(store: Path, start: int, stop: int) -> WatchedClips:
    """Return the videos ``start`` to ``stop`` of the store of moving bars; classes are uneven."""
    label_N = np.arange(start, stop) % NUM_CLASSES
    label_N[::5] = 0
    table = pd.DataFrame({"video_id": [f"v{n:03d}" for n in range(start, stop)]})
    table = table.assign(label_id=label_N, group=table["video_id"])
    return WatchedClips(
        FrameStore.open(store),
        table,
        window=Window(span_s=0.4, num_frames=4),
        positions=FramePositions((0, 1, 2, 3)),
        input_size=SIZE,
        views=2,
    )


def model_of(case: dict[str, Any]) -> torch.nn.Module:
    """Return the untrained model of a case."""
    if "model" in case:
        return create_model(
            case["model"], NUM_CLASSES, input_size=SIZE, window_frames=4, width=0.125
        )
    return FrameStack(norm=case.get("norm", False), dropout=case.get("dropout", 0.0))


def train_case(name: str, store: Path, folder: Path, workers: Workers) -> dict[str, Any]:
    """Carry out a case; return its metrics by epoch, weights, and the clips that were read."""
    case = CASES[name]
    train = clips(store, 0, NUM_TRAIN)
    metrics: list[dict[str, float]] = []
    pretrained: list[PretrainReport] = []
    stop_after = case.get("stop_after", 0)

    def report(told: Any) -> bool:
        metrics.append(told.metrics)
        return told.epoch == stop_after

    def run(resume_from: str | None) -> tuple[torch.nn.Module, Any]:
        model = model_of(case)
        result = fit(
            model,
            train,
            clips(store, NUM_TRAIN, NUM_TRAIN + NUM_VALID),
            TrainConfig.model_validate(case["train"]),
            num_classes=NUM_CLASSES,
            transform=BatchTransform(
                (128.0,) * 3, (64.0,) * 3, Augment.model_validate(case.get("augment", {}))
            ),
            device=torch.device("cpu"),
            seed=7,
            report=report,
            checkpoints=CheckpointFolder(folder / name),
            resume_from=resume_from,
            report_pretraining=pretrained.append,
            workers=workers,
        )
        return model, result

    model, result = run(None)
    if stop_after:
        model, result = run(f"{stop_after}.0")
    return {
        "metrics": metrics,
        "pretrain_losses": [told.loss for told in pretrained],
        "status": result.status,
        "reason": result.reason,
        "best_epoch": result.best_epoch,
        "weights": model.state_dict(),
        "seen": train.seen,
    }


def main(rank: int, size: int, folder: Path, names: list[str]) -> None:
    """Be process ``rank`` of ``size``; the store is in ``folder``, what was seen is put there."""
    torch.set_num_threads(1)
    store = folder / "store"
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=size)
    found = {}
    for name in names:
        found[name] = train_case(name, store, folder / f"of_{size}", Workers(rank, size))
    torch.save(found, folder / f"{rank}_of_{size}.pt")
    dist.destroy_process_group()


def alone(name: str, store: Path, folder: Path) -> dict[str, Any]:
    """Return the case as one process trains it."""
    return train_case(name, store, folder, ALONE)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
