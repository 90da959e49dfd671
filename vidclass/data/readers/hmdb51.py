"""HMDB51: class folders of ``MOVIE_CLASS_..._N.avi``, and ``CLASS_test_splitN.txt`` lists.

A list writes 1 for train, 2 for test, 0 for unused. The group is (class, source movie). Several
movies have clips of more than one class, and the published splits do not keep those together: that
is told, not refused, since the figures of the literature are made so.
"""

import posixpath
import re
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import Dataset, new_manifest, published_columns
from vidclass.data.readers.columns import Mistake, read_lines, told_lines
from vidclass.data.readers.published import absent_from_folder, first_of_each, unused_pattern
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import find_videos, stem_of
from vidclass.errors import UserError, raise_collected

__all__: list[str] = []

_LIST = re.compile(r"(?P<label>.+)_test_split(?P<number>[1-9]\d*)\.txt")
_TAIL = re.compile(
    r"(?P<head>.+)_[hulf]_(?:cm|nm)_np\d+_(?:fr|ba|le|ri)_(?:goo|med|bad)_\d+", re.IGNORECASE
)
_SPLITS = {"0": None, "1": "train", "2": "test"}
_LISTS_FOLDERS = (".", "testTrainMulti_7030_splits", "test_train_splits", "splits")


def _lists(root: Path) -> list[Path]:
    folders = [root / name for name in _LISTS_FOLDERS]
    folders.append(root / "test_train_splits" / "testTrainMulti_7030_splits")
    for folder in folders:
        if folder.is_dir():
            lists = [path for path in sorted(folder.iterdir()) if _LIST.fullmatch(path.name)]
            if lists:
                return lists
    return []


def _recognises(path: Path) -> bool:
    return path.is_dir() and bool(_lists(path))


@register_reader("hmdb51", _recognises)
def _read_hmdb51(request: ReadRequest) -> Dataset:
    """Read HMDB51, or any part of it.

    Raises:
        UserError: when there are no videos.
        UserErrors: with all mistakes of the lists.
    """
    errors: list[UserError] = []
    files = find_videos(request.path, errors)
    lists = _lists(request.path)
    class_names = sorted({match["label"] for match in map(_match, lists) if match})
    rows, others = [], []
    for name in files:
        label = _class_of(name, class_names)
        movie = _movie(stem_of(name), label)
        if label is None or movie is None:
            others.append(name)
        else:
            group = f"{label}/{movie}"
            rows.append((name, str(request.path / name), label, group, None, movie))
    if files and not rows:
        raise UserError(
            "a video of HMDB51 is called MOVIE_CLASS_h_nm_np1_fr_goo_0 and lies in a class folder",
            f"{request.path}: none of {len(files)}, first {files[0]}",
            "folder:PATH reads a folder of any names",
        )
    columns = ["video_id", "path", "label", "group", "split", "movie"]
    table = pd.DataFrame(rows, columns=columns)
    warnings = unused_pattern(request)
    if others:
        warnings.append(f"left out, not called as HMDB51's are: {len(others)}, first {others[0]}")
    if lists:
        warnings += _add_splits(table, lists, errors)
    else:
        warnings.append("no CLASS_test_splitN.txt: the published splits are not known")
    raise_collected(errors)
    warnings += _shared_movies(table)
    return Dataset(request.path, new_manifest(table), groups_known=True, warnings=tuple(warnings))


def _match(path: Path) -> re.Match[str] | None:
    return _LIST.fullmatch(path.name)


def _class_of(name: str, class_names: list[str]) -> str | None:
    """Return the class of a video: its folder; for a flat folder, the class in its name."""
    folder = posixpath.basename(posixpath.dirname(name))
    if folder and (folder in class_names or not class_names):
        return folder
    tail = _TAIL.fullmatch(stem_of(name))
    head = tail["head"].casefold() if tail else ""
    # climb_stairs and stairs can't both end a name: the longest class that fits is meant.
    fitting = [label for label in class_names if head.endswith(f"_{label.casefold()}")]
    return max(fitting, key=len, default=None)


def _movie(stem: str, label: str | None) -> str | None:
    tail = _TAIL.fullmatch(stem)
    if tail is None or label is None:
        return None
    head = tail["head"]
    ending = f"_{label}"
    return head[: -len(ending)] if head.casefold().endswith(ending.casefold()) else head


def _add_splits(table: pd.DataFrame, lists: list[Path], errors: list[UserError]) -> list[str]:
    """Fill ``split_1``, ``split_2``, ... of ``table`` from the lists; return warnings."""
    labels = dict(zip(table["video_id"], table["label"], strict=True))
    number_of = {name: row for row, name in enumerate(labels)}
    files, alike = first_of_each(list(labels), lambda name: (labels[name], stem_of(name)))
    row_of = {key: number_of[name] for key, name in files.items()}
    columns: dict[str, list[str | None]] = {}
    absent: list[tuple[str, str]] = []
    for path in lists:
        match = _match(path)
        assert match is not None
        label = match["label"]
        column = columns.setdefault(f"split_{match['number']}", [None] * len(table))
        wrong, twice, seen = [], [], set()
        for line, text in read_lines(path, errors):
            name, _, number = text.rpartition(" ")
            key = (label, stem_of(name.strip()))
            if number not in _SPLITS or not name:
                wrong.append(Mistake(line, text))
            elif key in seen:
                twice.append(Mistake(line, name))
            elif key not in row_of:
                absent.append((label, name.strip()))
            else:
                column[row_of[key]] = _SPLITS[number]
            seen.add(key)
        errors += told_lines(
            f"a line of {path.name} is a video and 0, 1 or 2", path, wrong, "as published: X.avi 1"
        )
        errors += told_lines(
            "a video is once in a list", path, twice, "bring back the published lists"
        )
    for name, column in sorted(columns.items()):
        table[name] = pd.Series(column, index=table.index, dtype=object)
    return alike + absent_from_folder(absent, set(table["label"]))


def _shared_movies(table: pd.DataFrame) -> list[str]:
    """Return warnings on movies with clips of several classes, over all and in each split."""
    num_classes = table.groupby("movie")["label"].nunique()
    shared = num_classes.index[num_classes > 1]
    if not len(shared):
        return []
    warnings = [
        f"{len(shared)} source movies have clips of several classes, first {shared[0]}; to hold "
        "out whole movies: by the column movie"
    ]
    for number, column in sorted(published_columns(table).items()):
        splits = table[table["movie"].isin(shared)].groupby("movie")[column]
        both = splits.agg(lambda names: {"train", "test"} <= set(names))
        movies = both.index[both]
        clips = int(((table[column] == "test") & table["movie"].isin(movies)).sum())
        if len(movies):
            warnings.append(
                f"published split {number}: {len(movies)} movies are in train and test, "
                f"{clips} of {int((table[column] == 'test').sum())} test videos; as in the "
                "literature, so it is kept"
            )
    return warnings
