"""What the formats of the frame store cost: bytes, building, reading, and accuracy.

Bytes, CPU seconds of building and reading, and the loss: 120 real videos (ut_interaction of
../shared/data, left out where it is absent) at a short side of 112 pixels. Reading is clips of 10
frames in batches of 32 through ClipDataset, pages in memory: what a trial does each step.
Accuracy: `early_fusion` at an eighth of its width on moving_shapes, 32 x 32 pixels, trained and
tested on frames of the same format, one run a seed, a process on every core; the test set has 4,000
clips. Small faint shapes in noise are what JPEG loses first, so this is nearer the worst case than
the usual one.
Aims, for the default quality: at most a quarter of raw's bytes, at most 0.02 of accuracy lost.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import _common
import numpy as np
import pandas as pd
import torch

from vidclass.data.as_stored import read_as_stored
from vidclass.data.frame_store import INDEX_COLUMNS, FrameStore, StoreOptions, write_store
from vidclass.data.readers import read_dataset
from vidclass.data.sampling import ClipDataset
from vidclass.data.shards import Job, Source, decode_job
from vidclass.data.transforms import Augment, BatchTransform
from vidclass.data.window import Window
from vidclass.models import create_model, model_entry
from vidclass.training.config import TrainConfig
from vidclass.training.evaluate import evaluate
from vidclass.training.fit import fit

SHARED = _common.REPOSITORY.parent / "shared" / "data" / "ut_interaction"
FORMATS: dict[str, dict[str, Any]] = {
    "raw": {},
    "jpeg 95": {"format": "jpeg", "quality": 95},
    "jpeg 90": {"format": "jpeg"},
    "jpeg 75": {"format": "jpeg", "quality": 75},
    "grey": {"greyscale": True},
}
TRAINED = ("raw", "jpeg 90", "jpeg 75")
WINDOW = Window(span_s=1.0, num_frames=10)
BATCH = 32


def build(manifest: pd.DataFrame, options: StoreOptions, folder: Path) -> tuple[FrameStore, float]:
    """Build a store in this process; return it and its CPU seconds."""
    folder.mkdir()
    videos = [Source(row.video_id, row.path) for row in manifest.itertuples()]
    started = time.process_time()
    rows = decode_job(Job(folder, videos, options))
    seconds = time.process_time() - started
    whole = rows["shard"].notna()
    sizes = dict.fromkeys(("offset", "T", "H", "W", "num_bytes"), "int64")
    index = rows.loc[whole, list(INDEX_COLUMNS)].astype(sizes).reset_index(drop=True)
    write_store(folder, index, rows, {"options": options.model_dump(mode="json")})
    return FrameStore.open(folder), seconds


def clips(store: FrameStore, table: pd.DataFrame, size: int, seed: int = 0) -> ClipDataset:
    """Return clips of 10 frames."""
    entry = model_entry("early_fusion")
    options = entry.options.model_validate({"input_size": size, "window_frames": 10})
    positions = entry.frame_positions(WINDOW.num_frames, options)
    return ClipDataset(store, table, window=WINDOW, positions=positions, input_size=size, seed=seed)


def reading(store: FrameStore, table: pd.DataFrame, size: int, seconds: float) -> float:
    """Return the clips that a CPU second reads."""
    data = clips(store, table, size)
    batches = [np.arange(n, min(n + BATCH, len(table))) for n in range(0, len(table), BATCH)]
    number, epoch, started = 0, 0, time.process_time()
    while time.process_time() - started < seconds or epoch < 2:
        if epoch == 1:  # the first pass brings the pages into memory
            number, started = 0, time.process_time()
        for batch in batches:
            data.read(batch, epoch=epoch, train=True)
            number += len(batch)
        epoch += 1
    return number / (time.process_time() - started)


def loss_db(paths: Sequence[str], options: StoreOptions) -> float | None:
    """Return the peak signal-to-noise ratio against raw frames; None where nothing is lost."""
    plain = StoreOptions(short_side=options.short_side)
    squares = []
    for path in paths:
        kept, full = (read_as_stored(path, o)[0].astype(np.float32) for o in (options, plain))
        squares.append(float(((kept - full) ** 2).mean()))
    return None if max(squares) == 0 else 10 * np.log10(255**2 / mean(squares))


def real_videos(root: Path, quick: bool) -> list[dict[str, Any]]:
    """Measure every format on real videos."""
    manifest = read_dataset(str(SHARED), home=root).manifest
    manifest = manifest[:: 20 if quick else 1].reset_index(drop=True)
    table = manifest[["video_id", "group"]].assign(label_id=0)
    rows = []
    for name, chosen in FORMATS.items():
        options = StoreOptions.model_validate({"short_side": 112, **chosen})
        store, seconds = build(manifest, options, root / f"real {name}")
        num_bytes = int(store.index["num_bytes"].sum())
        num_pixels = int((store.index["T"] * store.index["H"] * store.index["W"]).sum())
        rows.append(
            {
                "format": name,
                "mb": num_bytes / 1e6,
                "share": num_bytes / (num_pixels * 3),
                "frames_built_s": int(store.index["T"].sum()) / seconds,
                "clips_read_s": reading(store, table, 112, 0.5 if quick else 10.0),
                "psnr_db": loss_db(manifest["path"][::10], options),
            }
        )
    return rows


def accuracy(store: FrameStore, manifest: pd.DataFrame, seed: int, epochs: int) -> float:
    """Train on the train split and return the accuracy on the test split."""
    entry = model_entry("early_fusion")
    given = {"width": 0.125, "input_size": 32, "window_frames": WINDOW.num_frames}
    options = entry.options.model_validate(given)
    names = sorted(manifest["label"].unique())
    label_ids = manifest["label"].map({name: number for number, name in enumerate(names)})
    table = manifest[["video_id", "group", "split"]].assign(label_id=label_ids)
    parts = {
        split: clips(store, table[table["split"] == split].reset_index(drop=True), 32, seed)
        for split in ("train", "valid", "test")
    }
    torch.set_num_threads(1)
    model = create_model("early_fusion", len(names), **options.model_dump())
    pixels = entry.normalisation(options)
    transform = BatchTransform(pixels.mean, pixels.std, Augment(torus_roll=True))
    fit(
        model,
        parts["train"],
        parts["valid"],
        TrainConfig(epochs=epochs),
        num_classes=len(names),
        transform=transform,
        device=torch.device("cpu"),
        seed=seed,
        report=lambda _: False,
    )
    found = evaluate(
        model, parts["test"], transform=transform, batch_size=64, device=torch.device("cpu")
    )
    return float((found.prob_NK.argmax(axis=1) == found.labels).mean())


def moving_shapes(root: Path, quick: bool) -> list[dict[str, Any]]:
    """Measure the accuracy of formats that lose something, and of the one that does not."""
    preset = "smoke" if quick else "default"
    manifest = read_dataset("moving_shapes", preset=preset, home=root).manifest
    seeds, epochs = (1, 1) if quick else (3, 8)
    chosen = {name: StoreOptions.model_validate(FORMATS[name]) for name in TRAINED}
    stores = {name: build(manifest, chosen[name], root / f"made {name}")[0] for name in TRAINED}
    runs = [(stores[name], manifest, seed, epochs) for name in TRAINED for seed in range(seeds)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        found = pool.starmap(accuracy, runs, chunksize=1)
    rows = []
    for place, name in enumerate(TRAINED):
        scores = found[place * seeds : (place + 1) * seeds]
        rows.append(
            {
                "format": name,
                "mb": int(stores[name].index["num_bytes"].sum()) / 1e6,
                "psnr_db": loss_db(manifest["path"][::400], chosen[name]),
                "accuracy": mean(scores),
                "lowest": min(scores),
                "highest": max(scores),
            }
        )
    return rows


def main() -> None:
    """Measure everything and write the result."""
    options = _common.arguments(__doc__).parse_args()
    real: list[dict[str, Any]] = []
    with _common.scratch() as root:
        if SHARED.is_dir():
            real = real_videos(root, options.quick)
            _common.print_table(real)
        else:
            print("left out: ut_interaction, which is not in ../shared/data")
        made = moving_shapes(root, options.quick)
        _common.print_table(made)
    of_made = {row["format"]: row["accuracy"] for row in made}
    share = {row["format"]: row["share"] for row in real}.get("jpeg 90")
    lost = of_made["raw"] - of_made["jpeg 90"]
    _common.finish(
        "store_formats",
        quick=options.quick,
        aims=[
            _common.against_aim("bytes of jpeg 90 / raw", share, 0.25, at_most=True),
            _common.against_aim("accuracy lost by jpeg 90", lost, 0.02, at_most=True),
        ],
        real_videos=real,
        moving_shapes=made,
    )


if __name__ == "__main__":
    main()
