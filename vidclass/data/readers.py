"""From a source's name to a data set: a registry of readers.

A source is the name of a data set that vidclass makes itself (``moving_shapes``), or a folder. A
further format registers a reader with :func:`register_reader`; nothing else has to know of it.
"""

import difflib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.splits import SPLITS
from vidclass.errors import UserError, raise_collected

__all__ = ["VIDEO_SUFFIXES", "ReadRequest", "list_readers", "read_dataset", "register_reader"]

VIDEO_SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .f4v .flv .h264 .h265 .hevc .m2ts .m2v .m4v .mkv .mov .mp4 .mpeg .mpg "
    ".mts .mxf .ogv .qt .rm .rmvb .ts .vob .webm .wmv .y4m".split()
)
"""What counts as a video by its name; whether it decodes is found out by decoding it."""

_LABELS, _GROUPS = "labels.csv", "groups.csv"
_COLUMNS = {
    _LABELS: (("video", "label"), ("group", "split")),
    _GROUPS: (("video", "group"), ("label",)),
}


@dataclass(frozen=True)
class ReadRequest:
    """What a reader is asked for.

    Attributes:
        source: as the user wrote it.
        preset: difficulty of a data set that vidclass makes.
        seed: seed of a data set that vidclass makes.
        home: the home folder.
        group_pattern: a regular expression whose first group, found in a file's name, is its group.
        progress: called with (stage, done, total) by a reader that makes its data set.
    """

    source: str
    preset: str
    seed: int
    home: Path
    group_pattern: str | None
    progress: Callable[[str, int, int], None] | None = None


Reader = Callable[[ReadRequest], Dataset]
_READERS: dict[str, Reader] = {}


def register_reader(name: str) -> Callable[[Reader], Reader]:
    """Register a reader for sources called ``name``.

    Raises:
        UserError: when the name is taken.
    """

    def register(reader: Reader) -> Reader:
        if name in _READERS:
            raise UserError("a reader's name is new", name, f"another name than {list_readers()}")
        _READERS[name] = reader
        return reader

    return register


def list_readers() -> list[str]:
    """Return the names of all registered readers."""
    return sorted(_READERS)


def read_dataset(
    source: str,
    *,
    preset: str = "default",
    seed: int = 0,
    home: Path,
    group_pattern: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Dataset:
    """Return the data set of a registered name or of a folder.

    Raises:
        UserError: when there is no such source.
        UserErrors: with all mistakes of the folder and its tables.
    """
    request = ReadRequest(str(source), preset, seed, home, group_pattern, progress)
    reader = _READERS.get(request.source)
    if reader is not None:
        return reader(request)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        close = difflib.get_close_matches(request.source, list_readers(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(
            f"data is a folder of videos or one of: {', '.join(list_readers())}",
            request.source,
            f"{hint}check the path (a folder with one subfolder a class)",
        )
    return read_folder(folder.resolve(), group_pattern)


@register_reader("moving_shapes")
def _read_moving_shapes(request: ReadRequest) -> Dataset:
    from vidclass.data.synthetic import make_moving_shapes

    folder = make_moving_shapes(
        request.home, preset=request.preset, seed=request.seed, progress=request.progress
    )
    return read_folder(Path(folder), None)


def read_folder(root: Path, group_pattern: str | None) -> Dataset:
    """Read a folder: the first folder below ``root`` is the class, tables override it.

    ``labels.csv`` (video, label and perhaps group, split) and ``groups.csv`` (video, group and
    perhaps label) lie in ``root``; ``video`` is a path relative to it, with or without suffix. An
    empty label leaves a video unlabelled. Where no group is given, each file is its own group.

    Raises:
        UserErrors: with all mistakes at once.
    """
    present_files = _walk(root)
    files = [name for name in present_files if Path(name).suffix.lower() in VIDEO_SUFFIXES]
    if not files:
        present = sorted({Path(name).suffix or name for name in present_files})
        raise UserError(
            "a data folder holds videos",
            f"{root}: " + (f"only {', '.join(present[:8])}" if present else "it is empty"),
            "one subfolder a class with videos in it (" + ", ".join(sorted(VIDEO_SUFFIXES)) + ")",
        )
    errors: list[UserError] = []
    table = pd.DataFrame(index=pd.Index(files, name="video_id"))
    table["path"] = [str(root / name) for name in files]
    table["label"] = [name.split("/")[0] if "/" in name else None for name in files]
    table["group"] = _groups_by_name(files, group_pattern, errors)
    table["split"] = None
    table = table.astype(object)
    for name in (_GROUPS, _LABELS):
        if (root / name).exists():
            _apply(table, root / name, errors)
    _check(table, root, errors)
    raise_collected(errors)
    groups_known = bool(table["group"].notna().all())
    table["group"] = table["group"].fillna(pd.Series(table.index, index=table.index))
    return Dataset(root, new_manifest(table.reset_index()), groups_known)


def _walk(root: Path) -> list[str]:
    """Return all files below ``root`` but hidden ones, as sorted relative paths; follows links."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(folder).relative_to(root)
        found += [(relative / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)


def _groups_by_name(
    names: list[str], pattern: str | None, errors: list[UserError]
) -> list[str | None]:
    if pattern is None:
        return [None] * len(names)
    example = "for example group_pattern: '(seq\\d+)'"
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        errors.append(
            UserError(f"group_pattern is a regular expression ({error})", pattern, example)
        )
        return [None] * len(names)
    if compiled.groups < 1:
        errors.append(UserError("group_pattern has a part in parentheses", pattern, example))
        return [None] * len(names)
    groups: list[str | None] = []
    for name in names:
        match = compiled.search(name.rsplit("/", 1)[-1])
        groups.append(match.group(1) if match else None)
    unmatched = [name for name, group in zip(names, groups, strict=True) if group is None]
    if unmatched:
        errors.append(
            UserError(
                f"group_pattern {pattern} is found in every file name",
                f"not in {len(unmatched)} of {len(names)}, first {unmatched[0]}",
                "a pattern that fits all names, or a groups.csv",
            )
        )
    return groups


def _apply(table: pd.DataFrame, csv: Path, errors: list[UserError]) -> None:
    """Write the columns of ``csv`` into ``table``, collecting its mistakes in ``errors``."""
    try:
        rows = pd.read_csv(csv, dtype=str, skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        errors.append(
            UserError(f"{csv.name} is a table", error, "comma-separated, a header, UTF-8")
        )
        return
    required, optional = _COLUMNS[csv.name]
    columns = f"{', '.join(required)} and perhaps {', '.join(optional)}"
    missing = [name for name in required if name not in rows.columns]
    unknown = [str(name) for name in rows.columns if name not in required + optional]
    if missing or unknown:
        received = [f"missing {name}" for name in missing] + [f"unknown {name}" for name in unknown]
        errors.append(UserError(f"{csv.name} has the columns {columns}", received, "rename them"))
        return
    ids = _match(rows["video"].fillna(""), table.index)
    absent = rows.loc[ids.isna(), "video"].tolist()
    if absent:
        errors.append(
            UserError(
                f"every video of {csv.name} is in the folder",
                f"{len(absent)} absent, first {absent[0]}",
                "a path relative to the folder, as in class_a/clip1.mp4",
            )
        )
    twice = sorted(ids[ids.duplicated() & ids.notna()].unique())
    if twice:
        errors.append(
            UserError(
                f"{csv.name} names a video once",
                f"{len(twice)} named again, first {twice[0]}",
                "one row a video",
            )
        )
    if "split" in rows.columns:
        odd = sorted(set(rows["split"].dropna()) - set(SPLITS))
        if odd:
            errors.append(UserError("a split is train, valid or test", odd, f"mend {csv.name}"))
    known = rows[ids.notna()].set_axis(ids.dropna().tolist()).groupby(level=0).first()
    for column in known.columns.drop("video"):
        values = known[column].astype(object).where(known[column].notna(), None)
        if column == "label" and csv.name == _LABELS:
            table["label"] = None  # a labels.csv says all: what it leaves out is unlabelled
        table.loc[values.index, column] = values


def _match(names: pd.Series, video_ids: pd.Index) -> pd.Series:
    """Return the video id of each name (its suffix may be left out); None where there is none."""
    by_stem: dict[str, list[str]] = {}
    for video_id in video_ids:
        by_stem.setdefault(str(video_id).rsplit(".", 1)[0], []).append(str(video_id))
    exact = set(video_ids)

    def match(name: str) -> str | None:
        name = name.strip().replace("\\", "/").removeprefix("./")
        if name in exact:
            return name
        found = by_stem.get(name, [])
        return found[0] if len(found) == 1 else None

    return names.map(match).astype(object)


def _check(table: pd.DataFrame, root: Path, errors: list[UserError]) -> None:
    labels = sorted(set(table["label"].dropna()))
    if len(labels) < 2:
        errors.append(
            UserError(
                "a data set has at least two classes",
                f"{root}: {labels[0] if labels else 'none'}",
                "one subfolder a class, or a labels.csv (video,label)",
            )
        )
    for column in ("group", "split"):
        given = table[column].notna()
        labelled = table["label"].notna()
        lacking = table.index[labelled & ~given]
        if given.any() and len(lacking):
            errors.append(
                UserError(
                    f"either every labelled video has a {column} or none has",
                    f"{len(lacking)} of {int(labelled.sum())} have none, first {lacking[0]}",
                    f"fill the column {column}, or remove it",
                )
            )
