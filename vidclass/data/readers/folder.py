"""A folder of videos: the first folder below it is the class; two tables may override that."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import MANIFEST_COLUMNS, SEGMENT_COLUMNS, Dataset, new_manifest
from vidclass.data.readers.columns import (
    Columns,
    Mistake,
    duplicates,
    lines_of,
    read_columns,
    told_lines,
)
from vidclass.data.readers.registry import FALLBACK, ReadRequest, register_reader
from vidclass.data.readers.walk import VideoNames, case_clashes, find_videos, groups_by_name
from vidclass.data.splits import SPLITS
from vidclass.data.tables import place
from vidclass.errors import UserError, raise_collected

__all__ = ["read_folder"]

_LABELS, _GROUPS = "labels.csv", "groups.csv"
_REFUSED = (*MANIFEST_COLUMNS, *SEGMENT_COLUMNS)
_COLUMNS = {
    _LABELS: Columns(("video", "label"), ("group", "split"), further=True, refused=_REFUSED),
    _GROUPS: Columns(("video", "group"), ("label",), further=True, refused=_REFUSED),
}


@register_reader(FALLBACK, recognises=Path.is_dir)
def read_folder(request: ReadRequest) -> Dataset:
    """Read a folder of one subfolder a class.

    ``labels.csv`` (video, label and perhaps group, split) and ``groups.csv`` (video, group and
    perhaps label) lie in it; ``video`` is a path relative to it, with or without suffix. An empty
    label leaves a video unlabelled. Further columns are kept as group columns. Where no group is
    given, each file is its own group.

    Raises:
        UserError: when it holds no videos.
        UserErrors: with all mistakes at once.
    """
    table, errors = _table_of(request)
    table["label"] = [name.split("/")[0] if "/" in name else None for name in table.index]
    named_in: dict[str, str] = {}  # file and line of each video that a table names
    for name in (_GROUPS, _LABELS):
        if (request.path / name).exists():
            table = _apply(table, request.path / name, errors, named_in)
    _check_filled(table, named_in, errors)
    raise_collected(errors)
    labels = table["label"].dropna().unique()
    warnings = case_clashes(table.index, "videos") + case_clashes(labels, "classes")
    return _dataset(request, table, warnings)


@register_reader("unlabelled", recognises=lambda path: False)
def _read_unlabelled(request: ReadRequest) -> Dataset:
    """Read a folder whose subfolders mean nothing.

    Raises:
        UserError: when it holds no videos.
        UserErrors: for a wrong group pattern.
    """
    table, errors = _table_of(request)
    raise_collected(errors)
    return _dataset(request, table, case_clashes(table.index, "videos"))


def _table_of(request: ReadRequest) -> tuple[pd.DataFrame, list[UserError]]:
    errors: list[UserError] = []
    if not request.path.is_dir():
        raise UserError("this format is a folder", request.path, "the folder that it lies in")
    files = find_videos(request.path, errors)
    table = pd.DataFrame(index=pd.Index(files, name="video_id"))
    table["path"] = [str(request.path / name) for name in files]
    table["label"] = None
    table["group"] = groups_by_name(files, request.group_pattern, errors)
    table["split"] = None
    return table.astype(object), errors


def _dataset(request: ReadRequest, table: pd.DataFrame, warnings: list[str]) -> Dataset:
    groups_known = bool(table["group"].notna().all())
    table["group"] = table["group"].fillna(pd.Series(table.index, index=table.index))
    manifest = new_manifest(table.reset_index())
    return Dataset(request.path, manifest, groups_known, warnings=tuple(warnings))


def _apply(
    table: pd.DataFrame, csv: Path, errors: list[UserError], named_in: dict[str, str]
) -> pd.DataFrame:
    """Return ``table`` with the columns of ``csv``, collecting its mistakes in ``errors``.

    ``named_in`` is told which line names each video.
    """
    rows = read_columns(csv, _COLUMNS[csv.name], errors)
    if rows is None:
        return table
    names = VideoNames(csv.parent, table.index)
    written = lines_of(rows["video"])
    ids = pd.Series([name and names.find(name) for _, name in written], rows.index, dtype=object)
    mistakes = [
        Mistake(line, name or "no video")
        for (line, name), video_id in zip(written, ids, strict=True)
        if video_id is None
    ]
    if mistakes:
        name = str(mistakes[0].value)
        mistakes[0] = Mistake(mistakes[0].line, f"{name}: {names.why_not(name)}")
    errors += told_lines(
        f"every video of {csv.name} is in the folder",
        csv,
        mistakes,
        "a path relative to the folder, as in class_a/clip1.mp4",
    )
    errors += told_lines(f"{csv.name} names a video once", csv, duplicates(ids), "one row a video")
    if "split" in rows.columns:
        splits = lines_of(rows["split"].dropna())
        odd = [Mistake(line, repr(name)) for line, name in splits if name not in SPLITS]
        errors += told_lines("a split is train, valid or test", csv, odd, f"mend {csv.name}")
    named_in |= {str(name): place(csv, line) for line, name in lines_of(ids.dropna())}
    known = rows[ids.notna()].set_axis(ids.dropna().tolist()).drop(columns="video")
    known = known[~known.index.duplicated()]
    if csv.name == _LABELS:
        table["label"] = None  # a labels.csv says all: what it leaves out is unlabelled
    for column in known.columns:
        if column not in table.columns:
            table[column] = None
        table.loc[known.index, column] = known[column]
    return table


def _check_filled(
    table: pd.DataFrame, named_in: Mapping[str, str], errors: list[UserError]
) -> None:
    for column in ("group", "split"):
        given = table[column].notna()
        labelled = table["label"].notna()
        lacking = table.index[labelled & ~given]
        if given.any() and len(lacking):
            errors.append(
                UserError(
                    f"either every labelled video has a {column} or none has",
                    f"{named_in.get(lacking[0], 'in no table')}: {lacking[0]} "
                    f"({len(lacking)} of {int(labelled.sum())} have none)",
                    f"fill the column {column}, or remove it",
                )
            )
