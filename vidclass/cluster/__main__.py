"""``vidclass cluster``: check a cluster file before `ray up`, and what `ray up` leaves undone."""

from pathlib import Path

import typer

from vidclass.cli import run_app

app = typer.Typer(
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="Check a cluster file before `ray up`, and what `ray up` leaves undone.",
)

FILE = typer.Argument(Path("cluster.yaml"), help="The cluster file.")


@app.callback()
def _group() -> None:
    """Keep the verbs below one group, also while there is only one."""


@app.command(epilog="Example: vidclass cluster check cluster.yaml")
def check(file: Path = FILE) -> None:
    """Find every placeholder and every typo of a cluster file, offline; nothing is started."""
    from vidclass.cluster.check import check_cluster_file
    from vidclass.errors import raise_collected

    raise_collected(check_cluster_file(file))
    typer.echo(f"{file}: nothing found; `ray up {file}` may be run")


if __name__ == "__main__":
    run_app(app)
