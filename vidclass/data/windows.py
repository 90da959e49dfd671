"""Sliding windows over labelled recordings: each is a sample with a label of its own.

A window is ``length`` stored frames of one video, never of two; the next one begins ``stride``
frames later. A video of n frames gives n - length + 1 windows at stride 1.

Legend: N windows of a video, T frames, K classes.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.annotations import UNLABELLED, Present, Task, intervals_to_frames
from vidclass.errors import UserError, raise_collected

__all__ = ["LabelFrom", "label_windows", "window_starts", "window_table"]

LabelFrom = Literal["last", "centre", "majority"]
Int64 = npt.NDArray[np.int64]


def window_table(
    annotations: pd.DataFrame,
    videos: pd.DataFrame,
    class_names: Sequence[str],
    task: Task,
    *,
    length_frames: int | None = None,
    length_s: float | None = None,
    stride_frames: int | None = None,
    stride_s: float | None = None,
    label_from: LabelFrom = "last",
) -> pd.DataFrame:
    """Return a row a window: ``sample_id, video_id, first_frame, last_frame`` and what it shows.

    With task ``multiclass`` that is ``label``, a class; with ``multilabel`` it is ``labels``, a
    tuple of classes, which may be empty. Windows whose label is unlabelled are left out:
    the last or centre frame is, or, for ``majority``, more than half of the frames are. The
    majority's label holds in most of the labelled frames (of equals the one seen last); with
    ``multilabel`` a class counts that holds in more than half of them.

    Args:
        annotations: interval table of one annotator (see ``choose_annotations``).
        videos: ``video_id``, ``num_frames``, ``fps`` of the stored frames.
        class_names: all classes.
        task: whether one label holds at a time or several may.
        length_frames: frames of a window; or
        length_s: seconds of it, at least one frame.
        stride_frames: frames between two beginnings; or
        stride_s: seconds; by default one frame.
        label_from: the frame that labels a window. The centre of an even number is the later one.

    Raises:
        UserError: for a length or stride that is not exactly one positive number.
        UserErrors: with all videos whose intervals contradict each other.
    """
    _check_given("length", length_frames, length_s, needed=True)
    _check_given("stride", stride_frames, stride_s, needed=False)
    by_video = dict(list(annotations.groupby("video_id", sort=False)))
    nothing = annotations.iloc[:0]
    errors: list[UserError] = []
    parts: list[pd.DataFrame] = []
    columns = ["video_id", "num_frames", "fps"]
    for video_id, num_frames, fps in videos[columns].itertuples(index=False):
        rows = by_video.get(video_id, nothing)
        if rows.empty:
            continue
        length = length_frames or max(1, round((length_s or 0) * fps))
        stride = stride_frames or max(1, round((stride_s or 0) * fps))
        try:
            present_TK = intervals_to_frames(rows, int(num_frames), float(fps), class_names, task)
        except UserError as error:
            errors.append(error)
            continue
        parts.append(_windows(str(video_id), present_TK, length, stride, label_from, task))
    raise_collected(errors)
    return _named(parts, class_names, task)


def _windows(
    video_id: str, present_TK: Present, length: int, stride: int, label_from: LabelFrom, task: Task
) -> pd.DataFrame:
    """Return the labelled windows of one video, the classes of each still as marks."""
    starts_N = window_starts(len(present_TK), length, stride)
    kept_N, marks_NK = label_windows(present_TK, starts_N, length, label_from, task)
    part = pd.DataFrame({"first_frame": starts_N[kept_N]})
    part["last_frame"] = part["first_frame"] + length - 1
    part.insert(0, "video_id", video_id)
    part["mark"] = list(marks_NK[kept_N])
    return part


def _check_given(what: str, frames: int | None, seconds: float | None, *, needed: bool) -> None:
    given = [value for value in (frames, seconds) if value is not None]
    if len(given) > 1 or (needed and not given) or any(not value > 0 for value in given):
        raise UserError(
            f"the {what} of a window is one positive number",
            f"{what}_frames={frames}, {what}_s={seconds}",
            f"{what}_frames: 5 or {what}_s: 0.5",
        )


def window_starts(num_frames: int, length: int, stride: int) -> Int64:
    """Return the first frames of all windows of a video; none when it is shorter than one."""
    return np.arange(0, num_frames - length + 1, stride, dtype=np.int64)


def label_windows(
    present_TK: Present, starts_N: Int64, length: int, label_from: LabelFrom, task: Task
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which windows have a label ``[N]``, and the classes that each shows ``[N, K]``."""
    if label_from != "majority":
        frame_N = starts_N + (length - 1 if label_from == "last" else length // 2)
        shown_NK = present_TK[frame_N]
        return ~(shown_NK == UNLABELLED).any(axis=1), shown_NK == 1
    unlabelled_T = (present_TK == UNLABELLED).any(axis=1)
    there_TK = (present_TK == 1) & ~unlabelled_T[:, None]
    counts_NK = _summed(there_TK, starts_N, length)
    labelled_N = length - _summed(unlabelled_T[:, None], starts_N, length)[:, 0]
    kept_N = 2 * labelled_N >= length
    if task == "multilabel":
        return kept_N, 2 * counts_NK > labelled_N[:, None]
    best_NK = (counts_NK == counts_NK.max(axis=1, keepdims=True)) & (counts_NK > 0)
    tied_N = np.flatnonzero(best_NK.sum(axis=1) > 1)
    if len(tied_N):
        # The last frame of each class up to every frame, so that of equals the latest is found.
        frames_T1 = np.arange(len(there_TK))[:, None]
        last_seen_TK = np.maximum.accumulate(np.where(there_TK, frames_T1, -1), axis=0)
        seen_NK = np.where(best_NK[tied_N], last_seen_TK[starts_N[tied_N] + length - 1], -1)
        best_NK[tied_N] = seen_NK == seen_NK.max(axis=1, keepdims=True)
    return kept_N & best_NK.any(axis=1), best_NK


def _summed(there_TK: npt.NDArray[np.bool_], starts_N: Int64, length: int) -> Int64:
    """Return how many frames of each window are True, ``[N, K]``."""
    total = np.zeros((len(there_TK) + 1, there_TK.shape[1]), dtype=np.int64)
    np.cumsum(there_TK, axis=0, out=total[1:])
    summed: Int64 = total[starts_N + length] - total[starts_N]
    return summed


def _named(parts: list[pd.DataFrame], class_names: Sequence[str], task: Task) -> pd.DataFrame:
    what = "label" if task == "multiclass" else "labels"
    columns = ["sample_id", "video_id", "first_frame", "last_frame", what]
    if not parts:
        return pd.DataFrame(columns=columns)
    table = pd.concat(parts, ignore_index=True)
    table["sample_id"] = [
        f"{video_id}#{first:07d}"
        for video_id, first in zip(table["video_id"], table["first_frame"], strict=True)
    ]
    table[what] = list(_names(table.pop("mark"), class_names, task))
    return table[columns]


def _names(
    marks: pd.Series, class_names: Sequence[str], task: Task
) -> Iterator[str | tuple[str, ...]]:
    for mark_K in marks:
        shown = tuple(class_names[k] for k in np.flatnonzero(mark_K).tolist())
        yield shown[0] if task == "multiclass" else shown
