"""The page of ``vidclass data explore``: one HTML file that needs no other."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
import pandas as pd

from vidclass.data.explore import Exploration
from vidclass.home import write_aside
from vidclass.report.drawing import blank, to_svg

__all__ = ["Shown", "shown_cells", "table_of", "write_page"]

NUM_BINS = 30


class Shown(NamedTuple):
    """A video of the contact sheet: its frames as JPEG, and what is said of it."""

    caption: str
    first: bytes
    last: bytes


class _Grid(NamedTuple):
    columns: list[str]
    rows: list[list[str]]


def shown_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table as words: shares in per cent, seconds to a tenth, whole numbers grouped."""
    told = {}
    for name in table.columns:
        values = table[name]
        if "share" in str(name):
            told[name] = values.map(lambda value: f"{100 * value:.1f} %")
        elif pd.api.types.is_float_dtype(values):
            told[name] = values.map(lambda value: f"{value:,.1f}")
        elif pd.api.types.is_integer_dtype(values):
            told[name] = values.map(lambda value: f"{value:,}")
        else:
            told[name] = values.astype(str)
    return pd.DataFrame(told, index=table.index)


def table_of(table: pd.DataFrame) -> _Grid:
    """Return headings and rows of ``table``, its index the first column."""
    told = shown_cells(table)
    columns = [str(table.index.name or ""), *map(str, told.columns)]
    named = [name.replace("_s", ", s").replace("_", " ") for name in columns]
    rows = [[str(key), *row] for key, row in zip(told.index, told.to_numpy().tolist(), strict=True)]
    return _Grid(named, rows)


def write_page(found: Exploration, sheet: Sequence[Shown], out: Path, *, title: str) -> None:
    """Write the page.

    Args:
        found: the figures.
        sheet: videos whose first and last frame are shown; may be empty.
        out: the HTML file.
        title: of the page.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vidclass.data", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    tables = [
        ("Classes", found.classes),
        ("Share of each class in each video", found.shares),
        ("Frame sizes", found.sizes),
        ("Frame rates", found.rates),
        ("Columns", found.columns),
        ("Files that do not decode", found.unreadable.set_index("video_id")),
    ]
    pictures = [
        {
            "caption": shown.caption,
            "first": base64.b64encode(shown.first).decode(),
            "last": base64.b64encode(shown.last).decode(),
        }
        for shown in sheet
    ]
    content = environment.get_template("explore.html.j2").render(
        title=title,
        overview=found.overview,
        tables=[(heading, table_of(table)) for heading, table in tables],
        lengths=_histogram(found),
        sheet=pictures,
        sheet_told=f"{len(sheet)} videos, the same number of each class where there are enough.",
    )
    with write_aside(out) as aside:
        aside.write_text(content, encoding="utf-8")


def _histogram(found: Exploration) -> str:
    figure, (ax,) = blank(6.5, 2.2)
    lengths_s = found.lengths_s[np.isfinite(found.lengths_s)]
    ax.hist(lengths_s, bins=NUM_BINS, color="#2563c9")
    ax.set_xlabel("seconds")
    ax.set_ylabel("videos")
    return to_svg(figure, "lengths")
