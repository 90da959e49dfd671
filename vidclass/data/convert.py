"""From labels in time to labels of frames and back, by way of the interval table.

What is written is a table of intervals (``timestamps.csv``) or of frames (``labels.csv``); reading
it back gives the same labels. Where labels come from is told in :mod:`vidclass.data.label_sources`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from vidclass.data.annotations import (
    UNLABELLED,
    Present,
    Task,
    choose_annotations,
    class_names_of,
    frame_span,
    intervals_to_frames,
)
from vidclass.data.interval_policy import Policy, apply_policy, unreadable_report
from vidclass.data.timecodes import format_time_s
from vidclass.errors import UserError, raise_collected

__all__ = ["Labels", "VideoFacts", "frame_table", "interval_table", "num_labelled_frames"]


@dataclass(frozen=True)
class VideoFacts:
    """How many frames a video has, and how many of them are shown in a second.

    Attributes:
        num_frames: None where only the rate is known.
        fps: frames a second.
        names: of the images of a folder, in order.
    """

    num_frames: int | None
    fps: float
    names: Sequence[str] | None = None


@dataclass(frozen=True)
class Labels:
    """What a source says.

    Attributes:
        annotations: interval table; a video is called as the source calls it.
        of_frames: whether the source labels frames.
        class_names: in the source's order, where it has one.
        of_videos: what the source says of whole videos (split, group, ...), by video.
        facts: of the videos that are there, by name.
        unreadable: intervals of videos that do not open; none of them is in ``annotations``.
    """

    annotations: pd.DataFrame
    of_frames: bool
    class_names: tuple[str, ...] | None = None
    of_videos: pd.DataFrame = field(default_factory=pd.DataFrame)
    facts: Mapping[str, VideoFacts] = field(default_factory=dict)
    unreadable: pd.DataFrame | None = None

    def chosen(self, annotator: str | None, subject: str | None) -> "Labels":
        """Return the labels of one annotator and of one subject.

        Raises:
            UserError: when the name is unknown, or one has to be chosen.
        """
        rows = choose_annotations(self.annotations, annotator=annotator, subject=subject)
        lost = self.unreadable
        if lost is not None:
            for column, name in (("annotator", annotator), ("subject", subject)):
                lost = lost if name is None else lost[lost[column] == name]
        return replace(self, annotations=rows, unreadable=lost)

    def mended(self, policy: Policy, task: Task) -> tuple["Labels", pd.DataFrame]:
        """Return the labels as ``policy`` repairs them, and the report of every row touched."""
        durations_s = {
            name: fact.num_frames / fact.fps
            for name, fact in self.facts.items()
            if fact.num_frames is not None
        }
        rows, report = apply_policy(self.annotations, policy, task, durations_s)
        if self.unreadable is not None and len(self.unreadable):
            lost = unreadable_report(self.unreadable, policy)
            report = pd.concat([report, lost], ignore_index=True)
        classes = self.class_names
        if classes is not None and policy.background not in (None, *classes):
            classes = (*classes, str(policy.background))
        return replace(self, annotations=rows, class_names=classes), report


def num_labelled_frames(rows: pd.DataFrame, fact: VideoFacts) -> int:
    """Return the frames of a video; where only its rate is known, those up to its last label."""
    if fact.num_frames is not None:
        return fact.num_frames
    return int(frame_span(rows["start_s"], rows["end_s"], fact.fps)[1].max())


def frame_table(labels: Labels, task: Task) -> pd.DataFrame:
    """Return one row a frame and label: ``video, frame, label`` and what is said of the video.

    A frame is a number from 0, or an image's name. An unlabelled one has an empty label.

    Raises:
        UserError: when a rate is missing.
        UserErrors: with all intervals that contradict each other; where several labels may hold,
            also with frames that hold none, since the table can't say that nothing happens.
    """
    rows = labels.annotations
    classes = labels.class_names or class_names_of(rows) or ("",)  # none: nothing is labelled
    errors: list[UserError] = []
    parts = []
    for video_id, own in rows.groupby("video_id", sort=True):
        fact = labels.facts.get(str(video_id))
        if fact is None:
            raise UserError(
                "times become frames by a rate",
                f"none given for {video_id}",
                "--fps 25, or --videos FOLDER",
            )
        try:
            count = num_labelled_frames(own, fact)
            present_TK = intervals_to_frames(own, count, fact.fps, classes, task)
            parts.append(_rows_of(str(video_id), present_TK, classes, fact.names))
        except UserError as error:
            errors.append(error)
    raise_collected(errors)
    columns = ["video", "frame", "label"]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return _with_said(table, labels)


def _rows_of(
    video_id: str, present_TK: Present, classes: Sequence[str], names: Sequence[str] | None
) -> pd.DataFrame:
    unlabelled_T = (present_TK == UNLABELLED).any(axis=1)
    empty = np.flatnonzero(~unlabelled_T & ~(present_TK == 1).any(axis=1))
    if len(empty):
        raise UserError(
            "every labelled frame has a label",
            f"{len(empty)} frames of {video_id} without behaviour, first {empty[0]}",
            "give them one, as in --background none",
        )
    frames, columns = np.nonzero(present_TK == 1)
    frames = np.concatenate([frames, np.flatnonzero(unlabelled_T)])
    shown: list[str | None] = [classes[k] for k in columns.tolist()]
    shown += [None] * int(unlabelled_T.sum())
    order = np.argsort(frames, kind="stable").tolist()
    numbers = [int(frames[n]) for n in order]
    return pd.DataFrame(
        {
            "video": video_id,
            "frame": numbers if names is None else [names[n] for n in numbers],
            "label": pd.Series([shown[n] for n in order], dtype=object),
        }
    )


def interval_table(labels: Labels) -> pd.DataFrame:
    """Return one row a bout: ``video, time_start, time_end, label``, and what else is said."""
    rows = labels.annotations
    table = pd.DataFrame(
        {
            "video": rows["video_id"],
            "time_start": rows["start_s"].map(format_time_s),
            "time_end": rows["end_s"].map(format_time_s),
            "label": rows["label"],
        }
    )
    for column in ("subject", "annotator"):
        if rows[column].notna().any():
            table[column] = rows[column]
    return _with_said(table, labels)


def _with_said(table: pd.DataFrame, labels: Labels) -> pd.DataFrame:
    """Return ``table`` with what the source says of whole videos."""
    if labels.of_videos.columns.empty:
        return table
    return table.join(labels.of_videos, on="video")
