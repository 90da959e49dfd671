"""Kinetics: lists of YouTube clips (label, youtube_id, time_start, time_end, split) beside videos.

A video is the cut clip, ``ID_000010_000020.mp4``, or the whole upload, ``ID.mp4``, of which only
the part from ``time_start`` to ``time_end`` is meant. The group is the upload.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.readers.columns import (
    Columns,
    Mistake,
    backwards,
    duplicates,
    header_of,
    lines_of,
    parsed,
    read_columns,
    told_lines,
)
from vidclass.data.readers.published import (
    absent_from_folder,
    first_of_each,
    named_twice,
    scored_lists,
    unused_pattern,
)
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import find_videos, segment_id, stem_of
from vidclass.data.tables import place
from vidclass.data.timecodes import parse_time_s
from vidclass.errors import UserError, raise_collected

__all__: list[str] = []

_NEEDED = ("youtube_id", "time_start", "time_end")
_COLUMNS = Columns(_NEEDED, ("label", "split", "is_cc"))
_LISTS_FOLDERS = (".", "annotations", "labels")
_SPLITS = {
    "train": "train",
    "val": "valid",
    "valid": "valid",
    "validate": "valid",
    "validation": "valid",
    "test": "test",
    "holdout": "test",
}
_CUT = re.compile(r"(?P<upload>.+)_(?P<start>\d{6})_(?P<end>\d{6})")


def _is_list(path: Path) -> bool:
    return path.suffix.lower() == ".csv" and set(_NEEDED) <= set(header_of(path))


def _lists(path: Path) -> Iterator[Path]:
    if path.is_file():
        if _is_list(path):
            yield path
        return
    for folder in (path / name for name in _LISTS_FOLDERS):
        if folder.is_dir():
            yield from (file for file in sorted(folder.iterdir()) if _is_list(file))


def _recognises(path: Path) -> bool:
    return next(_lists(path), None) is not None


@register_reader("kinetics", _recognises)
def _read_kinetics(request: ReadRequest) -> Dataset:
    """Read the lists of a folder, or one list; videos lie anywhere below its folder.

    Raises:
        UserError: when there is no list or no video.
        UserErrors: with all mistakes of the lists.
    """
    root = request.path if request.path.is_dir() else request.path.parent
    lists = list(_lists(request.path))
    if not lists:
        raise UserError(
            f"a list of Kinetics is a csv with the columns {_COLUMNS.told()}",
            f"{request.path}: there is none",
            "the lists beside the videos, or below annotations/",
        )
    if root.name in _LISTS_FOLDERS and request.path.is_file():
        root = root.parent
    errors: list[UserError] = []
    files = _Files(root, find_videos(root, errors))
    rows: list[dict[str, object]] = []
    absent: list[tuple[str, str]] = []
    for path in lists:
        for line, upload, start_s, end_s, label, split in _read_list(path, errors):
            found = files.find(upload, start_s, end_s)
            where = f"{upload} ({place(path, line)})"
            if found is None:
                absent.append((label or "", where))
            else:
                said = {"label": label, "group": upload, "split": split, "where": where}
                rows.append(found | said)
    raise_collected(errors)
    if not rows:
        raise UserError(
            "a video of Kinetics is called ID_000010_000020 (cut) or ID (the whole upload)",
            f"{root}: of {len(absent)} clips in the lists none is there, first {absent[0][1]}"
            if absent
            else f"{root}: the lists are empty",
            "the folder that holds both the lists and the videos",
        )
    table = pd.DataFrame(rows)
    clips = table[["video_id", "where"]].assign(place=table["where"])
    raise_collected(named_twice("a clip is in one list of Kinetics", clips, "video_id", ["place"]))
    present = set(table["label"].dropna())
    labelled = [(label, name) for label, name in absent if label]
    warnings = unused_pattern(request) + files.warnings + absent_from_folder(labelled, present)
    warnings += scored_lists(table)
    manifest = new_manifest(table.drop(columns="where"))
    return Dataset(root, manifest, groups_known=True, warnings=tuple(warnings))


class _Files:
    """Finds the file of a clip by its name."""

    def __init__(self, root: Path, names: list[str]) -> None:
        self._root = root
        self._by_stem, self.warnings = first_of_each(names, stem_of)

    def find(self, upload: str, start_s: float, end_s: float) -> dict[str, object] | None:
        """Return id, path and times of a clip; None where it is absent."""
        cut = self._by_stem.get(f"{upload}_{int(start_s):06d}_{int(end_s):06d}")
        if cut is not None:
            return self._row(cut, cut, float("nan"), float("nan"))
        whole = self._by_stem.get(upload)
        if whole is None:
            return None
        return self._row(segment_id(whole, start_s, end_s), whole, start_s, end_s)

    def _row(self, video_id: str, name: str, start_s: float, end_s: float) -> dict[str, object]:
        path = str(self._root / name)
        return {"video_id": video_id, "path": path, "start_s": start_s, "end_s": end_s}


_Row = tuple[int, str, float, float, str | None, str | None]


def _read_list(path: Path, errors: list[UserError]) -> list[_Row]:
    """Return line, youtube_id, start_s, end_s, label and split of each clip of a list."""
    rows = read_columns(path, _COLUMNS, errors)
    if rows is None:
        return []
    before = len(errors)
    empty = [
        Mistake(line, "no youtube_id") for line, name in lines_of(rows["youtube_id"]) if not name
    ]
    errors += told_lines("every clip has its id", path, empty, "remove the row")
    for name, column in (("time_start", "start_s"), ("time_end", "end_s")):
        rows[column], wrong = parsed(rows[name], parse_time_s)
        wrong += [Mistake(line, f"no {name}") for line, text in lines_of(rows[name]) if not text]
        errors += told_lines(f"{name} is a time", path, wrong, "seconds, as published")
    told = backwards(rows["start_s"], rows["end_s"])
    errors += told_lines("a clip ends after it starts", path, told, "mend the times")
    key = rows["youtube_id"].astype(str) + " at " + rows["time_start"].astype(str)
    errors += told_lines("a list names a clip once", path, duplicates(key), "remove one row")
    if "label" not in rows.columns:
        rows["label"] = None
    if "split" not in rows.columns:
        rows["split"] = next((name for name in _SPLITS if name in path.stem.lower()), None)
    odd = [
        Mistake(line, name)
        for line, name in lines_of(rows["split"])
        if name not in (None, *_SPLITS)
    ]
    errors += told_lines(f"a split is one of {', '.join(_SPLITS)}", path, odd, "rename it")
    rows["split"] = [_SPLITS.get(name) if name else None for name in rows["split"]]
    if len(errors) > before:
        return []
    columns = ["youtube_id", "start_s", "end_s", "label", "split"]
    return list(rows[columns].itertuples(name=None))
