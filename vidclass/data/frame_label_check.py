"""Frames counted against the frames that label files name: both have to be the same ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from vidclass.data.image_folders import image_names
from vidclass.data.manifest import STATUS_OK, Dataset
from vidclass.data.tables import told
from vidclass.errors import UserError, raise_collected

__all__ = [
    "MISMATCH_COLUMNS",
    "dataset_mismatches",
    "described_mismatch",
    "frame_label_mismatches",
    "refuse_mismatches",
]

MISMATCH_COLUMNS = (
    "video_id",
    "num_frames",
    "num_labels",
    "difference",
    "without_label",
    "without_frame",
)
SHOWN = 3  # frames that a message names


def frame_label_mismatches(
    frame_rows: pd.DataFrame, frames: Mapping[str, int | Sequence[str]]
) -> pd.DataFrame:
    """Return a row for each video whose frames and labels are not the same ones.

    ``difference`` is labels less frames; ``without_label`` and ``without_frame`` list the missing
    of each. A frame that several rows label counts once. A video without any row is unlabelled,
    which is no mistake.

    Args:
        frame_rows: ``video_id`` and ``frame``, a number from 0 or an image's name.
        frames: of each video the number of its frames, or the names of its images.
    """
    rows = []
    for video_id, own in frame_rows.groupby("video_id", sort=True):
        there = frames.get(str(video_id), 0)
        names = [str(n) for n in range(there)] if isinstance(there, int) else list(there)
        labelled = dict.fromkeys(str(frame) for frame in own["frame"])
        without_label = tuple(name for name in names if name not in labelled)
        without_frame = tuple(name for name in labelled if name not in set(names))
        if without_label or without_frame:
            difference = len(labelled) - len(names)
            counts = (len(names), len(labelled), difference)
            rows.append((video_id, *counts, without_label, without_frame))
    return pd.DataFrame(rows, columns=list(MISMATCH_COLUMNS))


def dataset_mismatches(dataset: Dataset, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return what :func:`frame_label_mismatches` finds in a data set.

    Args:
        dataset: as a reader found it.
        manifest: its manifest after probing; videos that do not open are left out.
    """
    if dataset.frame_rows is None:
        return pd.DataFrame(columns=list(MISMATCH_COLUMNS))
    opened = manifest[(manifest["status"] == STATUS_OK) & manifest["num_frames"].notna()]
    frames: dict[str, int | Sequence[str]] = {
        video_id: image_names(Path(path)) if Path(path).is_dir() else int(num_frames)
        for video_id, path, num_frames in zip(
            opened["video_id"], opened["path"], opened["num_frames"], strict=True
        )
    }
    rows = dataset.frame_rows
    return frame_label_mismatches(rows[rows["video_id"].isin(list(frames))], frames)


def refuse_mismatches(dataset: Dataset, manifest: pd.DataFrame) -> None:
    """Refuse a data set whose frames and labels are not the same ones, as a study does.

    Raises:
        UserErrors: naming all such videos with their counts.
    """
    mismatches = dataset_mismatches(dataset, manifest)
    if mismatches.empty:
        return
    rows = mismatches.itertuples(index=False, name=None)
    raise_collected(
        [
            UserError(
                "every frame has a label row, and every label row a frame",
                told([described_mismatch(*row) for row in rows]),
                "add the missing rows (with an empty label where nobody looked) or remove those "
                "without a frame; `vidclass data check` lists them",
            )
        ]
    )


def described_mismatch(
    video_id: str,
    num_frames: int,
    num_labels: int,
    difference: int,
    without_label: Sequence[str],
    without_frame: Sequence[str],
) -> str:
    """Return a row of ``MISMATCH_COLUMNS`` in words, the first frames of each kind by name."""
    text = f"{video_id}: {num_frames} frames, {num_labels} labels ({difference:+d})"
    for what, names in (("without label", without_label), ("without frame", without_frame)):
        if names:
            dots = ", ..." if len(names) > SHOWN else ""
            text += f", {what}: {', '.join(names[:SHOWN])}{dots}"
    return text
