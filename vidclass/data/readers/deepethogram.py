"""DeepEthogram projects: ``project_config.yaml`` and ``DATA/VIDEO/VIDEO_labels.csv``.

A label file has a row a frame and a column a behaviour: 1 it is there, 0 it is not, -1 the frame is
not labelled. The first behaviour is ``background``, which is 1 where no other one is.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from vidclass.data.annotations import (
    SOURCE_COLUMN,
    UNLABELLED,
    Present,
    frames_to_intervals,
    new_annotations,
)
from vidclass.data.image_folders import image_names
from vidclass.data.manifest import Dataset
from vidclass.data.readers.annotated import AnnotatedVideos, frame_rate
from vidclass.data.readers.columns import Mistake, lines_of, told_lines
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import VIDEO_SUFFIXES
from vidclass.data.tables import decode_text, place, read_table
from vidclass.errors import UserError, UserErrors, raise_collected

__all__: list[str] = []

CONFIG = "project_config.yaml"
BACKGROUND = "background"
_OLD_BACKGROUND = "none"
_NO_VIDEO = ("flow", "label", "output", "score")  # in the names of other files of a video
_LABELS = ("label", "score")
_VALUES = {"-1": -1, "-1.0": -1, "0": 0, "0.0": 0, "1": 1, "1.0": 1}


@register_reader("deepethogram", lambda path: (path / CONFIG).is_file())
def _read_project(request: ReadRequest) -> Dataset:
    """Read a DeepEthogram project; videos without a label file are unlabelled.

    Raises:
        UserErrors: with all mistakes at once.
    """
    root = request.path
    errors: list[UserError] = []
    warnings: list[str] = []
    class_names, data = _read_config(root / CONFIG, errors)
    raise_collected(errors)
    found: dict[str, Path] = {}
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        video = _only(folder, "video", _videos_in(folder), errors)
        if video is not None:
            found[video.relative_to(root).as_posix()] = folder
    if not found:
        errors.append(UserError("a project holds videos", data, "one folder a video in it"))
        raise UserErrors(errors)
    videos = AnnotatedVideos(root, found, request.group_pattern, errors)
    videos.apply_groups()
    parts = [pd.DataFrame(columns=["video_id", "start_s", "end_s", "label"], dtype=object)]
    frame_rows = [pd.DataFrame(columns=["video_id", "frame"], dtype=object)]
    for video_id, folder in found.items():
        csv = _only(folder, "label file", _label_files_in(folder, warnings), errors)
        if csv is None:
            continue
        read = _read_labels(csv, class_names, errors, warnings)
        if read is None:
            continue
        present_TK, lines = read
        frames = _frame_names(root / video_id, len(present_TK))
        frame_rows.append(pd.DataFrame({"video_id": video_id, "frame": frames}, dtype=object))
        fps = frame_rate(root / video_id)
        if fps is not None:
            table = frames_to_intervals(present_TK, fps, class_names, between=True)
            firsts = np.ceil(table["start_s"].to_numpy() * fps - 0.25).astype(int).tolist()
            table[SOURCE_COLUMN] = [place(csv, lines[first]) for first in firsts]
            parts.append(table.assign(video_id=video_id))
    dataset = videos.dataset(
        new_annotations(pd.concat(parts, ignore_index=True)),
        class_names=class_names,
        frame_rows=pd.concat(frame_rows, ignore_index=True),
        warnings=warnings,
    )
    raise_collected(errors)
    return dataset


def _read_config(path: Path, errors: list[UserError]) -> tuple[tuple[str, ...], Path]:
    """Return the behaviours and the data folder that the project's file names."""
    remedy = f"the {CONFIG} that DeepEthogram wrote"
    try:
        config: Any = yaml.safe_load(decode_text(path.read_bytes()))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        told = f"{place(path, line)}: {error.problem}"
        errors.append(UserError(f"{CONFIG} is YAML", told, remedy))
        return (), path.parent
    except (OSError, ValueError, yaml.YAMLError) as error:
        errors.append(UserError(f"{CONFIG} is YAML", f"{place(path, 1)}: {error}", remedy))
        return (), path.parent
    project = config.get("project") if isinstance(config, dict) else None
    project = project if isinstance(project, dict) else {}
    names = project.get("class_names")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        errors.append(
            UserError(
                f"{CONFIG} names the behaviours in project: class_names:",
                f"{_at(path, 'class_names')}: {names}",
                "class_names: [background, groom, rear]",
            )
        )
        return (), path.parent
    if len(set(names)) < len(names):
        again = sorted({name for name in names if names.count(name) > 1})
        errors.append(
            UserError(
                "a behaviour is named once",
                f"{_at(path, 'class_names')}: {', '.join(again)}",
                remedy,
            )
        )
    data = path.parent / str(project.get("data_path") or "DATA")
    if not data.is_dir():
        errors.append(
            UserError(
                "the project's data folder is there",
                f"{_at(path, 'data_path')}: {data}",
                f"mend data_path in {CONFIG}",
            )
        )
    return tuple(names), data


def _at(path: Path, key: str) -> str:
    """Return the place of a key of the project's file; its first line where it is not there."""
    lines = decode_text(path.read_bytes()).splitlines()
    found = (n for n, line in enumerate(lines, 1) if re.search(rf"\b{key}\b\W?\s*:", line))
    return place(path, next(found, 1))


def _videos_in(folder: Path) -> list[Path]:
    """Return video files and folders of images, leaving out what DeepEthogram made of them."""
    entries = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and not any(word in path.name for word in _NO_VIDEO)
    ]
    return [
        path
        for path in entries
        if (path.is_dir() and image_names(path))
        or (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES)
    ]


def _label_files_in(folder: Path, warnings: list[str]) -> list[Path]:
    named = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and any(word in path.name.lower() for word in _LABELS)
    ]
    tables = [path for path in named if path.suffix.lower() == ".csv"]
    if not tables and any(path.suffix.lower() == ".h5" for path in named):
        warnings.append(f"{folder.name}: labels in HDF5 are not read; export them as CSV")
    return tables


def _only(folder: Path, what: str, found: list[Path], errors: list[UserError]) -> Path | None:
    """Return the one file that is there, or of several the one that is called like the folder."""
    if len(found) > 1:
        stems = (folder.name, f"{folder.name}_labels")
        found = [path for path in found if path.stem in stems or path.name in stems] or found
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        errors.append(
            UserError(
                f"a folder of a DeepEthogram project holds one {what}",
                f"{folder.name}: {names}",
                f"call it {folder.name} or move the others out",
            )
        )
        return None
    return found[0] if found else None


def _read_labels(
    csv: Path, class_names: tuple[str, ...], errors: list[UserError], warnings: list[str]
) -> tuple[Present, list[int]] | None:
    """Return ``present_TK`` of a label file and the line of each row; None with its mistakes."""
    try:
        table = read_table(csv, [name for name in class_names if name != BACKGROUND])
    except UserError as error:
        errors.append(error)
        return None
    if BACKGROUND not in table.columns and BACKGROUND in class_names:
        table = table.rename(columns={_OLD_BACKGROUND: BACKGROUND})
    unknown = [name for name in table.columns if name and name not in (*class_names, BACKGROUND)]
    if unknown:
        received = f"{place(csv, 1)}: {', '.join(unknown)}"
        errors.append(
            UserError("every column is a behaviour of the project", received, f"mend {CONFIG}")
        )
        return None
    mistakes = []
    if "" in table.columns:
        mistakes = [
            Mistake(line, f"{text or 'empty'} where {number} follows")
            for number, (line, text) in enumerate(lines_of(table[""]))
            if text not in (str(number), f"{number}.0")
        ]
    numbered = told_lines(
        "rows are numbered from 0 without a gap", csv, mistakes, "one row for each frame"
    )
    errors += numbered
    present_TK = np.full((len(table), len(class_names)), UNLABELLED, dtype=np.int8)
    wrong = []
    for column, name in enumerate(class_names):
        if name not in table.columns:
            present_TK[:, column] = 0
            continue
        for row, (line, text) in enumerate(lines_of(table[name])):
            value = _VALUES.get(str(text))
            if value is None:
                wrong.append(Mistake(line, f"{text or 'empty'} in column {name}"))
            else:
                present_TK[row, column] = value
    wrong.sort(key=lambda mistake: mistake.line)
    valued = told_lines("a label is 1, 0 or -1 (not labelled)", csv, wrong, "mend the file")
    errors += valued
    if numbered or valued:
        return None
    lines: list[int] = table.index.tolist()
    said = BACKGROUND in table.columns
    return _with_background(present_TK, class_names, csv, warnings if said else []), lines


def _with_background(
    present_TK: Present, class_names: tuple[str, ...], csv: Path, warnings: list[str]
) -> Present:
    """Return labels whose background is where no other behaviour is; tell what that changed."""
    unlabelled_T = (present_TK == UNLABELLED).any(axis=1)
    in_part = int((unlabelled_T & (present_TK != UNLABELLED).any(axis=1)).sum())
    if in_part:
        warnings.append(
            f"{csv.name}: {in_part} frames have labels of some behaviours only; they count as "
            "unlabelled"
        )
    if BACKGROUND not in class_names:
        return present_TK
    column = class_names.index(BACKGROUND)
    others_T = np.delete(present_TK == 1, column, axis=1).any(axis=1)
    background_T = np.where(unlabelled_T, UNLABELLED, ~others_T).astype(np.int8)
    changed = int((background_T != present_TK[:, column])[~unlabelled_T].sum())
    if changed:
        warnings.append(
            f"{csv.name}: background contradicted the behaviours in {changed} frames; it is taken "
            "to be where no behaviour is"
        )
    present_TK[:, column] = background_T
    return present_TK


def _frame_names(video: Path, count: int) -> list[str]:
    """Return what frames 0, 1, ... are called: images have names, frames of a file numbers."""
    names = image_names(video)[:count] if video.is_dir() else []
    return names + [str(number) for number in range(len(names), count)]
