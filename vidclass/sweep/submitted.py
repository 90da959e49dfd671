"""``python -m vidclass.sweep.submitted``: what a submitted study runs as, on the cluster's head.

The study file lies in the wheel that the job brought; where Ray installed that is known only here.
"""

import importlib
import sys
from pathlib import Path

from vidclass.cli import run_app
from vidclass.home import home
from vidclass.sweep.submit import CARRIED
from vidclass.sweep.verbs import app


def main(arguments: list[str]) -> None:
    """Run ``vidclass sweep run`` on a carried file.

    Args:
        arguments: name of the file, then those of ``run``.
    """
    folder = Path(next(iter(importlib.import_module(CARRIED).__path__)))
    reports = str(home() / "reports")  # the job's own working folder is no place to look for it
    run_app(app, ["run", str(folder / arguments[0]), *arguments[1:], "--out", reports])


if __name__ == "__main__":
    main(sys.argv[1:])
