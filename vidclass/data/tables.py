"""Tables that people wrote: any usual encoding and separator, and every mistake with its line.

A table is read as text, column names as they stand in the file, blanks around values removed, an
empty cell as ``""``. Its index is the line of the file that a row began on, so that whoever finds a
mistake later can name the place.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import pandas as pd

from vidclass.errors import UserError

__all__ = ["SEPARATORS", "decode_text", "place", "read_rows", "read_table", "seen_from", "told"]

SEPARATORS = (",", ";", "\t")
MOST_TOLD = 20  # mistakes of one kind that a message lists; the rest is counted
_UNUSED = {0x81, 0x8D, 0x8F, 0x90, 0x9D}  # of Windows-1252
_ROOT: ContextVar[Path | None] = ContextVar("root", default=None)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: Path, required: Sequence[str], optional: Iterable[str] | None = None
) -> pd.DataFrame:
    """Return the rows of ``path`` as text; the index is the line in the file.

    Args:
        path: the file, see :func:`read_rows`.
        required: columns that have to be there, in any order.
        optional: columns that may be there; None allows all. Others are refused.

    Raises:
        UserError: naming the file, and the line where there is one.
    """
    lines = read_rows(path, required)
    if not lines:
        told_columns = _columns(required, optional)
        raise UserError(f"{path.name} is a table", f"{place(path, 1)}: it is empty", told_columns)
    (header_line, header), *rows = lines
    columns = _check_header(path, header_line, header, required, optional)
    width = len(columns)
    wrong = [(line, cells) for line, cells in rows if any(cells[width:])]
    if wrong:
        line, cells = wrong[0]
        raise UserError(
            f"a row has as many cells as the header, {width}",
            f"{place(path, line)}: {len(cells)} cells"
            + (f" ({len(wrong)} such rows)" if len(wrong) > 1 else ""),
            'quote a value that holds the separator: "a, b"',
        )
    filled = [row[:width] + [""] * (width - len(row)) for _, row in rows]
    index = pd.Index([line for line, _ in rows], name="line", dtype="int64")
    return pd.DataFrame(filled, columns=columns, index=index, dtype=object)


def read_rows(path: Path, names: Sequence[str] = ()) -> list[tuple[int, list[str]]]:
    """Return the line and the cells of every row of ``path`` that is not blank.

    The encoding is UTF-8 (with a byte order mark or without), UTF-16 with a mark, or else Windows'
    Western one, of which Latin-1 is a part. The separator is whichever of comma, semicolon and tab
    shows most of the columns ``names`` in the first row, whatever their case.

    Raises:
        UserError: when the file cannot be opened, is no text, or leaves a quotation mark open.
    """
    try:
        text = decode_text(path.read_bytes())
    except OSError as error:
        raise UserError(
            "a table can be read", f"{path}: {error.strerror}", "check it, and your rights"
        ) from error
    except ValueError as error:
        raise UserError(
            f"{path.name} is a text file", f"{place(path, 1)}: {error}", "save it as CSV, UTF-8"
        ) from error
    known = {name.casefold() for name in names}
    first = text.lstrip().split("\n", 1)[0]

    def fit(separator: str) -> tuple[int, int]:
        header = [cell.strip(' "\r').casefold() for cell in first.split(separator)]
        return len(known & set(header)), len(header)

    return _split(text, max(SEPARATORS, key=fit), path)


def decode_text(raw: bytes) -> str:
    """Return ``raw`` as text, by its byte order mark, as UTF-8, or as Windows' Western encoding.

    Raises:
        ValueError: when it holds bytes that no text holds.
    """
    if raw.startswith(_UTF_16):
        text = raw.decode("utf-16")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            # Bytes that Windows leaves open are control characters of Latin-1.
            text = raw.decode("cp1252" if not _UNUSED & set(raw) else "latin-1")
    if "\0" in text:
        raise ValueError("it holds zero bytes, so it is no text (a spreadsheet?)")
    return text


def _split(text: str, separator: str, path: Path) -> list[tuple[int, list[str]]]:
    """Return the first line and the stripped cells of each row; blank rows are left out."""
    # Strict, so that a quotation mark left open can't swallow the rest of the file unseen.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = []
    begin = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((begin, stripped))
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path.name} is a table",
            f"{place(path, begin)}: {error}",
            "close the quotation mark that opens there, and double one that stands inside text",
        ) from error
    return rows


def _check_header(
    path: Path,
    line: int,
    header: list[str],
    required: Sequence[str],
    optional: Iterable[str] | None,
) -> list[str]:
    """Return the columns, with blank ones at the end cut off."""
    columns = list(header)
    while columns and not columns[-1]:
        columns.pop()
    missing = [name for name in required if name not in columns]
    allowed = None if optional is None else {*required, *optional}
    unknown = [] if allowed is None else [name for name in columns if name not in allowed]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if missing or unknown or (twice and allowed is not None):
        wrong = [f"missing {name}" for name in missing]
        wrong += [f"unknown {name or 'column without a name'}" for name in unknown]
        wrong += [f"{name} twice" for name in twice]
        raise UserError(
            f"{path.name} has the columns {_columns(required, optional)}",
            f"{place(path, line)}: {', '.join(wrong)}; its header is {', '.join(columns)}",
            "rename the columns",
        )
    # Only where any column is allowed: a second one of a name gets one of its own.
    return [
        name if name not in columns[:position] else f"{name} ({position})"
        for position, name in enumerate(columns)
    ]


def _columns(required: Sequence[str], optional: Iterable[str] | None = None) -> str:
    further = ", ".join(optional or ())
    return ", ".join(required) + (f" and perhaps {further}" if further else "")


def place(path: Path, line: int) -> str:
    """Return how a message names a place: ``timestamps.csv line 12``; see :func:`seen_from`."""
    root = _ROOT.get()
    inside = root is not None and path.is_relative_to(root) and path != root
    return f"{path.relative_to(root).as_posix() if root and inside else path.name} line {line}"


@contextmanager
def seen_from(root: Path) -> Iterator[None]:
    """Within the block, :func:`place` names files below ``root`` with their folders in it.

    So that two files of one name in a data set are told apart.
    """
    token = _ROOT.set(root)
    try:
        yield
    finally:
        _ROOT.reset(token)


def told(items: Sequence[str]) -> str:
    """Return the first of ``items`` one after the other, and how many more there are."""
    more = len(items) - MOST_TOLD
    return "; ".join(items[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
