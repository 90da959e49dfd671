"""``vidclass data explore``: what a data set is made of, in the terminal and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidclass.data.commands.scanned import (
    ANNOTATOR,
    GROUP_PATTERN,
    HOLD_OUT_BY,
    SOURCE,
    SUBJECT,
    Scanned,
    scanned,
)

if TYPE_CHECKING:
    import pandas as pd

    from vidclass.data.explore_page import Shown

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data explore FOLDER --out explore.html"
MOST_ROWS = 30


def command(
    source: str = SOURCE,
    out: Path | None = typer.Option(None, help="Write an HTML page with a contact sheet."),
    videos: int = typer.Option(60, min=0, help="Videos on the contact sheet; 0 leaves it out."),
    group_pattern: str | None = GROUP_PATTERN,
    hold_out_by: str | None = HOLD_OUT_BY,
    annotator: str | None = ANNOTATOR,
    subject: str | None = SUBJECT,
) -> None:
    """Tell counts, lengths, sizes, frame rates and class shares; show first and last frames.

    Files are decoded once, as by check. The page holds pictures from the videos: mind who sees it.
    """
    from rich.console import Console
    from rich.table import Table

    from vidclass.data.explore import explore
    from vidclass.data.explore_page import table_of, write_page
    from vidclass.errors import UserError

    if out is not None and out.suffix != ".html":
        raise UserError("the page of a data set is an .html file", out, f"{out.stem}.html")
    seen = scanned(source, group_pattern, hold_out_by, annotator=annotator, subject=subject)
    found = explore(seen.manifest, seen.dataset.groups_known, seen.dataset.annotations)
    console = Console()
    for what, told in found.overview:
        console.print(f"{what:<10} {told}", highlight=False)
    for heading, table in (
        ("classes", found.classes),
        ("share of each class in each video", found.shares),
        ("frame sizes", found.sizes),
        ("frame rates", found.rates),
        ("columns", found.columns),
        ("do not decode", found.unreadable.set_index("video_id")),
    ):
        if not len(table):
            continue
        grid = table_of(table.head(MOST_ROWS))
        shown = Table(title=heading, title_justify="left")
        for place, name in enumerate(grid.columns):
            shown.add_column(name, justify="right" if place else "left", no_wrap=not place)
        for row in grid.rows:
            shown.add_row(*row)
        console.print(shown)
        if len(table) > MOST_ROWS:
            console.print(f"and {len(table) - MOST_ROWS} more")
    if out is not None:
        write_page(found, _sheet(seen, videos), out, title=f"{seen.dataset.root.name}")
        console.print(f"written: {out}", highlight=False)


def _sheet(seen: Scanned, num_videos: int) -> "list[Shown]":
    """Return the frames of some videos, as many of each class as there is room for."""
    from vidclass.data.explore_page import Shown

    rows = _chosen(seen.manifest, num_videos)
    pictures = seen.scans.pictures(rows["content_hash"].tolist())
    return [
        Shown(f"{row['video_id']} ({row['label'] or 'no label'})", *pictures[row["content_hash"]])
        for row in rows.to_dict("records")
    ]


def _chosen(manifest: "pd.DataFrame", num_videos: int) -> "pd.DataFrame":
    """Return rows in turn from every class, groups mixed, sorted by class and id."""
    good = manifest[manifest["status"] == "ok"].sample(frac=1.0, random_state=0)
    turn = good.groupby(good["label"].fillna("")).cumcount()
    first = good.assign(turn=turn).sort_values("turn", kind="stable").head(num_videos)
    return first.sort_values(["label", "video_id"])
