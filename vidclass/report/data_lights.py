"""What the lights say of a study's data: footage in two splits, columns that tell the label."""

from collections.abc import Mapping
from typing import Any, Literal

from vidclass.data.confounds import STRONG, WEAK
from vidclass.report.table import Cell, Column, Table, joined, plural, text

__all__ = ["confound_rows", "confounds_told", "footage_told"]

Told = tuple[Literal["green", "amber", "red"], str]
SHOWN = 3


def footage_told(data: Mapping[str, Any], *, made: bool) -> Told:
    """Return whether files in two splits show the same footage.

    Args:
        data: the event ``data_ready`` of the study.
        made: whether vidclass drew the videos itself.
    """
    if made:
        return "green", "every video was drawn by itself"
    pairs = data.get("near_duplicates")
    if pairs is None:
        return "amber", "nobody looked for files in two splits that show the same footage"
    if not pairs:
        return "green", "no file shows footage of another file in another split"
    more = f"; and {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
    count = f"{len(pairs):,} {'pair' if len(pairs) == 1 else 'pairs'}"
    return "red", f"{count} of files in two splits show the same footage: " + (
        "; ".join(pairs[:SHOWN]) + more
    )


def confounds_told(data: Mapping[str, Any]) -> Told:
    """Return how far columns of the data set give the label away.

    Args:
        data: the event ``data_ready`` of the study.
    """
    rows = data.get("confounds")
    if rows is None:
        return "amber", "the study was begun before columns were held against the label"
    fixing = [f"{row['column']} ({row['fixed']})" for row in rows if row["fixed"]]
    if fixing:
        fixes = "fixes" if len(fixing) == 1 else "fix"
        reason = f"not identifiable: {joined(fixing)} {fixes} the label, which no split can help"
        return "red", reason
    known = [row for row in rows if row["association"] is not None]
    if not known:
        return "green", "no column of the data set varies between groups"
    first = max(known, key=lambda row: float(row["association"]))
    told = f"{first['column']} tells most of the label, association {_interval(first)}"
    told += f" of 1; {plural(len(known), 'column')} compared"
    if float(first["association"]) >= STRONG:
        return "red", told
    low = first["low"] if first["low"] is not None else first["association"]
    return ("amber" if float(low) >= WEAK else "green"), told


def confound_rows(data: Mapping[str, Any]) -> Table:
    """Return the table of confounds; empty where the study has none."""
    columns = (
        Column("column", "Column", "what is known of a video beside its pixels", numeric=False),
        Column("values", "Values", "how many it takes"),
        Column("association", "Association", "with the label: 0 nothing, 1 everything"),
        Column("verdict", "Verdict", numeric=False),
    )
    rows: list[list[Cell]] = []
    for row in data.get("confounds") or ():
        known = row["association"] is not None
        fixed = f": {row['fixed']}" if row["fixed"] else ""
        rows.append(
            [
                text(row["column"]),
                Cell(f"{row['values']:,}", row["values"]),
                Cell(_interval(row), row["association"]) if known else Cell("–", None),
                text(f"{row['verdict']}{fixed}"),
            ]
        )
    return Table(
        columns,
        rows,
        "Cramer's V, or the correlation ratio of ranks; 95 % intervals over groups.",
    )


def _interval(row: Mapping[str, Any]) -> str:
    told = f"{float(row['association']):.2f}"
    if row["low"] is None:
        return f"{told} (no interval)"
    return f"{told} ({float(row['low']):.2f} to {float(row['high']):.2f})"
