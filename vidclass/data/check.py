"""Looking at a data set before a study: which videos open, what they are, how they divide."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pandas as pd

from vidclass.data.decode import DecodeError, probe
from vidclass.data.manifest import STATUS_OK, STATUS_QUARANTINED, Dataset, usable

__all__ = ["describe_classes", "describe_splits", "probed"]


def probed(dataset: Dataset, progress: Callable[[int, int], None]) -> pd.DataFrame:
    """Return the manifest with what opening each file tells; those that do not open quarantined.

    Nothing is stored: a study probes again while it decodes, and checks every frame then.

    Args:
        dataset: as a reader found it.
        progress: called with (done, total) files.
    """
    manifest = dataset.manifest.copy()
    rows = manifest.index[manifest["status"] == STATUS_OK]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        answers = pool.map(_probe_or_reason, manifest.loc[rows, "path"])
        for done, (row, answer) in enumerate(zip(rows, answers, strict=True), start=1):
            for column, value in answer.items():
                manifest.loc[row, column] = value
            progress(done, len(rows))
    return manifest


def _probe_or_reason(path: str) -> dict[str, float | str]:
    try:
        return asdict(probe(path))
    except DecodeError as error:
        return {"status": STATUS_QUARANTINED, "reason": error.reason}


def describe_classes(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a row a class: videos, groups, seconds in all, and the range of frames and fps."""
    videos = usable(manifest).groupby("label", sort=True)
    return pd.DataFrame(
        {
            "videos": videos.size(),
            "groups": videos["group"].nunique(),
            "seconds": videos["duration_s"].sum().round(1),
            "fewest_frames": videos["num_frames"].min().astype(int),
            "most_frames": videos["num_frames"].max().astype(int),
            "lowest_fps": videos["fps"].min().round(2),
            "highest_fps": videos["fps"].max().round(2),
        }
    )


def describe_splits(splits: pd.DataFrame) -> str:
    """Return one line on the folds of ``splits`` and the videos of their parts, averaged."""
    num_folds = splits["fold"].nunique()
    counts = (splits.groupby("split").size() / num_folds).round().astype(int)
    parts = ", ".join(f"{name} {counts.get(name, 0)}" for name in ("train", "valid", "test"))
    if num_folds == 1:
        return f"one split: {parts} videos"
    return f"{num_folds} folds, every video test once; in each about: {parts} videos"
