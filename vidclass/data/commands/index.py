"""``vidclass data index``: from any format to one manifest."""

from pathlib import Path

import typer

from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data index ucf101:FOLDER --out ucf101.parquet"
MOST_CLASSES = 20


def command(
    source: str = typer.Argument(
        ..., help="A folder, a table, or FORMAT:PATH where the format is not plain."
    ),
    out: Path | None = typer.Option(
        None, help="Where the manifest goes, .csv or .parquet; it is a source like any other."
    ),
    group_pattern: str | None = typer.Option(
        None, help="Regular expression; its first bracket, found in a file's name, is the group."
    ),
) -> None:
    """Read videos and labels in any format; tell what they are, and write them as one manifest."""
    from vidclass.data.dataset_file import check_target, write_dataset
    from vidclass.data.readers import read_dataset
    from vidclass.data.summary import class_table, summary_lines

    if out is not None:
        check_target(out)
    dataset = read_dataset(source, home=home(), group_pattern=group_pattern, labels_needed=False)
    for line in summary_lines(dataset):
        typer.echo(line)
    classes = class_table(dataset)
    if len(classes):
        typer.echo(classes.head(MOST_CLASSES).to_string())
    if len(classes) > MOST_CLASSES:
        typer.echo(f"... and {len(classes) - MOST_CLASSES} more classes")
    if out is not None:
        write_dataset(dataset, out)
        typer.echo(f"written: {out}; use it as --data {out}")
