"""Videos with ``labels.csv`` of one row a frame: ``video, frame, label``, perhaps ``split``.

A video is a folder of images (beside the table, or below ``data``) or a video file. ``frame`` is
the name of an image, or a number from 0.
"""

import posixpath
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vidclass.data.annotations import (
    SOURCE_COLUMN,
    UNLABELLED,
    Present,
    frames_to_intervals,
    new_annotations,
)
from vidclass.data.image_folders import IMAGE_SUFFIXES, image_names
from vidclass.data.manifest import Dataset
from vidclass.data.readers.annotated import OF_THE_VIDEO, REFUSED, AnnotatedVideos, frame_rate
from vidclass.data.readers.columns import (
    Columns,
    Mistake,
    header_of,
    lines_of,
    read_columns,
    told_lines,
)
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import VIDEO_SUFFIXES, walk
from vidclass.data.tables import place
from vidclass.errors import UserError, UserErrors, raise_collected

__all__ = [
    "FRAME_COLUMNS",
    "FRAME_LABELS",
    "find_videos_and_images",
    "frame_numbers",
    "frame_runs",
    "read_frame_rows",
]

FRAME_LABELS = "labels.csv"
FRAME_COLUMNS = ("video", "frame", "label")
_COLUMNS = Columns(FRAME_COLUMNS, OF_THE_VIDEO, further=True, refused=REFUSED)


def _recognises(path: Path) -> bool:
    csv = path if path.is_file() else path / FRAME_LABELS
    return csv.is_file() and set(FRAME_COLUMNS) <= set(header_of(csv))


@register_reader("frames", _recognises)
def _read_frame_labels(request: ReadRequest) -> Dataset:
    """Read a folder in which such a ``labels.csv`` lies, or such a table beside its videos.

    A frame without label is unlabelled; a frame in several rows has several labels. ``split``,
    ``group`` and group columns are the same in all rows of a video. Videos without a row are
    unlabelled.

    Raises:
        UserErrors: with all mistakes at once.
    """
    csv = request.path if request.path.is_file() else request.path / FRAME_LABELS
    errors: list[UserError] = []
    root = csv.parent
    videos = AnnotatedVideos(
        root, find_videos_and_images(root, errors), request.group_pattern, errors
    )
    rows = read_frame_rows(csv, errors)
    if rows is None:
        raise UserErrors(errors)
    rows["video_id"] = videos.match(rows["video"], csv)
    further = [name for name in rows.columns if name not in (*FRAME_COLUMNS, "video_id")]
    videos.keep(rows, rows["video_id"], csv, further)
    videos.apply_groups()
    raise_collected(errors)
    parts = [pd.DataFrame(columns=["video_id", "start_s", "end_s", "label"], dtype=object)]
    frame_rows = [pd.DataFrame(columns=["video_id", "frame"], dtype=object)]
    for video_id, own in rows.groupby("video_id", sort=True):
        path = root / str(video_id)
        names = image_names(path) if path.is_dir() else None
        numbers = frame_numbers(own["frame"], csv, names, errors)
        parts.append(_intervals(own, numbers, path, names, csv))
        frame_rows.append(_named(own, numbers, names))
    raise_collected(errors)
    annotations = new_annotations(pd.concat(parts, ignore_index=True))
    dataset = videos.dataset(annotations, frame_rows=pd.concat(frame_rows, ignore_index=True))
    raise_collected(errors)
    return dataset


def find_videos_and_images(root: Path, errors: list[UserError]) -> list[str]:
    """Return the folders of images and the video files below ``root``.

    Raises:
        UserError: when there are none.
    """
    found = set()
    for name in walk(root, errors):
        suffix = posixpath.splitext(name)[1].lower()
        folder = posixpath.dirname(name)
        if suffix in VIDEO_SUFFIXES:
            found.add(name)
        elif suffix in IMAGE_SUFFIXES and folder:
            found.add(folder)
    if not found and not errors:
        raise UserError(
            "a folder with labels of frames holds videos",
            f"{root}: no video file, and no folder with images",
            f"one folder of images a video ({', '.join(sorted(IMAGE_SUFFIXES))}), or video files",
        )
    return sorted(found)


def read_frame_rows(csv: Path, errors: list[UserError]) -> pd.DataFrame | None:
    """Return the rows of a table of frame labels; mistakes that need no video are collected."""
    rows = read_columns(csv, _COLUMNS, errors)
    if rows is None:
        return None
    absent = [Mistake(line, "empty") for line, frame in lines_of(rows["frame"]) if frame is None]
    errors += told_lines("every row names a frame", csv, absent, "a number, or an image's name")
    again = rows[list(FRAME_COLUMNS)].duplicated()
    repeated = [
        Mistake(line, f"{frame} of {video}")
        for (line, frame), video in zip(
            lines_of(rows.loc[again, "frame"]), rows.loc[again, "video"].tolist(), strict=True
        )
    ]
    errors += told_lines("a frame has a label once", csv, repeated, "remove the row")
    return rows[rows["frame"].notna()]


def frame_numbers(
    written: pd.Series, csv: Path, names: Sequence[str] | None, errors: list[UserError]
) -> list[int | None]:
    """Return which frame each row means; None where there is no such image.

    Args:
        written: as the table has them.
        csv: the table.
        names: the images of a folder in order; None for a video file, whose frames have numbers.
        errors: where texts are collected that are no number where one is needed.
    """
    by_name = {name: position for position, name in enumerate(names or [])}
    for position, name in enumerate(names or []):
        by_name.setdefault(posixpath.splitext(name)[0], position)
    numbers: list[int | None] = []
    wrong: list[Mistake] = []
    for line, text in lines_of(written):
        frame = str(text)
        number = by_name.get(frame, by_name.get(posixpath.basename(frame.replace("\\", "/"))))
        if number is None and frame.isascii() and frame.isdigit() and len(frame) < 10:
            number = int(frame)
            number = None if names is not None and number >= len(names) else number
        elif number is None and names is None:
            wrong.append(Mistake(line, frame))
        numbers.append(number)
    errors += told_lines("frames of a video file are numbers from 0", csv, wrong, "0 for the first")
    return numbers


def _intervals(
    rows: pd.DataFrame,
    numbers: Sequence[int | None],
    path: Path,
    names: Sequence[str] | None,
    csv: Path,
) -> pd.DataFrame:
    """Return the rows of one video as intervals, none where its rate is not known."""
    fps = frame_rate(path)
    if fps is None:
        return pd.DataFrame(columns=["video_id", "start_s", "end_s", "label"])
    known = [n for n in numbers if n is not None]
    total = len(names) if names is not None else max(known, default=-1) + 1
    return frame_runs(rows, numbers, total, fps, csv).assign(video_id=rows["video_id"].iloc[0])


def frame_runs(
    rows: pd.DataFrame, numbers: Sequence[int | None], total: int, fps: float, csv: Path
) -> pd.DataFrame:
    """Return the labels of the frames of one video as intervals, with the line each begins on.

    Args:
        rows: column ``label``; the index is the line in ``csv``.
        numbers: the frame of each row; None is left out.
        total: frames of the video.
        fps: frames a second.
        csv: the table.
    """
    classes = sorted(rows["label"].dropna().unique()) or [""]  # none: all frames are unlabelled
    column_of = {label: column for column, label in enumerate(classes)}
    present: Present = np.full((total, len(classes)), UNLABELLED, dtype=np.int8)
    line_of: dict[tuple[int, str | None], int] = {}
    for (line, label), number in zip(lines_of(rows["label"]), numbers, strict=True):
        if number is None:
            continue
        line_of.setdefault((number, label), line)
        if label is not None:
            present[number] = np.maximum(present[number], 0)
            present[number, column_of[label]] = 1
    table = frames_to_intervals(present, fps, classes, between=True)
    firsts = np.ceil(table["start_s"].to_numpy() * fps - 0.25).astype(int).tolist()
    lines = [line_of.get((n, label)) for n, label in zip(firsts, table["label"], strict=True)]
    table[SOURCE_COLUMN] = [
        "frames without a row" if line is None else place(csv, line) for line in lines
    ]
    return table


def _named(
    rows: pd.DataFrame, numbers: Sequence[int | None], names: Sequence[str] | None
) -> pd.DataFrame:
    """Return which frames the rows of one video name: images by name, others by number."""
    written = zip(rows["frame"].tolist(), numbers, strict=True)
    frames = [text if n is None else (str(n) if names is None else names[n]) for text, n in written]
    return pd.DataFrame({"video_id": rows["video_id"].tolist(), "frame": frames}, dtype=object)
