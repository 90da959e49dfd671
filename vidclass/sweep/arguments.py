"""The arguments of ``vidclass sweep``, each with the line that --help shows."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Address",
    "Cluster",
    "Data",
    "DryRun",
    "File",
    "Follow",
    "Notify",
    "Out",
    "Overrides",
    "Plugins",
    "ProfileName",
    "Smoke",
    "Study",
    "Trial",
]

Several = list[str] | None

File = Annotated[str, typer.Argument(help="A study file, or the name of one in sweeps/.")]
Study = Annotated[str, typer.Argument(help="Name of a study, as `vidclass sweep list` shows it.")]
Trial = Annotated[
    str | None, typer.Argument(help="A trial, such as t0007; none for a submitted study.")
]
Cluster = Annotated[
    Path | None,
    typer.Option("--cluster", help="Cluster file of `ray up`: the study was submitted there."),
]
Address = Annotated[
    str | None, typer.Option("--address", help="http://HEAD:8265, instead of --cluster.")
]
Data = Annotated[str | None, typer.Option("--data", help="Folder of videos, a folder a class.")]
ProfileName = Annotated[str | None, typer.Option("--profile", help="laptop or full.")]
Overrides = Annotated[
    Several, typer.Option("--set", metavar="A.B=C", help="Override one field; may be repeated.")
]
Smoke = Annotated[bool, typer.Option("--smoke", help="The whole path in about a minute.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and start nothing.")]
Plugins = Annotated[
    Several, typer.Option("--plugin", help="Python file or module with your own models.")
]
Notify = Annotated[
    str | None,
    typer.Option(
        "--notify",
        envvar="VIDCLASS_NOTIFY",
        help="Command or URL that is told when the study ends, fails or is paused.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", help="Folder that the report is copied to, as OUT/NAME.")
]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")]
