"""Files of tracked body parts: DeepLabCut and SLEAP, as CSV and as HDF5, one or several animals.

No code that a file carries is run: DeepLabCut's HDF5 files hold pickled column names, of which only
plain texts are taken.

Legend: T frames, P points (an animal's body part each), A animals, N body parts.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidclass.data.tables import place, read_rows, told
from vidclass.errors import UserError, raise_collected

__all__ = ["Point", "Poses", "read_poses"]

Float64 = npt.NDArray[np.float64]
ONE_ANIMAL = "animal"
_DLC_ROWS = ("scorer", "individuals", "bodyparts", "coords")
_COORDS = ("x", "y", "likelihood")
_SLEAP_OWN = ("track", "frame_idx", "instance.score")
_MATLAB = ["track", "xy", "node", "frame"]
FORMS = (
    "DeepLabCut's CSV or h5 of an analysed video, or SLEAP's analysis CSV or analysis h5 "
    "(a .slp file: export it with sleap-convert or SLEAP's File menu)"
)


@dataclass(frozen=True)
class Point:
    """A body part of an animal."""

    animal: str
    part: str


@dataclass(frozen=True)
class Poses:
    """Where every point is in every frame.

    Attributes:
        points: the P points.
        xy_TP2: position in pixels, NaN where a point was not found.
        score_TP: how sure the tracker is, 0 to 1, NaN where it does not say.
    """

    points: tuple[Point, ...]
    xy_TP2: Float64
    score_TP: Float64

    @property
    def animals(self) -> tuple[str, ...]:
        """The animals in the file's order."""
        return tuple(dict.fromkeys(point.animal for point in self.points))


def read_poses(path: Path) -> Poses:
    """Read a pose file.

    Raises:
        UserError: naming the file, and the line where there is one.
        UserErrors: with all mistakes of a table.
    """
    if path.suffix.lower() in (".h5", ".hdf5"):
        return _read_hdf5(path)
    rows = read_rows(path, _SLEAP_OWN[:2])
    if rows and rows[0][1][:1] == [_DLC_ROWS[0]]:
        return _read_dlc_csv(path, rows)
    if rows and set(_SLEAP_OWN[:2]) <= set(rows[0][1]):
        return _read_sleap_csv(path, rows)
    received = f"{place(path, 1)}: {', '.join(rows[0][1][:6]) if rows else 'it is empty'}"
    raise UserError("a pose file is of a known form", received, FORMS)


def _read_dlc_csv(path: Path, rows: list[tuple[int, list[str]]]) -> Poses:
    head: dict[str, list[str]] = {}
    while len(head) < len(rows) and rows[len(head)][1][0] in _DLC_ROWS:
        line, cells = rows[len(head)]
        head[cells[0]] = cells[1:]
    missing = [name for name in ("bodyparts", "coords") if name not in head]
    if missing:
        raise UserError(
            "a DeepLabCut table begins with the rows scorer, bodyparts, coords",
            f"{place(path, rows[len(head) - 1][0] + 1)}: no row {' and '.join(missing)}",
            FORMS,
        )
    width = len(head["coords"])
    animals = head.get("individuals", [ONE_ANIMAL] * width)
    columns = list(zip(animals, head["bodyparts"], head["coords"], strict=False))
    body = rows[len(head) :]
    wrong = [
        f"{place(path, line)}: {len(cells) - 1} cells" for line, cells in body
        if any(cells[width + 1 :])
    ]  # fmt: skip
    if wrong or len(columns) < width:
        raise UserError(
            f"every row has {width} cells after the first", told(wrong or [path.name]), "mend it"
        )
    numbers = [
        (line, cells[0], cells[1 : width + 1] + [""] * (width + 1 - len(cells)))
        for line, cells in body
    ]
    frames = _frame_numbers(path, [(line, text) for line, text, _ in numbers])
    values = _parsed(path, [(line, cells) for line, _, cells in numbers], columns)
    filled = np.full((max(frames, default=-1) + 1, width), np.nan)
    filled[frames] = values
    return _of_columns(path, columns, filled)


def _read_sleap_csv(path: Path, rows: list[tuple[int, list[str]]]) -> Poses:
    (line, header), *body = rows
    names = [name for name in header if name and name not in _SLEAP_OWN]
    split = [(name.rpartition(".")[0], name.rpartition(".")[2]) for name in names]
    known = [(part, coord) for part, coord in split if part and coord in ("x", "y", "score")]
    parts = list(dict.fromkeys(part for part, _ in known))
    if not parts or len(known) < len(names):
        odd = [name for name, key in zip(names, split, strict=True) if key not in known]
        raise UserError(
            "a SLEAP table has the columns PART.x, PART.y and PART.score",
            f"{place(path, line)}: {told(odd) or 'none of them'}",
            FORMS,
        )
    column_of = {name: position for position, name in enumerate(header)}
    cells_of = [(line, cells + [""] * (len(header) - len(cells))) for line, cells in body]
    tracks = [cells[column_of["track"]] or ONE_ANIMAL for _, cells in cells_of]
    frames = _frame_numbers(
        path, [(line, cells[column_of["frame_idx"]]) for line, cells in cells_of], unique=False
    )
    _refuse_repeated(path, [line for line, _ in cells_of], tracks, frames)
    columns = [(part, coord) for part in parts for coord in ("x", "y", "score")]
    texts = [
        [cells[column_of[f"{part}.{coord}"]] if f"{part}.{coord}" in column_of else ""
         for part, coord in columns]
        for _, cells in cells_of
    ]  # fmt: skip
    lines = [line for line, _ in cells_of]
    values = _parsed(path, list(zip(lines, texts, strict=True)), columns)
    animals = list(dict.fromkeys(tracks))
    filled = np.full((max(frames, default=-1) + 1, len(animals), len(parts), 3), np.nan)
    where = [animals.index(track) for track in tracks]
    filled[frames, where] = values.reshape(-1, len(parts), 3)
    points = tuple(Point(animal, part) for animal in animals for part in parts)
    flat = filled.reshape(len(filled), len(points), 3)
    return Poses(points, flat[..., :2], flat[..., 2])


def _refuse_repeated(
    path: Path, lines: Sequence[int], tracks: Sequence[str], frames: Sequence[int]
) -> None:
    first: dict[tuple[str, int], int] = {}
    again = [
        f"{place(path, line)}: track {track}, frame {frame}"
        for line, track, frame in zip(lines, tracks, frames, strict=True)
        if first.setdefault((track, frame), line) != line
    ]
    if again:
        raise UserError(
            "a track is in a frame once",
            told(again),
            "track the animals in SLEAP, so that each instance has the name of its animal",
        )


def _frame_numbers(path: Path, written: list[tuple[int, str]], *, unique: bool = True) -> list[int]:
    """Return the frame of each row; a number from 0, each once where ``unique``."""
    frames: list[int] = []
    wrong = []
    seen: set[int] = set()
    for line, text in written:
        number = text.removesuffix(".0")
        if not (number.isascii() and number.isdigit() and len(number) < 9):
            wrong.append(f"{place(path, line)}: {text or 'empty'}")
            continue
        if unique and int(number) in seen:
            wrong.append(f"{place(path, line)}: {text} again")
        seen.add(int(number))
        frames.append(int(number))
    if wrong:
        raise UserError("rows are numbered by frame, from 0", told(wrong), FORMS)
    return frames


def _parsed(
    path: Path, rows: list[tuple[int, list[str]]], columns: Sequence[tuple[str, ...]]
) -> Float64:
    """Return the numbers of all rows, NaN where a cell is empty."""
    values = np.full((len(rows), len(columns)), np.nan)
    wrong = []
    for row, (line, cells) in enumerate(rows):
        for column, text in enumerate(cells):
            if not text:
                continue
            try:
                values[row, column] = float(text)
            except ValueError:
                wrong.append(f"{place(path, line)}: {text} in {' '.join(columns[column])}")
    raise_collected([UserError("positions are numbers", told(wrong), "mend it")] if wrong else [])
    values[np.isinf(values)] = np.nan
    return values


def _of_columns(path: Path, columns: Sequence[tuple[str, str, str]], values: Float64) -> Poses:
    """Return poses from columns of (animal, body part, coordinate)."""
    position = {column: n for n, column in enumerate(columns)}
    points = tuple(dict.fromkeys(Point(animal, part) for animal, part, _ in columns))
    wrong = [
        f"{point.animal} {point.part} has no {coord}"
        for point in points
        for coord in ("x", "y")
        if (point.animal, point.part, coord) not in position
    ]
    wrong += [f"{coord} of {part}" for _, part, coord in columns if coord not in _COORDS]
    if len(position) < len(columns):
        twice = [" ".join(column) for column in position if columns.count(column) > 1]
        wrong.append(f"{told(twice)} stands there twice")
    if wrong or not points:
        raise UserError(
            "a point has the coordinates x, y and perhaps likelihood",
            f"{path.name}: {told(wrong) or 'no points'}",
            FORMS,
        )

    def column(point: Point, coord: str) -> Float64:
        found = position.get((point.animal, point.part, coord))
        return np.full(len(values), np.nan) if found is None else values[:, found]

    xy = [[column(point, "x"), column(point, "y")] for point in points]
    score = [column(point, "likelihood") for point in points]
    return Poses(points, np.array(xy).transpose(2, 0, 1), np.array(score).T)


def _read_hdf5(path: Path) -> Poses:
    try:
        import h5py
    except ImportError as error:
        raise UserError(
            "pose files in HDF5 need the package h5py", path.name, "pip install 'vidclass[data]'"
        ) from error
    try:
        with h5py.File(path, "r") as file:
            if "tracks" in file and "node_names" in file:
                return _read_sleap_hdf5(path, file)
            groups = [group for group in file.values() if "pandas_type" in group.attrs]
            if len(groups) == 1:
                return _read_dlc_hdf5(path, groups[0])
            names = ", ".join(list(file)[:6]) or "it is empty"
    except OSError as error:
        raise UserError("a pose file can be read", f"{path.name}: {error}", FORMS) from error
    except KeyError as error:
        names = f"it has no {error}"
    raise UserError("a pose file is of a known form", f"{path.name}: {names}", FORMS)


def _read_sleap_hdf5(path: Path, file: Any) -> Poses:
    import json

    tracks = file["tracks"]
    dims = json.loads(tracks.attrs["dims"]) if "dims" in tracks.attrs else _MATLAB
    parts = [_text(name) for name in file["node_names"][:]]
    animals = [_text(name) for name in file["track_names"][:]] if "track_names" in file else []
    if sorted(dims) != sorted(_MATLAB) or tracks.ndim != 4:
        raise UserError(
            "SLEAP's tracks have the dimensions track, xy, node, frame",
            f"{path.name}: {dims}, shape {tracks.shape}",
            FORMS,
        )
    axes = [dims.index(name) for name in ("frame", "track", "node", "xy")]
    xy_TAN2 = np.asarray(tracks, dtype=np.float64).transpose(axes)
    shape = xy_TAN2.shape
    animals = animals or [ONE_ANIMAL if shape[1] == 1 else f"track_{n}" for n in range(shape[1])]
    if shape[1:] != (len(animals), len(parts), 2):
        raise UserError(
            "SLEAP's tracks are as many as their names say",
            f"{path.name}: {len(animals)} tracks, {len(parts)} nodes, but shape {shape[1:]}",
            "export it again",
        )
    score_TAN = np.full(shape[:3], np.nan)
    if "point_scores" in file:
        order = [dims.index(name) for name in ("frame", "track", "node")]
        left = sorted(order)
        scores = np.asarray(file["point_scores"], dtype=np.float64)
        score_TAN = scores.transpose([left.index(axis) for axis in order])
    points = tuple(Point(animal, part) for animal in animals for part in parts)
    flat = (shape[0], len(points))
    return Poses(points, xy_TAN2.reshape(*flat, 2), score_TAN.reshape(flat))


def _read_dlc_hdf5(path: Path, group: Any) -> Poses:
    """Read a table that pandas wrote: ``table`` as DeepLabCut asks for, or pandas' ``fixed``."""
    if _text(group.attrs["pandas_type"]) == "frame_table":
        table = group["table"][:]
        blocks = [name for name in table.dtype.names if name.startswith("values_block")]
        columns = [
            column
            for block in blocks
            for column in _unpickled(path, group["table"].attrs[f"{block}_kind"])
        ]
        values = np.concatenate([table[block] for block in blocks], axis=1).astype(np.float64)
        index = table["index"]
    else:
        levels = range(int(group.attrs["block0_items_nlevels"]))
        names = [group[f"block0_items_level{n}"][:] for n in levels]
        codes = [group[f"block0_items_label{n}"][:] for n in levels]
        columns = [
            tuple(_text(names[n][codes[n][item]]) for n in levels) for item in range(len(codes[0]))
        ]
        values = np.asarray(group["block0_values"], dtype=np.float64)
        index = group["axis1"][:] if "axis1" in group else np.array([])
    lengths = {len(column) for column in columns}
    if lengths - {3, 4} or len(lengths) != 1 or not np.issubdtype(index.dtype, np.integer):
        raise UserError(
            "DeepLabCut's tables have columns of scorer, perhaps individual, body part and "
            "coordinate, and a row for each frame of a video",
            f"{path.name}: another table",
            FORMS,
        )
    named = [(ONE_ANIMAL if len(c) == 3 else c[1], c[-2], c[-1]) for c in columns]
    filled = np.full((int(index.max(initial=-1)) + 1, len(named)), np.nan)
    filled[index] = values
    return _of_columns(path, named, filled)


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles texts, numbers, lists and tuples; a file that asks for more is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it holds a {module}.{name}")


def _unpickled(path: Path, raw: Any) -> list[tuple[str, ...]]:
    try:
        columns = _PlainUnpickler(io.BytesIO(bytes(raw))).load()
        return [tuple(str(name) for name in column) for column in columns]
    except (pickle.UnpicklingError, EOFError, TypeError, ValueError) as error:
        raise UserError(
            "the column names of a pose file are plain texts",
            f"{path.name}: {error}",
            "export it as CSV (in DeepLabCut: analyze_videos_converth5_to_csv)",
        ) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
