"""Videos with ``timestamps.csv``: one row a bout, ``video, time_start, time_end, label``."""

from pathlib import Path

import pandas as pd

from vidclass.data.annotations import new_annotations
from vidclass.data.manifest import Dataset
from vidclass.data.readers.annotated import OF_THE_VIDEO, REFUSED, AnnotatedVideos, sources
from vidclass.data.readers.columns import (
    Columns,
    Mistake,
    header_of,
    lines_of,
    parsed,
    read_columns,
    told_lines,
)
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import find_videos
from vidclass.data.timecodes import parse_time_s
from vidclass.errors import UserError, UserErrors, raise_collected

__all__ = ["INTERVAL_COLUMNS", "TIMESTAMPS", "read_interval_rows"]

TIMESTAMPS = "timestamps.csv"
INTERVAL_COLUMNS = ("video", "time_start", "time_end", "label")
_OWN = (*INTERVAL_COLUMNS, "subject", "annotator")
_COLUMNS = Columns(
    INTERVAL_COLUMNS, ("subject", "annotator", *OF_THE_VIDEO), further=True, refused=REFUSED
)


def _recognises(path: Path) -> bool:
    if path.is_file():
        return set(INTERVAL_COLUMNS) <= set(header_of(path))
    return (path / TIMESTAMPS).is_file()


@register_reader("timestamps", _recognises)
def _read_timestamps(request: ReadRequest) -> Dataset:
    """Read a folder of videos in which ``timestamps.csv`` lies, or any such table beside videos.

    ``video`` is a path relative to the table, with or without suffix; ``subject``, ``annotator``,
    ``group``, ``split`` and group columns may follow. A row without a label says that nobody looked
    there. Videos without a row are unlabelled.

    Raises:
        UserErrors: with all mistakes at once.
    """
    csv = request.path if request.path.is_file() else request.path / TIMESTAMPS
    errors: list[UserError] = []
    root = csv.parent
    videos = AnnotatedVideos(root, find_videos(root, errors), request.group_pattern, errors)
    rows = read_interval_rows(csv, errors)
    if rows is None:
        raise UserErrors(errors)
    ids = videos.match(rows["video"], csv)
    videos.keep(rows, ids, csv, [name for name in rows.columns if name not in _KEPT])
    videos.apply_groups()
    warnings = _check(rows, csv, errors)
    dataset = videos.dataset(new_annotations(rows.assign(video_id=ids)), warnings=warnings)
    raise_collected(errors)
    return dataset


_KEPT = (*_OWN, "start_s", "end_s", "source")


def read_interval_rows(csv: Path, errors: list[UserError]) -> pd.DataFrame | None:
    """Return the rows of an interval table, with ``start_s``, ``end_s`` and ``source`` added.

    Args:
        csv: the table.
        errors: where its mistakes are collected; times that are none among them. What the times
            say is not judged.

    Returns:
        None when the table can't be used.
    """
    rows = read_columns(csv, _COLUMNS, errors)
    if rows is None:
        return None
    for name, text in (("start_s", "time_start"), ("end_s", "time_end")):
        rows[name], wrong = parsed(rows[text], parse_time_s)
        wrong += [Mistake(line, "empty") for line, time in lines_of(rows[text]) if time is None]
        wrong.sort(key=lambda mistake: mistake.line)
        errors += told_lines(f"{text} is a time", csv, wrong, "75.5, 01:15.5 or 00:01:15.500")
    rows["source"] = sources(rows.index, csv)
    return rows


def _check(rows: pd.DataFrame, csv: Path, errors: list[UserError]) -> list[str]:
    """Collect what no interval may be, and return what the user should know."""
    texts = list(
        zip(rows.index.tolist(), *(rows[name].tolist() for name in INTERVAL_COLUMNS), strict=True)
    )
    backwards = (rows["start_s"] > rows["end_s"]).tolist()
    errors += told_lines(
        "an interval ends after it starts",
        csv,
        [
            Mistake(line, f"{video} {start} to {end}")
            for (line, video, start, end, _), wrong in zip(texts, backwards, strict=True)
            if wrong
        ],
        "mend it, or `vidclass data convert TABLE MENDED.csv --to timestamps --repair reversed`",
    )
    same = ["video", "start_s", "end_s", "label", "subject", "annotator"]
    again = rows.reindex(columns=same).duplicated().tolist()
    errors += told_lines(
        "a row stands there once",
        csv,
        [
            Mistake(line, f"{video} {start} to {end} again")
            for (line, video, start, end, _), wrong in zip(texts, again, strict=True)
            if wrong
        ],
        "remove it, or `vidclass data convert TABLE MENDED.csv --to timestamps --repair duplicate`",
    )
    points = int((rows["start_s"] == rows["end_s"]).sum())
    if not points:
        return []
    return [f"{csv.name}: {points} rows without length are point events; each marks one frame"]
