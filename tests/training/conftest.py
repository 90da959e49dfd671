"""A small frame store with clips that a small model can learn in a second."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from vidclass.data.frame_store import FrameStore, write_store
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.data.transforms import BatchTransform
from vidclass.training.config import TrainConfig
from vidclass.training.fit import EpochReport, fit
from vidclass.training.floor_features import floor_features

NUM_CLASSES = 3
NUM_FRAMES = 6
SIZE = 16
CPU = torch.device("cpu")


def moving_bars(num_videos: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return bars that stand still (0), move right (1) or left (2), and their labels."""
    generator = np.random.default_rng(seed)
    label_N = np.arange(num_videos) % NUM_CLASSES
    frames_NTHWC = generator.integers(90, 120, (num_videos, NUM_FRAMES, SIZE, SIZE, 3))
    start_N = generator.integers(0, SIZE, num_videos)
    for video, label in enumerate(label_N):
        for t in range(NUM_FRAMES):
            column = (start_N[video] + (0, 2, -2)[label] * t) % SIZE
            frames_NTHWC[video, t, :, [column, (column + 1) % SIZE]] = 230
    return frames_NTHWC.astype(np.uint8), label_N


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> FrameStore:
    """Return a store of 150 moving bars, video ids ``v000`` to ``v149``."""
    folder: Path = tmp_path_factory.mktemp("store")
    frames_NTHWC, _ = moving_bars(150, seed=0)
    frames_NTHWC.tofile(folder / "bars.rgb")
    size = frames_NTHWC[0].size
    index = pd.DataFrame(
        {
            "video_id": [f"v{n:03d}" for n in range(150)],
            "shard": "bars.rgb",
            "offset": np.arange(150) * size,
            "T": NUM_FRAMES,
            "H": SIZE,
            "W": SIZE,
            "fps": 10.0,
        }
    )
    write_store(folder, index, index[["video_id"]], {})
    return FrameStore.open(folder)


@pytest.fixture(scope="session")
def clips(store: FrameStore):
    """Return a maker of data sets over a range of the store's videos."""

    def make(start: int, stop: int, **options) -> ClipDataset:
        table = pd.DataFrame({"video_id": [f"v{n:03d}" for n in range(start, stop)]})
        table["label_id"] = np.arange(start, stop) % NUM_CLASSES
        table["group"] = table["video_id"]
        if "labels" in options:
            table["label_id"] = options.pop("labels")
        return ClipDataset(
            store,
            table,
            **{
                "window": Window(span_s=0.4, num_frames=4),
                "positions": FramePositions((0, 1, 2, 3)),
                "input_size": SIZE,
                **options,
            },
        )

    return make


@pytest.fixture
def transform() -> BatchTransform:
    return BatchTransform(mean=(128.0,) * 3, std=(64.0,) * 3)


class FrameStack(nn.Module):
    """Frames as channels, two convolutions, batch norm and dropout: a small early fusion."""

    def __init__(self, *, norm: bool = True, dropout: float = 0.2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(12, 16, 3, stride=2, padding=1)
        self.norm1 = nn.BatchNorm2d(16) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.norm2 = nn.BatchNorm1d(16) if norm else nn.Identity()
        self.dense = nn.Linear(16, NUM_CLASSES)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        x_BDHW = x_BTCHW.flatten(1, 2)
        x_BDHW = self.norm1(self.conv1(x_BDHW)).relu()
        x_BD = self.conv2(x_BDHW).relu().amax(dim=(2, 3))
        return self.dense(self.dropout(self.norm2(x_BD)))


@pytest.fixture
def make_model():
    """Return a maker of the small model: ``make_model(norm=False, dropout=0.0)``."""
    return FrameStack


@pytest.fixture
def run_fit(clips, transform):
    """Return ``fit`` over 90 training and 30 validation videos, returning (result, reports)."""

    def run(model: nn.Module, config: TrainConfig, **options):
        reports: list[EpochReport] = []

        def report(told: EpochReport) -> bool:
            reports.append(told)
            return False

        arguments = {
            "train": clips(0, 90),
            "valid": clips(90, 120),
            "num_classes": NUM_CLASSES,
            "transform": transform,
            "device": CPU,
            "seed": 7,
            "report": report,
            **options,
        }
        return fit(model, config=config, **arguments), reports

    return run


@pytest.fixture(scope="session")
def make_floor_features():
    return floor_features


@pytest.fixture(scope="session")
def floor_labels() -> dict[str, np.ndarray]:
    """Return four labels of the 120 videos of ``floor_data``, independent of each other."""
    bits = np.random.default_rng(5).integers(0, 2, (4, 120))
    return dict(zip(("side", "flicker", "speed", "file"), bits, strict=True))


@pytest.fixture(scope="session")
def floor_data(tmp_path_factory: pytest.TempPathFactory, floor_labels):
    """Return a store, its manifest and features of videos made of four independent labels.

    A bar stands left or right (side). The top goes through two values, three frames each: slowly
    (0 0 0 1 1 1, or the reverse) or fast (0 1 0 1 0 1; speed). The bottom does the same in videos
    that flicker, and keeps one of the two values in the others. The file is long or short.
    """
    generator = np.random.default_rng(6)
    frames_NTHWC = generator.integers(100, 110, (120, 6, 32, 32, 3)).astype(np.uint8)
    for video in range(120):
        side, flicker, speed = (floor_labels[k][video] for k in ("side", "flicker", "speed"))
        frames_NTHWC[video, :, :, 4 + 20 * side : 8 + 20 * side] = 220
        swing = np.array([0, 1, 0, 1, 0, 1] if speed else [0, 0, 0, 1, 1, 1])
        swing = (swing if generator.random() < 0.5 else 1 - swing) * 2.0 - 1
        bottom = swing if flicker else np.full(6, generator.choice([-1, 1]))
        frames_NTHWC[video, :, 24:] = (105 + 40 * bottom)[:, None, None, None]
        frames_NTHWC[video, :, :8] = (105 + 40 * swing)[:, None, None, None]
    folder: Path = tmp_path_factory.mktemp("floors")
    frames_NTHWC.tofile(folder / "floors.rgb")
    index = pd.DataFrame(
        {
            "video_id": [f"v{n:03d}" for n in range(120)],
            "shard": "floors.rgb",
            "offset": np.arange(120) * frames_NTHWC[0].size,
            "T": 6,
            "H": 32,
            "W": 32,
            "fps": 10.0,
        }
    )
    manifest = index[["video_id", "fps"]].assign(width=32, height=32, num_frames=6)
    manifest["duration_s"] = 0.6 + 0.1 * floor_labels["file"] + generator.normal(0, 0.01, 120)
    manifest["bitrate_bps"] = 1000.0
    write_store(folder, index, manifest, {})
    store = FrameStore.open(folder)
    return (
        store,
        manifest,
        floor_features(store, manifest[["video_id"]], manifest, Window(span_s=0.6, num_frames=6)),
    )
