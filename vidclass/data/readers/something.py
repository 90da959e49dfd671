"""Something-Something and Jester: lists of (id, label), as JSON or ``id;label``, beside the videos.

The class of Something-Something is its template, "Pushing [something] off of [something]", without
the brackets; Jester's is its label. Who filmed a video is not published, so each is its own group.
A video is a file called by its id, or a folder of images (version 1, Jester).
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from vidclass.data.image_folders import RATE_FILE
from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.readers.columns import Mistake, duplicates, read_lines, read_text, told_lines
from vidclass.data.readers.published import (
    absent_from_folder,
    first_of_each,
    named_twice,
    scored_lists,
    unused_pattern,
)
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import find_videos, stem_of
from vidclass.data.tables import place
from vidclass.errors import UserError, raise_collected

__all__: list[str] = []

_LIST = re.compile(
    r"(?:.*[-_])?(?P<split>train|validation|valid|val|test)(?P<answers>-answers)?\.(?:json|csv)",
    re.IGNORECASE,
)
_NAMES = re.compile(r"(?:.*[-_])?labels\.(?:json|csv)", re.IGNORECASE)
_LISTS_FOLDERS = (".", "labels", "annotations")


def _lists(root: Path, pattern: re.Pattern[str]) -> list[Path]:
    for folder in (root / name for name in _LISTS_FOLDERS):
        if folder.is_dir():
            found = [path for path in sorted(folder.iterdir()) if pattern.fullmatch(path.name)]
            if found:
                return found
    return []


def _recognises(path: Path) -> bool:
    """Both a list and the names of the classes: ``train.csv`` alone may be anything."""
    return path.is_dir() and bool(_lists(path, _LIST)) and bool(_lists(path, _NAMES))


@register_reader("jester", lambda path: False)  # the same lists, so one of the two recognises them
@register_reader("something", _recognises)
def _read_something(request: ReadRequest) -> Dataset:
    """Read Something-Something or Jester, or any part of them.

    Raises:
        UserError: when there is no list or no video.
        UserErrors: with all mistakes of the lists.
    """
    root = request.path
    lists = _lists(root, _LIST) if root.is_dir() else []
    if not lists:
        raise UserError(
            "Something-Something and Jester have lists called ...train.json, ...validation.json",
            f"{root}: there is none",
            "the lists beside the videos, or below labels/",
        )
    errors: list[UserError] = []
    files, alike = first_of_each(find_videos(root, errors), stem_of)
    listed = pd.concat([_read_list(path, errors) for path in lists], ignore_index=True)
    class_names = _class_names(root, listed, errors)
    rule = "a video is in one list of Something-Something or Jester, with one label"
    errors += named_twice(rule, listed[listed["id"] != ""], "id", ("split", "label"))
    raise_collected(errors)
    # test-answers.csv gives the labels that test.json leaves out.
    listed = listed.sort_values("label", na_position="last", kind="stable").drop_duplicates("id")
    present = listed["id"].isin(list(files))
    table = listed[present].reset_index(drop=True)
    if table.empty:
        raise UserError(
            "a video of Something-Something is called by its id, as 78687.webm",
            f"{root}: of {len(listed)} ids in the lists none is there",
            "the folder that holds both the lists and the videos",
        )
    table["video_id"] = table["id"].map(files)
    table["path"] = [str(root / name) for name in table["video_id"]]
    table["group"] = table["video_id"]
    absent = listed[~present & listed["label"].notna()]
    warnings = unused_pattern(request) + alike
    warnings += absent_from_folder(
        zip(absent["label"], absent["where"], strict=True), set(table["label"].dropna())
    )
    warnings += scored_lists(table) + _frame_folders(table)
    return Dataset(
        root,
        new_manifest(table.drop(columns=["id", "where"])),
        groups_known=False,
        class_names=class_names,
        warnings=tuple(warnings),
    )


def _frame_folders(table: pd.DataFrame) -> list[str]:
    """Return a warning on folders of images that do not say their rate."""
    folders = [Path(path) for path in table["path"] if not Path(path).suffix]
    silent = [folder for folder in folders if not (folder / RATE_FILE).exists()]
    if not silent:
        return []
    return [
        f"{len(silent)} videos are folders of images without a rate, first {silent[0].name}: each "
        f"image counts as a second, unless a {RATE_FILE} in the folder says "
        '{"fps": 12}, as Jester and Something-Something 1 were cut'
    ]


def _read_list(path: Path, errors: list[UserError]) -> pd.DataFrame:
    """Return id, label, split of a list, and where each stands."""
    match = _LIST.fullmatch(path.name)
    assert match is not None
    split = {"train": "train", "test": "test"}.get(match["split"].lower(), "valid")
    read = _json_rows if path.suffix.lower() == ".json" else _text_rows
    lines, ids, labels = [], [], []
    wrong = []
    for line, name, label in read(path, errors):
        if not name:
            wrong.append(Mistake(line, "no id"))
        elif label is None and split != "test":
            wrong.append(Mistake(line, f"{name} has no label"))
        lines.append(line)
        ids.append(name)
        labels.append(label)
    errors += told_lines(f"a row of {path.name} has id and label", path, wrong, "as published")
    table = pd.DataFrame({"id": ids, "label": labels}, index=lines, dtype=object)
    errors += told_lines("a list names a video once", path, duplicates(table["id"]), "remove one")
    table["split"] = split
    table["where"] = [
        f"{name} ({place(path, line)})" for line, name in zip(lines, ids, strict=True)
    ]
    return table


def _text_rows(path: Path, errors: list[UserError]) -> Iterator[tuple[int, str, str | None]]:
    for line, text in read_lines(path, errors):
        name, _, label = text.partition(";")
        yield line, name.strip(), label.strip() or None


def _json_rows(path: Path, errors: list[UserError]) -> Iterator[tuple[int, str, str | None]]:
    for line, record in _records(path, errors):
        label = record.get("template") or record.get("label")
        if label is not None:
            label = " ".join(re.sub(r"[\[\]]", "", str(label)).split())
        yield line, str(record.get("id") or "").strip(), label or None


def _records(path: Path, errors: list[UserError]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of a JSON list with the line that each begins on."""
    text = read_text(path, errors)
    if text is None:
        return
    decoder = json.JSONDecoder()
    spaces = re.compile(r"[\s,]*")
    position, line = _after_spaces(spaces, text, 0), 1
    rule = f"{path.name} is a JSON list of records with id and label"
    if text[position : position + 1] != "[":
        errors.append(UserError(rule, f"{place(path, 1)}: no list begins", "as published"))
        return
    counted, position = 0, _after_spaces(spaces, text, position + 1)
    while text[position : position + 1] != "]":
        line += text.count("\n", counted, position)
        counted = position
        try:
            record, position = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError) as error:
            lost = error.lineno if isinstance(error, json.JSONDecodeError) else line
            errors.append(UserError(rule, f"{place(path, lost)}: {error}", "as published"))
            return
        if not isinstance(record, dict):
            errors.append(UserError(rule, f"{place(path, line)}: {record}", "as published"))
            return
        yield line, record
        position = _after_spaces(spaces, text, position)


def _after_spaces(spaces: re.Pattern[str], text: str, position: int) -> int:
    match = spaces.match(text, position)
    return position if match is None else match.end()


def _class_names(
    root: Path, listed: pd.DataFrame, errors: list[UserError]
) -> tuple[str, ...] | None:
    """Return the classes in their published order, as far as videos of them are listed."""
    names: list[str] = []
    for path in _lists(root, _NAMES):
        if path.suffix.lower() == ".csv":
            names += [name for _, name in read_lines(path, errors)]
            continue
        text = read_text(path, errors)
        try:
            numbers = dict(json.loads(text or "{}").items())
            names += sorted(numbers, key=lambda name: int(numbers[name]))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
            rule = f"{path.name} is a JSON object from class to number"
            errors.append(UserError(rule, f"{place(path, line)}: {error}", "as published"))
    used = set(listed["label"].dropna())
    ordered = tuple(dict.fromkeys(name for name in names if name in used))
    return ordered if len(ordered) == len(used) else None
