"""``vidclass data``: check a folder of videos, make the control data set."""

import sys

import typer

from vidclass.cli import run_app
from vidclass.home import home

app = typer.Typer(
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="Check a folder of videos, make the control data set.",
)


@app.command(epilog="Example: vidclass data check FOLDER --group-pattern '(seq[0-9]+)'")
def check(
    source: str = typer.Argument(
        ..., help="A folder with one subfolder a class, or moving_shapes."
    ),
    group_pattern: str | None = typer.Option(
        None, help="Regular expression; its first bracket, found in a file's name, is the group."
    ),
    seed: int = typer.Option(0, help="Seed of the division."),
) -> None:
    """Open every video; tell classes, groups, what does not open and why, and how it divides."""
    from vidclass.data.check import describe_classes, describe_splits, probed
    from vidclass.data.manifest import STATUS_QUARANTINED
    from vidclass.data.readers import read_dataset
    from vidclass.data.splits import check_leakage, make_splits

    dataset = read_dataset(source, home=home(), group_pattern=group_pattern)
    manifest = probed(dataset, _progress)
    groups = "groups given" if dataset.groups_known else "no groups given: each file is its own"
    typer.echo(f"{len(manifest)} videos in {dataset.root}; {groups}")
    typer.echo(describe_classes(manifest).to_string())
    for row in manifest[manifest["status"] == STATUS_QUARANTINED].itertuples():
        typer.echo(f"does not open: {row.video_id}: {row.reason}")
    splits = make_splits(manifest, valid_share=0.2, test_share=0.2, folds="auto", seed=seed)
    check_leakage(splits, manifest)
    typer.echo(describe_splits(splits))


@app.command(epilog="Example: vidclass data make --preset default")
def make(
    preset: str = typer.Option("default", help="Difficulty of the control data set."),
    seed: int = typer.Option(0, help="Seed it is made from."),
) -> None:
    """Make the control data set moving_shapes in the home folder; a second call returns at once."""
    from vidclass.data.synthetic import make_moving_shapes

    def told(what: str, done: int, total: int) -> None:
        _progress(done, total, what)

    typer.echo(str(make_moving_shapes(home(), preset=preset, seed=seed, progress=told)))


def _progress(done: int, total: int, what: str = "opened") -> None:
    if sys.stderr.isatty():
        typer.echo(f"\r{what}: {done} of {total} videos", err=True, nl=done == total)


if __name__ == "__main__":
    run_app(app)
