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
    from vidclass.cluster.check import check_cluster_file, check_mounts, read_cluster_file
    from vidclass.errors import raise_collected

    raise_collected([*check_cluster_file(file), *check_mounts(read_cluster_file(file))])
    typer.echo(f"{file}: nothing found; `ray up {file}` may be run")


@app.command(epilog="Example: vidclass cluster up cluster/onprem.yaml")
def up(
    file: Path = FILE,
    wait_s: float = typer.Option(300, help="How long to wait for the workers, seconds."),
) -> None:
    """Check the file, run `ray up`, wait for the workers that it always wants."""
    from vidclass.cluster.launch import bring_up

    bring_up(file, typer.echo, wait_s=wait_s)


@app.command(epilog="Example: vidclass cluster status cluster.yaml")
def status(file: Path = FILE) -> None:
    """Show the nodes, whether MLflow and the dashboard answer, and which studies run."""
    from vidclass.cluster.launch import show_status

    show_status(file, typer.echo)


@app.command(epilog="Example: vidclass cluster dashboard cluster.yaml")
def dashboard(file: Path = FILE) -> None:
    """Open an ssh tunnel to Ray's dashboard, which listens on the head alone; Ctrl-C ends it."""
    from vidclass.cluster.launch import TOKEN, open_tunnel

    typer.echo(f"http://127.0.0.1:8265 (it asks for the token: {TOKEN}); Ctrl-C ends the tunnel")
    open_tunnel(file, 8265)


@app.command(epilog="Example: vidclass cluster mlflow cluster.yaml")
def mlflow(file: Path = FILE) -> None:
    """Open an ssh tunnel to MLflow, which listens on the head alone; Ctrl-C ends it."""
    from vidclass.cluster.launch import open_tunnel

    typer.echo("http://127.0.0.1:5000; Ctrl-C ends the tunnel")
    open_tunnel(file, 5000)


@app.command(epilog="Example: vidclass cluster down cluster/onprem.yaml")
def down(file: Path = FILE) -> None:
    """End Ray and MLflow on machines of your own, then run `ray down`."""
    from vidclass.cluster.launch import take_down

    take_down(file, typer.echo)


if __name__ == "__main__":
    run_app(app)
