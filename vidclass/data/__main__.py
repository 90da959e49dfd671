"""``vidclass data``: what is done to videos and labels before a study; a table of verbs."""

from types import ModuleType

import typer

from vidclass.cli import run_app
from vidclass.data.commands import (
    agreement,
    check,
    confounds,
    convert,
    explore,
    extract,
    fetch,
    index,
    make,
    prepare,
    preview,
    split,
)

VERBS: dict[str, ModuleType] = {
    "fetch": fetch,
    "index": index,
    "check": check,
    "split": split,
    "confounds": confounds,
    "explore": explore,
    "extract": extract,
    "convert": convert,
    "agreement": agreement,
    "make": make,
    "prepare": prepare,
    "preview": preview,
}
"""Each verb's module has ``command`` and ``EXAMPLE``, see :mod:`vidclass.data.commands`."""

app = typer.Typer(
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="From videos and labels in any format to what a study can use.",
)
for name, verb in VERBS.items():
    app.command(name, epilog=f"Example: {verb.EXAMPLE}")(verb.command)

if __name__ == "__main__":
    run_app(app)
