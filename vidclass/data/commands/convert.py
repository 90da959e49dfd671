"""``vidclass data convert``: labels in time to labels of frames, and back."""

from pathlib import Path

import typer

from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data convert timestamps.csv labels.csv --fps 2 --repair empty"


def command(
    source: str = typer.Argument(
        ..., help="timestamps.csv, labels.csv, a BORIS export, or a data set of such a format."
    ),
    output: Path = typer.Argument(..., help="The table to write."),
    to: str | None = typer.Option(
        None, help="frames or timestamps; by default the other one than SOURCE has."
    ),
    fps: float | None = typer.Option(None, help="Frames a second of the labels."),
    videos: Path | None = typer.Option(
        None, help="Folder of the videos that a table names: their rate and length are used."
    ),
    task: str = typer.Option(
        "multiclass", help="multiclass: one label holds at a time; multilabel: several may."
    ),
    repair: list[str] = typer.Option(
        [],
        help="What may be repaired: reversed, empty, duplicate, outside, overlapping, unlabelled, "
        "unreadable, all. All else is refused.",
    ),
    background: str | None = typer.Option(None, help="The label of time that has none."),
    annotator: str | None = typer.Option(None, help="Of several annotators, whose labels."),
    subject: str | None = typer.Option(None, help="Of several subjects, whose labels."),
    report: Path | None = typer.Option(
        None, help="Table of every row touched; by default beside the output."
    ),
) -> None:
    """Write labels in time as labels of frames, or back; tell every row that had to be touched."""
    from vidclass.data.conversion import Conversion, convert

    wanted = Conversion.of(to, task, repair, background, annotator, subject)
    typer.echo(convert(source, output, wanted, home(), fps, videos, report))
