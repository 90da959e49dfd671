"""A manifest as CSV or Parquet: one row a video, by hand or from ``vidclass data index``.

Columns: ``path`` (or ``video``), perhaps ``video_id``, ``label``, ``group``, ``split``,
``start_s``, ``end_s``, published splits ``split_1``, ..., and group columns of your own. A path is
absolute or relative to the file's folder, also out of it.
"""

import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from vidclass.data.annotations import ANNOTATION_COLUMNS, SOURCE_COLUMN, new_annotations
from vidclass.data.dataset_file import SUFFIXES, sidecar
from vidclass.data.manifest import (
    MANIFEST_COLUMNS,
    PROBE_COLUMNS,
    SEGMENT_COLUMNS,
    STATUS_OK,
    STATUS_QUARANTINED,
    Dataset,
    new_manifest,
    published_columns,
)
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
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import case_clashes, groups_by_name, segment_id
from vidclass.data.splits import SPLITS
from vidclass.data.tables import place
from vidclass.data.timecodes import parse_time_s
from vidclass.errors import UserError, raise_collected

__all__: list[str] = []

_PATHS = ("path", "video", "video_id")
_COLUMNS = Columns((), ("video", *MANIFEST_COLUMNS, *SEGMENT_COLUMNS), further=True)
_FOUND = (*PROBE_COLUMNS, "size_bytes", "content_hash", "status", "reason")
_ANNOTATIONS = Columns(
    ("video_id", "start_s", "end_s", "label"), (*ANNOTATION_COLUMNS[4:], SOURCE_COLUMN)
)
_FRAMES = Columns(("video_id", "frame"))
_CLASSES = Columns(("label",))


def _recognises(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix.lower() == ".parquet":
        return True
    header = set(header_of(path)) if path.suffix.lower() in (".csv", ".tsv", ".txt") else set()
    of_parts = {"frame", "time_start"}  # tables of single frames or of intervals
    return bool(header & set(_PATHS)) and not header & of_parts


@register_reader("manifest", _recognises)
def _read_manifest(request: ReadRequest) -> Dataset:
    """Read a manifest and what lies beside it.

    Raises:
        UserErrors: with all mistakes at once, each with its line (of Parquet, its row).
    """
    errors: list[UserError] = []
    rows = _read(request.path, _COLUMNS, errors)
    raise_collected(errors)
    assert rows is not None
    table = _with_files(rows, request.path, errors)
    raise_collected(errors)
    _check_values(table, request.path, errors)
    if "group" not in table.columns or table["group"].isna().all():
        names = [name.partition("#t=")[0] for name in table["video_id"]]
        table["group"] = pd.Series(
            groups_by_name(names, request.group_pattern, errors), table.index, dtype=object
        )
    known = table["group"].notna()
    if known.any() and not known.all():
        lacking = [
            Mistake(line, video_id) for line, video_id in lines_of(table["video_id"][~known])
        ]
        errors += told_lines(
            "either every video has a group or none has", request.path, lacking, "fill the column"
        )
    raise_collected(errors)
    table["group"] = table["group"].fillna(table["video_id"])
    warnings = case_clashes(table["video_id"], "videos")
    warnings += case_clashes(table["label"].dropna().unique(), "classes")
    warnings += _absent_files(table, request.path, errors)
    parts = _parts(request.path, set(table["video_id"]), errors)
    raise_collected(errors)
    classes = parts["classes"]
    return Dataset(
        request.path.parent,
        _with_findings(new_manifest(table), table),
        groups_known=bool(known.all()),
        annotations=parts["annotations"],
        class_names=None if classes is None else tuple(classes["label"]),
        frame_rows=parts["frames"],
        warnings=tuple(warnings),
    )


def _read(path: Path, columns: Columns, errors: list[UserError]) -> pd.DataFrame | None:
    """Return a table of text, None where empty; the index is the line, of Parquet the row."""
    if path.suffix.lower() != ".parquet":
        return read_columns(path, columns, errors)
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are of these kinds
        rule = f"{path.name} is a Parquet file"
        errors.append(UserError(rule, f"{path}: {error}", "write it anew, or use CSV"))
        return None
    missing = [name for name in columns.required if name not in table.columns]
    if missing or not len(table):
        told = f"missing {', '.join(missing)}" if missing else "it is empty"
        rule = f"{path.name} has the columns {columns.told()}"
        errors.append(UserError(rule, f"{place(path, 1)}: {told}", "write it anew"))
        return None
    table.index = pd.RangeIndex(1, len(table) + 1, name="line")
    texts = table.convert_dtypes().astype("string").astype(object)  # 3.0 beside a gap is a 3 again
    return texts.where(texts.notna() & (texts != ""), None)


def _with_files(rows: pd.DataFrame, path: Path, errors: list[UserError]) -> pd.DataFrame:
    """Return ``rows`` with text in all columns that a manifest needs: path, id, label, split."""
    written = next((name for name in _PATHS if name in rows.columns), None)
    if written is None:
        errors.append(
            UserError(
                f"{path.name} has a column path (or video)",
                f"{place(path, 1)}: {', '.join(map(str, rows.columns))}",
                "add it: absolute, or relative to the file's folder",
            )
        )
        return rows
    table = rows.copy()
    empty = [Mistake(line, "no path") for line, name in lines_of(rows[written]) if not name]
    errors += told_lines("every row names a video", path, empty, "fill it, or remove the row")
    for name, column in zip(SEGMENT_COLUMNS, ("start", "end"), strict=True):
        if name in rows.columns:
            table[name], wrong = parsed(rows[name], _seconds)
            errors += told_lines(f"the {column} of a video is a time", path, wrong, "mend it")
        else:
            table[name] = np.nan
    told = backwards(table["start_s"], table["end_s"])
    errors += told_lines("a video ends after it starts", path, told, "mend the times")
    names = [str(name or "").replace("\\", "/") for name in rows[written]]
    folder = path.parent.as_posix()
    table["path"] = [posixpath.normpath(posixpath.join(folder, name)) for name in names]
    if "video_id" not in rows.columns:
        table["video_id"] = _ids(names, table)
    for column in ("label", "split"):
        if column not in rows.columns:
            table[column] = None
    errors += told_lines(
        f"{path.name} names a video once", path, duplicates(table["video_id"]), "one row a video"
    )
    return table.drop(columns="video", errors="ignore")


def _seconds(text: str) -> float:
    """Return a time, also as a number with an exponent, as it is written for tiny ones."""
    try:
        number = float(text)
    except ValueError:
        return parse_time_s(text)
    return number if 0 <= number < 1e9 else parse_time_s(text)


def _ids(names: Sequence[str], table: pd.DataFrame) -> list[str]:
    times = zip(table["start_s"].tolist(), table["end_s"].tolist(), strict=True)
    return [
        segment_id(posixpath.normpath(name), start_s, end_s)
        if start_s == start_s or end_s == end_s
        else posixpath.normpath(name)
        for name, (start_s, end_s) in zip(names, times, strict=True)
    ]


def _check_values(table: pd.DataFrame, path: Path, errors: list[UserError]) -> None:
    for column in ("split", *published_columns(table).values()):
        odd = [
            Mistake(line, text)
            for line, text in lines_of(table[column])
            if text not in (None, *SPLITS)
        ]
        errors += told_lines(f"{column} is train, valid or test", path, odd, "rename it")
    given = table["split"].notna()
    lacking = table["video_id"][table["label"].notna() & ~given]
    if given.any():
        errors += told_lines(
            "either every labelled video has a split or none has",
            path,
            [Mistake(line, name) for line, name in lines_of(lacking)],
            "fill the column, or remove it",
        )
    if "status" in table.columns:
        statuses = (None, STATUS_OK, STATUS_QUARANTINED)
        odd = [
            Mistake(line, text) for line, text in lines_of(table["status"]) if text not in statuses
        ]
        errors += told_lines(f"status is {STATUS_OK} or {STATUS_QUARANTINED}", path, odd, "mend it")
    for column in _FOUND[: len(PROBE_COLUMNS) + 1]:
        if column in table.columns:
            table[column], wrong = parsed(table[column], float)
            errors += told_lines(f"{column} is a number", path, wrong, "mend or remove the column")


def _with_findings(manifest: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return ``manifest`` with what an earlier probe of these files found, where that was kept."""
    found = table.set_index("video_id").loc[manifest["video_id"]]
    if "status" in found.columns:
        manifest["status"] = found["status"].fillna(STATUS_OK).to_numpy()
    return manifest


def _absent_files(table: pd.DataFrame, path: Path, errors: list[UserError]) -> list[str]:
    """Return a warning where files are absent; a mistake where all are, as wrong paths make it."""
    absent = [
        Mistake(line, name)
        for line, name in lines_of(table["path"])
        if not os.path.exists(str(name))
    ]
    if len(absent) == len(table):
        errors += told_lines(
            "the videos of a manifest exist",
            path,
            absent,
            "paths that are absolute, or relative to the folder of the file",
        )
        return []
    if not absent:
        return []
    first = absent[0]
    more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
    return [f"no such file: {first.value} ({place(path, first.line)}){more}"]


def _parts(
    path: Path, video_ids: set[str], errors: list[UserError]
) -> dict[str, pd.DataFrame | None]:
    """Return the tables that lie beside a manifest, None where they don't."""
    parts: dict[str, pd.DataFrame | None] = {}
    for name, columns in (
        ("annotations", _ANNOTATIONS),
        ("frames", _FRAMES),
        ("classes", _CLASSES),
    ):
        beside = sidecar(path, name)
        usable = path.suffix.lower() in SUFFIXES and beside.is_file()
        table = _read(beside, columns, errors) if usable else None
        if table is not None and "video_id" in table.columns:
            strange = [
                Mistake(line, video_id)
                for line, video_id in lines_of(table["video_id"])
                if video_id not in video_ids
            ]
            errors += told_lines(
                f"every video of {beside.name} is in {path.name}",
                beside,
                strange,
                "write both anew",
            )
        if table is not None and name == "annotations":
            for column in ("start_s", "end_s"):
                table[column], wrong = parsed(table[column], _seconds)
                errors += told_lines(f"{column} is a time", beside, wrong, "mend it")
            table = new_annotations(table)
        parts[name] = table
    return parts
