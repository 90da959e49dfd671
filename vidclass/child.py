"""Child processes that import what this process does."""

import os
import sys

__all__ = ["child_environment", "module_command"]


def module_command(module: str) -> list[str]:
    """Return the command that runs a module of vidclass.

    ``-P`` keeps the working directory from being searched: a user's random.py may lie there.
    """
    return [sys.executable, "-P", "-m", module]


def child_environment() -> dict[str, str]:
    """Return this process's environment with its own import path."""
    paths = [path or os.getcwd() for path in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
