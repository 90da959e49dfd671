"""``python -m vidclass.sweep STUDY``: run a study, and ask about studies."""

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from vidclass.cli import run_app
from vidclass.sweep import arguments


class _RunByDefault(TyperGroup):
    """Reads ``STUDY ...`` as ``run STUDY ...``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put ``run`` before a first word that is no verb."""
        verb = args and args[0] in self.commands
        return super().resolve_command(ctx, args if verb else ["run", *args])


app = typer.Typer(
    cls=_RunByDefault, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@app.callback(epilog="Example: python -m vidclass.sweep fusion_study --dry-run")
def _root() -> None:
    """Run a study: `python -m vidclass.sweep STUDY`. Running it again continues it."""


@app.command(epilog="Example: vidclass sweep run ut_interaction --data ~/ut_interaction")
def run(
    study: arguments.File,
    data: arguments.Data = None,
    profile: arguments.ProfileName = None,
    override: arguments.Overrides = None,
    smoke: arguments.Smoke = False,
    dry_run: arguments.DryRun = False,
    plugin: arguments.Plugins = None,
    out: arguments.Out = Path("reports"),
) -> None:
    """Run a study from videos to a verdict, or continue it."""
    from vidclass.sweep import commands

    sys.exit(
        commands.run_command(
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


def _delegated(verb: str, *arguments: Any, **options: Any) -> None:
    from vidclass.sweep import commands  # brings torch, which `--help` must not wait for

    getattr(commands, f"{verb}_command")(*arguments, **options)


@app.command("list", epilog="Example: vidclass sweep list")
def list_studies() -> None:
    """List the studies of the home folder, and the study files that can be run."""
    _delegated("list")


@app.command(epilog="Example: vidclass sweep status fusion_study")
def status(study: arguments.Study) -> None:
    """Show how far a study is, from its ledger."""
    _delegated("status", study)


@app.command(epilog="Example: vidclass sweep stop fusion_study")
def stop(study: arguments.Study) -> None:
    """Interrupt the driver of a running study on this machine; running it again continues it."""
    _delegated("stop", study)


@app.command(epilog="Example: vidclass sweep logs fusion_study t0007 --follow")
def logs(study: arguments.Study, trial: arguments.Trial, follow: arguments.Follow = False) -> None:
    """Print what a trial printed."""
    _delegated("logs", study, trial, follow=follow)


@app.command(epilog="Example: vidclass sweep sync fusion_study")
def sync(study: arguments.Study) -> None:
    """Write a study's ledger into MLflow by hand: after an outage, or into an empty store."""
    _delegated("sync", study)


if __name__ == "__main__":
    run_app(app, prog_name="python -m vidclass.sweep")
