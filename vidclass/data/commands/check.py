"""``vidclass data check``: open every video before a study does."""

import typer

from vidclass.data.commands.progress import tell_progress
from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data check FOLDER --group-pattern '(seq[0-9]+)'"


def command(
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
    from vidclass.data.leakage import check_leakage
    from vidclass.data.manifest import STATUS_QUARANTINED
    from vidclass.data.readers import read_dataset
    from vidclass.data.splits import make_splits

    dataset = read_dataset(source, home=home(), group_pattern=group_pattern)
    manifest = probed(dataset, tell_progress)
    groups = "groups given" if dataset.groups_known else "no groups given: each file is its own"
    typer.echo(f"{len(manifest)} videos in {dataset.root}; {groups}")
    typer.echo(describe_classes(manifest).to_string())
    for row in manifest[manifest["status"] == STATUS_QUARANTINED].itertuples():
        typer.echo(f"does not open: {row.video_id}: {row.reason}")
    splits = make_splits(manifest, valid_share=0.2, test_share=0.2, folds="auto", seed=seed)
    check_leakage(splits, manifest)
    typer.echo(describe_splits(splits))
