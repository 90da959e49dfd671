"""Tables of the page as data: one cell holds the figure and the words that every format shows."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

__all__ = [
    "NOT_ESTIMABLE",
    "Cell",
    "Column",
    "Table",
    "amount",
    "count",
    "interval",
    "joined",
    "missing",
    "percent",
    "plural",
    "points",
    "probability",
    "text",
    "without_paths",
]

NOT_ESTIMABLE = "not estimable"
Value = float | int | str | bool | None

_ABSOLUTE_PATH = re.compile(r"(?<![\w.:/<])(?:[A-Za-z]:)?/(?:[^\s/:'\"]+/)+([^\s/:'\"]*)")


@dataclass(frozen=True)
class Cell:
    """One figure: the words that are shown, the value behind them, and a smaller line beneath."""

    text: str
    value: Value = None
    beneath: str = ""

    @property
    def told(self) -> str:
        """The cell in one line."""
        return f"{self.text} ({self.beneath})" if self.beneath else self.text


@dataclass(frozen=True)
class Column:
    """A column: its name in files, its heading, and what it means in one line."""

    key: str
    heading: str
    meaning: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of cells below columns; ``note`` stands under the table."""

    columns: tuple[Column, ...]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""

    def frame(self) -> pd.DataFrame:
        """Return the values behind the cells, one column a key."""
        keys = [column.key for column in self.columns]
        return pd.DataFrame([[cell.value for cell in row] for row in self.rows], columns=keys)


def missing(reason: str) -> Cell:
    """Return a cell for a figure that cannot be told, and why."""
    return Cell(NOT_ESTIMABLE, None, reason)


def text(value: object, beneath: str = "") -> Cell:
    """Return a cell of words."""
    return Cell(str(value), str(value), beneath)


def percent(value: float | None, reason: str = "not recorded", beneath: str = "") -> Cell:
    """Return a share as per cent with one decimal."""
    if value is None or not math.isfinite(value):
        return missing(reason)
    return Cell(f"{100 * value:.1f} %", value, beneath)


def points(value: float | None, reason: str = "not recorded", beneath: str = "") -> Cell:
    """Return a difference of shares in percentage points, signed."""
    if value is None or not math.isfinite(value):
        return missing(reason)
    return Cell(f"{100 * value:+.1f} points", value, beneath)


def amount(
    value: float | None, unit: str = "", reason: str = "not recorded", digits: int = 3
) -> Cell:
    """Return a number with three significant digits and its unit."""
    if value is None or not math.isfinite(value):
        return missing(reason)
    if abs(value) >= 10 ** (digits - 1):
        shown = f"{value:,.0f}"
    else:
        shown = f"{value:.{digits}g}"
        shown = f"{value:.2e}" if "e" in shown else shown
    return Cell(f"{shown} {unit}".strip(), value)


def count(value: int, unit: str = "") -> Cell:
    """Return a whole number."""
    return Cell(f"{value:,} {unit}".strip(), int(value))


def interval(low: float | None, high: float | None, scale: float = 100.0) -> str:
    """Return ``low to high`` in per cent or points, or words when it cannot be told."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return f"interval {NOT_ESTIMABLE}"
    return f"{scale * low:.1f} to {scale * high:.1f}"


def probability(value: float | None, reason: str = "too few groups") -> Cell:
    """Return a p value."""
    if value is None or not math.isfinite(value):
        return missing(reason)
    return Cell("< 0.001" if value < 0.001 else f"{value:.3f}", value)


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return the number with its noun, as ``1 video`` or ``3 videos``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def without_paths(words: str) -> str:
    """Return ``words`` with every absolute path cut down to its last part.

    Reports are committed and sent around; where a machine keeps its files concerns nobody.
    """
    return _ABSOLUTE_PATH.sub(r"\1", words)


def joined(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
