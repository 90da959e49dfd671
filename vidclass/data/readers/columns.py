"""Tables with known columns, and lists, as readers of formats take them in.

All values are text; an empty cell is None. The index of a table is the line that a row began on, so
that whoever finds a mistake later can name it.
"""

import codecs
import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vidclass.data.tables import SEPARATORS, decode_text, place, read_rows
from vidclass.errors import UserError

__all__ = [
    "Columns",
    "Mistake",
    "backwards",
    "duplicates",
    "header_of",
    "lines_of",
    "parsed",
    "read_columns",
    "read_lines",
    "read_text",
    "told_lines",
]

_SHOWN_LINES = 5
_LINE_END = re.compile(r"\r\n|\n|\r")  # str.splitlines knows more, which editors do not count


@dataclass(frozen=True)
class Mistake:
    """A value that breaks a rule, and the line it stands in."""

    line: int
    value: object


@dataclass(frozen=True)
class Columns:
    """The columns that a table may have.

    Attributes:
        required: must be there.
        optional: may be there.
        further: whether other columns are kept, as group columns are.
        refused: of those, names that have a meaning elsewhere.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    further: bool = False
    refused: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """All columns with a meaning."""
        return (*self.required, *self.optional)

    def told(self) -> str:
        """Return the columns in words."""
        parts = [", ".join(self.required)] if self.required else []
        if self.optional:
            parts.append(f"perhaps {', '.join(self.optional)}")
        return " and ".join(parts) + (" and group columns of your own" if self.further else "")


def told_lines(rule: str, path: Path, mistakes: Sequence[Mistake], remedy: str) -> list[UserError]:
    """Return one error for all rows that break ``rule``, naming file and lines; none for none."""
    if not mistakes:
        return []
    first = mistakes[0]
    told = f"{place(path, first.line)}: {first.value}"
    others = mistakes[1:]
    if others:
        lines = ", ".join(str(mistake.line) for mistake in others[:_SHOWN_LINES])
        dots = ", ..." if len(others) > _SHOWN_LINES else ""
        told += f" (and {len(others)} more, line {lines}{dots})"
    return [UserError(rule, told, remedy)]


def duplicates(values: pd.Series) -> list[Mistake]:
    """Return the values of a table's column that stand there again; absent ones don't count."""
    first: dict[str, int] = {}
    mistakes = []
    for line, value in lines_of(values[values.notna()]):
        if first.setdefault(str(value), line) != line:
            mistakes.append(
                Mistake(line, f"{value} named again, first in line {first[str(value)]}")
            )
    return mistakes


def lines_of(column: pd.Series) -> list[tuple[int, str | None]]:
    """Return the line and the text of each cell of a column; None where it is empty."""
    return list(zip(column.index.tolist(), column.tolist(), strict=True))


def read_text(path: Path, errors: list[UserError]) -> str | None:
    """Return what is in a text file; None, with an error, where it can't be read as text."""
    try:
        return decode_text(path.read_bytes())
    except (OSError, ValueError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        errors.append(
            UserError("a list can be read as text", f"{place(path, 1)}: {told}", "check it")
        )
        return None


def read_lines(path: Path, errors: list[UserError]) -> list[tuple[int, str]]:
    """Return the lines of a list with their numbers, trimmed, without empty ones."""
    lines = enumerate(_LINE_END.split(read_text(path, errors) or ""), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def header_of(path: Path) -> list[str]:
    """Return the column names of a table in lower case; empty where the file is no text.

    Raises:
        OSError: when the file can't be read.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        head = head[: len(head) // 2 * 2]  # no half letter
    try:
        first = decode_text(head).split("\n", 1)[0]
    except ValueError:
        return []
    splits = [first.split(separator) for separator in SEPARATORS]
    return [name.strip().strip('"').casefold() for name in max(splits, key=len)]


def read_columns(path: Path, columns: Columns, errors: list[UserError]) -> pd.DataFrame | None:
    """Read a table with a header; names of columns are found whatever their case.

    Returns:
        Text in the known columns that are there, then in further ones; the index is the line.
        None, with all mistakes in ``errors``, where the table can't be used.
    """
    try:
        rows = read_rows(path, columns.known)
    except UserError as error:
        errors.append(error)
        return None
    if not rows:
        errors.append(
            UserError(
                f"{path.name} is a table",
                f"{place(path, 1)}: it is empty",
                f"the columns {columns.told()}",
            )
        )
        return None
    by_case = {name.casefold(): name for name in columns.known}
    first_line, first_row = rows[0]
    header = [by_case.get(name.casefold(), name) for name in first_row]
    while header and not header[-1]:
        header.pop()  # spreadsheets leave empty columns at the end
    mistakes = list(_header_mistakes(path, first_line, header, columns))
    width = len(header)
    odd = [
        Mistake(line, f"{len(row)} cells under {width} columns")
        for line, row in rows[1:]
        if len(row) < width or any(row[width:])
    ]
    mistakes += told_lines(
        "every row has a cell for each column", path, odd, "quote text that holds the separator"
    )
    if mistakes:
        errors += mistakes
        return None
    index = pd.Index([line for line, _ in rows[1:]], name="line", dtype="int64")
    cells = [[cell or None for cell in row[:width]] for _, row in rows[1:]]
    return pd.DataFrame(cells, columns=header, index=index, dtype=object)


def _header_mistakes(
    path: Path, line: int, header: list[str], columns: Columns
) -> Iterable[UserError]:
    where = place(path, line)
    rule = f"{path.name} has the columns {columns.told()}"
    missing = [name for name in columns.required if name not in header]
    others = [name for name in header if name not in columns.known]
    if missing or (others and not columns.further):
        received = [f"missing {name}" for name in missing] + [f"unknown {name}" for name in others]
        yield UserError(rule, f"{where}: {', '.join(received)}", "rename them")
    elif set(others) & set(columns.refused):
        taken = ", ".join(name for name in others if name in columns.refused)
        yield UserError(rule, f"{where}: {taken}", "rename them: vidclass finds these out itself")
    elif "" in header:
        yield UserError(rule, f"{where}: a column without a name", "name it, or remove it")
    else:
        absent = [name for name in columns.optional if name not in header]
        numbered = [name for name in others if name[-1:].isdigit()]  # split_1, camera2
        for name in sorted(set(others) - set(numbered)):
            for meant in difflib.get_close_matches(name.casefold(), absent, n=1, cutoff=0.8):
                yield UserError(rule, f"{where}: {name}", f"did you mean {meant}? rename it")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        yield UserError(
            f"{path.name} has each column once", f"{where}: {', '.join(twice)}", "rename one"
        )


def backwards(start_s: pd.Series, end_s: pd.Series) -> list[Mistake]:
    """Return the rows that do not end after they start; a missing time says nothing."""
    pairs = zip(start_s.index.tolist(), start_s.tolist(), end_s.tolist(), strict=True)
    return [
        Mistake(line, f"{start:g} s to {end:g} s") for line, start, end in pairs if start >= end
    ]


def parsed(column: pd.Series, parse: Callable[[str], float]) -> tuple[pd.Series, list[Mistake]]:
    """Return ``parse`` of each text of ``column``, NaN where it is empty, and what is none."""
    values: list[float] = []
    mistakes: list[Mistake] = []
    for line, text in lines_of(column):
        try:
            values.append(float("nan") if text is None else parse(text))
        except ValueError as error:
            values.append(float("nan"))
            mistakes.append(Mistake(line, f"{text} ({error})"))
    return pd.Series(values, index=column.index, dtype="float64"), mistakes
