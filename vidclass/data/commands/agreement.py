"""``vidclass data agreement``: how far annotators of the same videos agree."""

from pathlib import Path

import typer

from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data agreement timestamps.csv --fps 25"


def command(
    source: str = typer.Argument(
        ..., help="Labels by several annotators: timestamps.csv, BORIS exports, a data set."
    ),
    fps: float | None = typer.Option(None, help="Frames a second in which to compare a table."),
    videos: Path | None = typer.Option(
        None, help="Folder of the videos that a table names: their rate and length are used."
    ),
    out: Path | None = typer.Option(None, help="Write the table as CSV."),
) -> None:
    """Compare annotators frame by frame: share of frames, agreement, Cohen's kappa, by class."""
    from vidclass.data.agreement import agreement_of
    from vidclass.data.conversion import frames_and_rate
    from vidclass.data.label_sources import read_labels
    from vidclass.home import write_aside

    labels = read_labels(source, home(), videos=videos, fps=fps, probe=frames_and_rate)
    table = agreement_of(labels)
    typer.echo(table.round(3).to_string(index=False))
    if out is not None:
        with write_aside(out) as aside:
            table.to_csv(aside, index=False)
