"""``vidclass data make``: the control data set."""

import typer

from vidclass.data.commands.progress import tell_progress
from vidclass.home import home

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data make --preset default"


def command(
    preset: str = typer.Option("default", help="Difficulty of the control data set."),
    seed: int = typer.Option(0, help="Seed it is made from."),
) -> None:
    """Make the control data set moving_shapes in the home folder; a second call returns at once."""
    from vidclass.data.synthetic import make_moving_shapes

    def told(what: str, done: int, total: int) -> None:
        tell_progress(done, total, what)

    typer.echo(str(make_moving_shapes(home(), preset=preset, seed=seed, progress=told)))
