"""``python -m vidclass.sweep STUDY``: run a study, and ask about studies."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vidclass.cli import run_app

__all__ = ["app"]


class _RunByDefault(TyperGroup):
    """Reads ``STUDY ...`` as ``run STUDY ...``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put ``run`` before a first word that is no verb."""
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_RunByDefault, no_args_is_help=True, pretty_exceptions_enable=False)
Study = Annotated[str, typer.Argument(help="Name of a study, as `vidclass sweep list` shows it.")]


@app.callback(epilog="Example: python -m vidclass.sweep fusion_study --dry-run")
def _root() -> None:
    """Run a study: `python -m vidclass.sweep STUDY`. Running it again continues it."""


@app.command(epilog="Example: vidclass sweep run ut_interaction --data ~/ut_interaction")
def run(
    study: Annotated[str, typer.Argument(help="A study file, or the name of one in sweeps/.")],
    data: Annotated[str | None, typer.Option(help="Folder of videos, one folder a class.")] = None,
    profile: Annotated[str | None, typer.Option(help="laptop or full.")] = None,
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one field.")
    ] = None,
    smoke: Annotated[bool, typer.Option(help="The whole path in about a minute.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show the plan and start nothing.")] = False,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file or module with your own models.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the report is copied to.")] = Path("reports"),
) -> None:
    """Run a study from videos to a verdict, or continue it."""
    from vidclass.sweep.commands import run_command

    sys.exit(
        run_command(
            study,
            data=data,
            profile=profile,
            overrides=tuple(override or ()),
            smoke=smoke,
            dry_run=dry_run,
            plugins=tuple(plugin or ()),
            out=out,
        )
    )


@app.command("list", epilog="Example: vidclass sweep list")
def list_studies() -> None:
    """List the studies of the home folder, and the study files that can be run."""
    from vidclass.sweep.commands import list_command

    list_command()


@app.command(epilog="Example: vidclass sweep status fusion_study")
def status(study: Study) -> None:
    """Show how far a study is, from its ledger."""
    from vidclass.sweep.commands import status_command

    status_command(study)


@app.command(epilog="Example: vidclass sweep stop fusion_study")
def stop(study: Study) -> None:
    """Interrupt the driver of a running study on this machine; the run command continues it."""
    from vidclass.sweep.commands import stop_command

    stop_command(study)


@app.command(epilog="Example: vidclass sweep logs fusion_study t0007 --follow")
def logs(
    study: Study,
    trial: Annotated[str, typer.Argument(help="A trial, such as t0007.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
) -> None:
    """Print what a trial printed."""
    from vidclass.sweep.commands import logs_command

    logs_command(study, trial, follow=follow)


@app.command(epilog="Example: vidclass sweep sync fusion_study")
def sync(study: Study) -> None:
    """Write a study's ledger into MLflow by hand: after an outage, or into an empty store."""
    from vidclass.sweep.commands import sync_command

    sync_command(study)


if __name__ == "__main__":
    run_app(app, prog_name="python -m vidclass.sweep")
