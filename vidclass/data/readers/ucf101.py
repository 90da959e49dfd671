"""UCF101: class folders of ``v_CLASS_gNN_cNN.avi``, and ``ucfTrainTestlist`` with three splits.

The group is (class, gNN): clips of one group are cut from one recording.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.readers.columns import Mistake, read_lines, told_lines
from vidclass.data.readers.published import absent_from_folder, first_of_each, unused_pattern
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import find_videos, stem_of
from vidclass.errors import UserError, raise_collected

__all__: list[str] = []

_CLIP = re.compile(r"v_(?P<label>.+)_(?P<group>g\d+)_c\d+", re.IGNORECASE)
_LIST = re.compile(r"(?P<split>train|test)list(?P<number>\d+)\.txt", re.IGNORECASE)
_LISTS_FOLDERS = ("ucfTrainTestlist", "ucfTrainTestList", "annotations", ".")


def _lists_folder(root: Path) -> Path | None:
    for name in _LISTS_FOLDERS:
        folder = root / name
        if folder.is_dir() and any(_LIST.fullmatch(file.name) for file in folder.iterdir()):
            return folder
    return None


def _recognises(path: Path) -> bool:
    return path.is_dir() and _lists_folder(path) is not None


@register_reader("ucf101", _recognises)
def _read_ucf101(request: ReadRequest) -> Dataset:
    """Read UCF101, or any part of it.

    Raises:
        UserError: when no video is called as UCF101's are.
        UserErrors: with all mistakes of the lists.
    """
    errors: list[UserError] = []
    files = find_videos(request.path, errors)
    clips = {name: _CLIP.fullmatch(stem_of(name)) for name in files}
    others = [name for name, match in clips.items() if match is None]
    if len(others) == len(files):
        raise UserError(
            "a video of UCF101 is called v_CLASS_gNN_cNN",
            f"{request.path}: none of {len(files)}, first {files[0] if files else 'none'}",
            "folder:PATH reads a folder of any names",
        )
    lists = _lists_folder(request.path)
    class_names = _class_names(lists, errors) if lists else ()
    spelled = {name.casefold(): name for name in class_names}
    rows = []
    for name, match in clips.items():
        if match is not None:
            # The lists write HandstandPushups, its files HandStandPushups.
            label = spelled.get(match["label"].casefold(), match["label"])
            group = f"{label}/{match['group'].lower()}"
            rows.append((name, str(request.path / name), label, group, None))
    table = pd.DataFrame(rows, columns=["video_id", "path", "label", "group", "split"])
    warnings = unused_pattern(request)
    if others:
        warnings.append(f"left out, not called v_CLASS_gNN_cNN: {len(others)}, first {others[0]}")
    if lists is None:
        warnings.append("no trainlistNN.txt and testlistNN.txt: the published splits are not known")
    else:
        warnings += _add_splits(table, lists, errors)
    raise_collected(errors)
    present = set(table["label"])
    ordered = tuple(name for name in class_names if name in present)
    complete = len(ordered) == len(present)
    return Dataset(
        request.path,
        new_manifest(table),
        groups_known=True,
        class_names=ordered if complete else None,
        warnings=tuple(warnings),
    )


def _class_names(lists: Path, errors: list[UserError]) -> tuple[str, ...]:
    """Return the classes of ``classInd.txt`` in its order; none where there is no such file."""
    path = lists / "classInd.txt"
    if not path.exists():
        return ()
    numbered: list[tuple[int, str]] = []
    wrong = []
    for line, text in read_lines(path, errors):
        number, _, name = text.partition(" ")
        if number.isdecimal() and name.strip():
            numbered.append((int(number), name.strip()))
        else:
            wrong.append(Mistake(line, text))
    errors += told_lines(
        "a line of classInd.txt is a number and a class", path, wrong, "as in: 1 ApplyEyeMakeup"
    )
    return tuple(name for _, name in sorted(numbered))


def _add_splits(table: pd.DataFrame, lists: Path, errors: list[UserError]) -> list[str]:
    """Fill ``split_1``, ``split_2``, ... of ``table`` from the lists; return warnings."""
    number_of = {name: row for row, name in enumerate(table["video_id"])}
    files, alike = first_of_each(list(number_of), lambda name: stem_of(name).casefold())
    row_of = {stem: number_of[name] for stem, name in files.items()}
    columns: dict[str, list[str | None]] = {}
    absent: list[tuple[str, str]] = []
    for path in sorted(lists.iterdir()):
        match = _LIST.fullmatch(path.name)
        if match is None:
            continue
        name = f"split_{int(match['number'])}"
        column = columns.setdefault(name, [None] * len(table))
        wrong, twice = [], []
        for line, clip in _listed(path, errors):
            stem = stem_of(clip).casefold()
            row = row_of.get(stem)
            if _CLIP.fullmatch(stem) is None:
                wrong.append(Mistake(line, clip))
            elif row is None:
                absent.append((_class_of(stem_of(clip)), clip))
            elif column[row] is not None:
                twice.append(Mistake(line, f"{clip}, already in {column[row]} of {name}"))
            else:
                column[row] = match["split"].lower()
        errors += told_lines(
            f"a line of {path.name} names a clip", path, wrong, "CLASS/v_CLASS_g01_c01.avi"
        )
        errors += told_lines(
            "a clip is once in a published split", path, twice, "bring back the published lists"
        )
    for name, column in sorted(columns.items()):
        table[name] = pd.Series(column, index=table.index, dtype=object)
    return alike + absent_from_folder(absent, set(table["label"]))


def _listed(path: Path, errors: list[UserError]) -> Iterable[tuple[int, str]]:
    """Yield line and clip; train lists write the number of the class after it."""
    for line, text in read_lines(path, errors):
        name, _, number = text.rpartition(" ")
        yield line, name.strip() if number.isdecimal() and name else text


def _class_of(stem: str) -> str:
    match = _CLIP.fullmatch(stem)
    return match["label"] if match else stem
