"""The command line ``vidclass``: a table of verbs, each a module that is imported when it is used.

Every verb is also ``python -m vidclass.VERB``; both ways end in `run_app`, which tells user
mistakes without a traceback.
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from vidclass import __version__
from vidclass.errors import UserError, UserErrors

__all__ = ["VERBS", "app", "main", "run_app", "tell"]

EXIT_USER_ERROR = 2


@dataclass(frozen=True)
class Verb:
    """Where a verb lives, and the line that ``vidclass --help`` shows without importing it."""

    module: str
    summary: str


VERBS = {
    "sweep": Verb(
        "vidclass.sweep.__main__", "Run a study, ask how it goes, list and stop studies."
    ),
    "train": Verb("vidclass.train", "Train one model on one data set, without a search."),
    "report": Verb("vidclass.report.__main__", "Write the report of a study, also while it runs."),
    "models": Verb("vidclass.models.__main__", "List the models, show one, test one of your own."),
    "data": Verb("vidclass.data.__main__", "From videos and labels to what a study can use."),
    "cluster": Verb("vidclass.cluster.__main__", "Check a cluster file before `ray up`."),
    "ui": Verb("vidclass.ui", "Open MLflow's pages on the store in use."),
    "doctor": Verb("vidclass.doctor", "Check that this machine can decode, train and store."),
    "clean": Verb("vidclass.clean", "Show and remove stores, data sets and studies."),
}


class VerbGroup(TyperGroup):
    """A group that imports a verb's module only when that verb is called.

    Contexts and commands are click's; newer typer carries a private copy of click, so that their
    types have no public name, hence ``Any``.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a verb with its one line of help; `resolve_command` brings the real one."""
        verb = VERBS.get(cmd_name)
        return None if verb is None else TyperCommand(cmd_name, help=verb.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the verb that ``args`` begin with; an unknown one fails as typer fails it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in VERBS:
            command = get_command(importlib.import_module(VERBS[name].module).app)
            command.name = name
        return name, command, rest


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vidclass {__version__}")
        raise typer.Exit()


app = typer.Typer(cls=VerbGroup, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback(epilog="Example: vidclass sweep run fusion_study --dry-run")
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_tell_version, is_eager=True, help="Tell the version and end."
    ),
) -> None:
    """Sweeps of video classification architectures, from raw videos to a verdict."""


def tell(error: UserError | UserErrors) -> str:
    """Return the lines of a user mistake: rule, value received, what to write instead."""
    singles = error.errors if isinstance(error, UserErrors) else [error]
    blocks = [
        f"error: {single.rule}\n  received: {single.received}\n  instead:  {single.remedy}"
        for single in singles
    ]
    return "\n".join(blocks)


def run_app(entry: typer.Typer, arguments: Sequence[str] | None = None, **settings: Any) -> None:
    """Run a Typer app to its exit; a user mistake ends it with code 2 and no traceback.

    Args:
        entry: the app of one verb, or of all.
        arguments: instead of those of the process.
        settings: passed to click's ``main``, as ``prog_name``.
    """
    try:
        entry(args=None if arguments is None else list(arguments), **settings)
    except (UserError, UserErrors) as error:
        typer.echo(tell(error), err=True)
        sys.exit(EXIT_USER_ERROR)


def main() -> None:
    """Run the console script ``vidclass``."""
    run_app(app, prog_name="vidclass")


if __name__ == "__main__":
    main()
