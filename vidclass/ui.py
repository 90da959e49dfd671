"""``vidclass ui``: MLflow's pages on the store in use."""

import sys

import typer

from vidclass.cli import run_app
from vidclass.home import home
from vidclass.tracking.store import ui

__all__ = ["app"]

app = typer.Typer(pretty_exceptions_enable=False)


@app.command(epilog="Example: vidclass ui")
def main() -> None:
    """Open MLflow's pages on the store in use; Ctrl-C ends them."""
    sys.exit(ui(home()))


if __name__ == "__main__":
    run_app(app)
