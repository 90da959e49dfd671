"""``vidclass ui``: MLflow's own pages on the store in use."""

import typer

from vidclass.cli import run_app
from vidclass.home import home

__all__ = ["app"]

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example: vidclass ui")
def ui() -> None:
    """Print and run the `mlflow ui` command for the store in use, until Ctrl-C.

    The store is MLFLOW_TRACKING_URI, or the sqlite file in the home folder.
    """
    from vidclass.tracking.store import ui as serve

    raise typer.Exit(serve(home()))


if __name__ == "__main__":
    run_app(app)
