"""The one line that tells how far a verb is, where somebody is looking."""

import sys

import typer

__all__ = ["tell_progress"]


def tell_progress(done: int, total: int, what: str = "opened", unit: str = "videos") -> None:
    """Write ``what: done of total unit`` over the line before it; nothing without a terminal."""
    if sys.stderr.isatty():
        typer.echo(f"\r{what}: {done} of {total} {unit}", err=True, nl=done == total)
