"""Intervals held against their videos, and against each other, before a study cuts or refuses."""

from typing import Any

import numpy as np
import pandas as pd

from vidclass.data.annotations import Task
from vidclass.data.interval_policy import REPORT_COLUMNS, Policy, apply_policy
from vidclass.data.manifest import STATUS_OK, Dataset

__all__ = ["described_interval", "interval_problems", "outside_told"]

_LOOKED_FOR = ("outside", "overlapping")


def interval_problems(dataset: Dataset, manifest: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return the intervals that reach beyond their video, or share time with another label.

    Less than a frame beyond the end is rounding. Labels of frames are counted instead, see
    :mod:`vidclass.data.frame_label_check`.

    Args:
        dataset: as a reader found it.
        manifest: its manifest after probing; of videos that do not open nothing is told.
        task: labels that share time are a problem where one holds at a time.

    Returns:
        ``REPORT_COLUMNS`` of :mod:`vidclass.data.interval_policy`; ``action`` is what a repair by
        ``vidclass data convert`` would do.
    """
    rows = dataset.annotations
    if rows is None or dataset.frame_rows is not None:
        return pd.DataFrame(columns=list(REPORT_COLUMNS))
    opened = manifest[(manifest["status"] == STATUS_OK) & manifest["num_frames"].notna()]
    frame_s = dict(zip(opened["video_id"], 1 / opened["fps"], strict=True))
    ends_s = dict(zip(opened["video_id"], opened["num_frames"] / opened["fps"], strict=True))
    rows = rows[rows["label"].notna() & rows["video_id"].isin(list(ends_s))]
    end_s, limit_s = rows["end_s"], rows["video_id"].map(ends_s).astype("float64")
    rounded = (rows["start_s"] < limit_s) & (
        end_s < limit_s + rows["video_id"].map(frame_s).astype("float64")
    )
    rows = rows.assign(end_s=np.where(rounded, np.minimum(end_s, limit_s), end_s))
    _, report = apply_policy(rows, Policy(frozenset(_LOOKED_FOR)), task, ends_s)
    return report[report["problem"].isin(_LOOKED_FOR)].reset_index(drop=True)


def described_interval(row: dict[Any, Any]) -> str:
    """Return a row of `interval_problems` in words."""
    place = f"{row['source']}: {row['video']} {row['time_start']} to {row['time_end']}"
    return f"{place}, {row['label']}; --repair {row['problem']}: {row['action']}"


def outside_told(dataset: Dataset, manifest: pd.DataFrame) -> list[str]:
    """Return a line on the intervals of which a study leaves out what is beyond their video."""
    found = interval_problems(dataset, manifest, "multilabel")
    if found.empty:
        return []
    first = described_interval(found.to_dict("records")[0])
    told = f"intervals that reach beyond their video count up to its end: {len(found)}, first"
    return [f"{told} {first}"]
