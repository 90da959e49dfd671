"""The verbs of ``vidclass sweep``: their arguments and help; ``commands`` does what they say."""

import sys
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

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
    notify: arguments.Notify = None,
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
            notify=notify,
        )
    )


@app.command(epilog="Example: vidclass sweep submit fusion_study --cluster cluster.yaml")
def submit(
    study: arguments.File,
    cluster: arguments.Cluster = None,
    address: arguments.Address = None,
    data: arguments.Data = None,
    profile: arguments.ProfileName = None,
    override: arguments.Overrides = None,
    smoke: arguments.Smoke = False,
    plugin: arguments.Plugins = None,
    notify: arguments.Notify = None,
    follow: arguments.Follow = False,
) -> None:
    """Send a study to a cluster, with this machine's vidclass; --data is a folder of the cluster.

    With --follow it stays until the study ends, and ends with the study's exit code.
    """
    from vidclass.sweep import remote_commands

    sys.exit(
        remote_commands.submit_command(
            study,
            cluster=cluster,
            address=address,
            data=data,
            profile=profile,
            overrides=tuple(override or ()),
            smoke=smoke,
            plugins=tuple(plugin or ()),
            notify=notify,
            follow=follow,
        )
    )


def _here(verb: str, *arguments: Any, **options: Any) -> None:
    from vidclass.sweep import commands  # brings torch, which `--help` must not wait for

    getattr(commands, f"{verb}_command")(*arguments, **options)


def _there(verb: str, *arguments: Any, **options: Any) -> None:
    from vidclass.sweep import remote_commands

    sys.exit(getattr(remote_commands, verb)(*arguments, **options))


@app.command("list", epilog="Example: vidclass sweep list")
def list_studies(cluster: arguments.Cluster = None, address: arguments.Address = None) -> None:
    """List the studies of the home folder and the study files, or what was submitted."""
    if cluster or address:
        _there("list_submitted", cluster, address)
    _here("list")


@app.command(epilog="Example: vidclass sweep status fusion_study")
def status(
    study: arguments.Study, cluster: arguments.Cluster = None, address: arguments.Address = None
) -> None:
    """Show how far a study is, from its ledger; of a submitted one also by the exit code."""
    if cluster or address:
        _there("status_of_submitted", study, cluster, address)
    _here("status", study)


@app.command(epilog="Example: vidclass sweep stop fusion_study")
def stop(
    study: arguments.Study, cluster: arguments.Cluster = None, address: arguments.Address = None
) -> None:
    """Interrupt the driver of a running study; running or submitting it again continues it."""
    if cluster or address:
        _there("stop_submitted", study, cluster, address)
    _here("stop", study)


@app.command(epilog="Example: vidclass sweep logs fusion_study t0007 --follow")
def logs(
    study: arguments.Study,
    trial: arguments.Trial = None,
    follow: arguments.Follow = False,
    cluster: arguments.Cluster = None,
    address: arguments.Address = None,
) -> None:
    """Print what a trial printed, or the driver of a submitted study."""
    if cluster or address:
        _there("logs_of_submitted", study, trial, cluster, address, follow=follow)
    _here("logs", study, trial, follow=follow)


@app.command(epilog="Example: vidclass sweep sync fusion_study")
def sync(study: arguments.Study) -> None:
    """Write a study's ledger into MLflow by hand: after an outage, or into an empty store."""
    _here("sync", study)
