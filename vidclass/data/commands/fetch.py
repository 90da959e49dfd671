"""``vidclass data fetch``: published data sets, on a machine that reaches their makers' server."""

from pathlib import Path

import typer

from vidclass.data.commands.progress import tell_progress

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data fetch ucf101 FOLDER"


def command(
    name: str = typer.Argument(..., help="ucf101, hmdb51 or kinetics400."),
    folder: Path = typer.Argument(
        ..., help="Where it goes. Files already in FOLDER/archives are not downloaded."
    ),
    source: str | None = typer.Option(
        None, help="Address of the folder with its files, instead of the makers'."
    ),
    checksums: Path | None = typer.Option(
        None, help="List of checksums as sha256sum writes it, to compare the files with."
    ),
    split: list[str] = typer.Option(
        [], help="Of kinetics400: train, val or test; may be given several times."
    ),
    parts: int | None = typer.Option(
        None, help="Of kinetics400: how many archives of each split; all where it is left out."
    ),
    keep_archives: bool = typer.Option(False, help="Keep what was unpacked."),
) -> None:
    """Download, compare and unpack a data set; a further call goes on where the last one ended."""
    from vidclass.data.fetch.checksum import read_checksums
    from vidclass.data.fetch.run import Fetch, fetch

    published = fetch(
        Fetch(
            name=name,
            folder=folder,
            source=source,
            checksums=read_checksums(checksums) if checksums else {},
            splits=split,
            parts=parts,
            keep_archives=keep_archives,
            progress=lambda what, done, total, unit: tell_progress(done, total, what, unit),
            say=typer.echo,
        )
    )
    typer.echo(f"who may use it for what: {published.terms}")
    index = f"vidclass data index {published.reader}:{folder}"
    if published.listed and not split:
        names = " or ".join(f"--split {name}" for name in published.listed)
        typer.echo(f"only the lists were asked for; next: {names} fetches videos, then {index}")
    else:
        typer.echo(f"next: {index}")
