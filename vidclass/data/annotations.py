"""Labels of parts of a video: intervals of time, and what they say of single frames.

The interval table has one row a bout: ``video_id, start_s, end_s, label, subject, annotator``, in
seconds from the video's first frame, end excluded. Rows may overlap (several behaviours at once,
several subjects, several annotators). ``start_s == end_s`` is a point event. A row without a label
says that nobody looked there. A video without any row is not labelled at all; in a video that has
rows, time without a row is time without behaviour where several labels may hold, and unlabelled
where there has to be exactly one. A column ``source`` may name the file and line of each row.

Labels of frames are arrays ``present_TK``, int8: 1 the class is there, 0 it is not, -1 nobody said.

Legend: T frames of a video, K classes.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.tables import told
from vidclass.errors import UserError

__all__ = [
    "ANNOTATION_COLUMNS",
    "SOURCE_COLUMN",
    "UNLABELLED",
    "Present",
    "Task",
    "annotations_by",
    "choose_annotations",
    "class_names_of",
    "described_rows",
    "frame_span",
    "frames_to_intervals",
    "intervals_to_frames",
    "new_annotations",
    "overlaps",
]

ANNOTATION_COLUMNS = ("video_id", "start_s", "end_s", "label", "subject", "annotator")
SOURCE_COLUMN = "source"
UNLABELLED = -1
ROUNDING_S = 0.001  # times are written to the millisecond
ROUNDING_FRAMES = 0.25  # the most that ROUNDING_S may be, in frames

Task = Literal["multiclass", "multilabel"]
Present = npt.NDArray[np.int8]


def new_annotations(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` as an interval table, sorted by video and time; absent columns are empty."""
    texts = ["video_id", "label", "subject", "annotator"]
    texts += [SOURCE_COLUMN] if SOURCE_COLUMN in rows.columns else []
    table = rows.reindex(columns=[*ANNOTATION_COLUMNS, *texts[4:]])
    table = table.astype({"start_s": "float64", "end_s": "float64"})
    for column in texts:
        values = table[column].astype(object)
        table[column] = values.where(values.notna(), None)
    order = ["video_id", "start_s", "end_s"]
    return table.sort_values(order, kind="stable", ignore_index=True)


def class_names_of(annotations: pd.DataFrame) -> tuple[str, ...]:
    """Return all labels of ``annotations`` in order of name, for data without an own order."""
    return tuple(sorted(annotations["label"].dropna().unique()))


def annotations_by(
    annotations: pd.DataFrame, *, annotator: str | None = None, subject: str | None = None
) -> pd.DataFrame:
    """Return the rows of one annotator and of one subject; None takes those of all.

    Raises:
        UserError: when the name is not in the table.
    """
    chosen = annotations
    for column, name in (("annotator", annotator), ("subject", subject)):
        if name is None:
            continue
        names = sorted(chosen[column].dropna().unique())
        if name not in names:
            raise UserError(
                f"the {column} is in the annotations", name, ", ".join(names) or "leave it out"
            )
        chosen = chosen[chosen[column] == name]
    return chosen.reset_index(drop=True)


def choose_annotations(
    annotations: pd.DataFrame, *, annotator: str | None = None, subject: str | None = None
) -> pd.DataFrame:
    """Return the rows of one annotator and of one subject; None takes all there are.

    Raises:
        UserError: when the name is not in the table, or several annotators labelled one video and
            none is chosen (they would be taken for behaviours at the same time).
    """
    chosen = annotations_by(annotations, annotator=annotator, subject=subject)
    several = chosen.groupby("video_id")["annotator"].nunique()
    several = several[several > 1]
    if len(several):
        raise UserError(
            "one annotator labels a video",
            f"{len(several)} videos have several, first {several.index[0]}",
            f"choose one of: {', '.join(sorted(chosen['annotator'].dropna().unique()))}",
        )
    return chosen


def frame_span(
    start_s: npt.ArrayLike, end_s: npt.ArrayLike, fps: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first frame of intervals and the one after the last, both at least 0.

    Frame ``k`` shows the instant ``k / fps``; it belongs to an interval when that instant lies
    inside, end excluded. A point event marks the frame that is shown at its time.
    """
    rounding = min(ROUNDING_S * fps, ROUNDING_FRAMES)
    start = np.asarray(start_s, dtype=np.float64)
    end = np.asarray(end_s, dtype=np.float64)
    shown = np.floor(start * fps + rounding)
    is_point = start == end
    first = np.where(is_point, shown, np.ceil(start * fps - rounding))
    stop = np.where(is_point, shown + 1, np.ceil(end * fps - rounding))
    first = np.maximum(first, 0).astype(np.int64)
    return first, np.maximum(stop, first).astype(np.int64)


def intervals_to_frames(
    rows: pd.DataFrame, num_frames: int, fps: float, class_names: Sequence[str], task: Task
) -> Present:
    """Return ``present_TK`` of one video from its rows of the interval table.

    Rows of different subjects add up. With task ``multiclass`` a point event takes its frame from
    the interval around it, and intervals of different labels that overlap are refused.

    Raises:
        UserError: when a label is no class, or such intervals overlap.
    """
    if rows.empty:
        return np.full((num_frames, len(class_names)), UNLABELLED, dtype=np.int8)
    if task == "multiclass":
        _refuse_overlaps(rows)
    column_of = {name: column for column, name in enumerate(class_names)}
    unknown = sorted(set(rows["label"].dropna()) - set(class_names))
    if unknown:
        raise UserError(
            "every label is a class",
            f"{told(unknown)} in {rows['video_id'].iloc[0]}",
            f"the classes are {', '.join(class_names)}",
        )
    present_TK = np.zeros((num_frames, len(class_names)), dtype=np.int8)
    firsts, stops = frame_span(rows["start_s"], rows["end_s"], fps)
    is_point = (rows["start_s"] == rows["end_s"]).to_numpy()
    labels = rows["label"].tolist()
    for n in np.argsort(is_point, kind="stable").tolist():  # points last: they take their frame
        if labels[n] is None:
            continue
        if is_point[n] and task == "multiclass":
            present_TK[firsts[n] : stops[n]] = 0
        present_TK[firsts[n] : stops[n], column_of[labels[n]]] = 1
    for first, stop, label in zip(firsts, stops, labels, strict=True):
        if label is None:
            present_TK[first:stop] = UNLABELLED
    if task == "multiclass":
        present_TK[~(present_TK == 1).any(axis=1)] = UNLABELLED
    return present_TK


def frames_to_intervals(
    present_TK: Present, fps: float, class_names: Sequence[str], *, between: bool = False
) -> pd.DataFrame:
    """Return ``start_s, end_s, label`` of the runs of ``present_TK``; label None where unlabelled.

    Args:
        present_TK: labels of the frames of one video; a frame with any -1 counts as unlabelled.
        fps: frames a second.
        class_names: the K classes.
        between: place each boundary in the middle between two frames instead of at the later one,
            so that a rate that differs in its last digits gives the same frames back.
    """
    unlabelled_T = (present_TK == UNLABELLED).any(axis=1)
    runs: list[tuple[int, int, str | None]] = []
    for column, name in enumerate([*class_names, None]):
        there_T = unlabelled_T if name is None else (present_TK[:, column] == 1) & ~unlabelled_T
        steps = np.diff(np.concatenate([[0], there_T.astype(np.int8), [0]]))
        starts, stops = np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist()
        runs += [(start, stop, name) for start, stop in zip(starts, stops, strict=True)]
    runs.sort(key=lambda run: run[:2])
    table = pd.DataFrame(runs, columns=["start_s", "end_s", "label"], dtype=object)
    back = 0.5 if between else 0.0
    for edge in ("start_s", "end_s"):
        table[edge] = np.maximum(table[edge].astype("float64") - back, 0.0) / fps
    return table


def overlaps(rows: pd.DataFrame) -> list[tuple[int, int]]:
    """Return pairs of positions in ``rows`` (of one video): intervals that contradict each other.

    They share time and say different labels. Points and rows without a label contradict nothing.
    """
    start = rows["start_s"].to_numpy(np.float64)
    end = rows["end_s"].to_numpy(np.float64)
    label = rows["label"].tolist()
    pairs: list[tuple[int, int]] = []
    still_on: list[int] = []
    for n in np.argsort(start, kind="stable").tolist():
        if label[n] is None or not end[n] > start[n]:
            continue
        still_on = [m for m in still_on if end[m] > start[n] + ROUNDING_S / 2]
        pairs += [(m, n) for m in still_on if label[m] != label[n]]
        still_on.append(n)
    return pairs


def _refuse_overlaps(rows: pd.DataFrame) -> None:
    pairs = overlaps(rows)
    if pairs:
        labels, where = rows["label"].tolist(), described_rows(rows)
        raise UserError(
            "one label holds at a time where the task is multiclass",
            told([f"{where[m]} ({labels[m]}) and {where[n]} ({labels[n]})" for m, n in pairs])
            + f" overlap in {rows['video_id'].iloc[0]}",
            "task: multilabel, or cut them with `vidclass data convert --repair overlapping`",
        )


def described_rows(rows: pd.DataFrame) -> list[str]:
    """Return where each row comes from: its file and line, or its time."""
    if SOURCE_COLUMN in rows.columns and rows[SOURCE_COLUMN].notna().all():
        return rows[SOURCE_COLUMN].tolist()
    return [
        f"{start:g} to {end:g} s" for start, end in zip(rows["start_s"], rows["end_s"], strict=True)
    ]
