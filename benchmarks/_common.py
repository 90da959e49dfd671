"""What all benchmarks share: one thread a process, a temp folder, tables, results.

Imported first: the threads of numeric libraries are read when those are imported.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOAD_AT_START = [round(value, 2) for value in os.getloadavg()]
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "benchmarks"), str(REPOSITORY)]
# Ray's workers and the subprocesses find vidclass too when it is not installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    part for part in (str(REPOSITORY), os.environ.get("PYTHONPATH", "")) if part
)

from _hardware import write_result  # noqa: E402


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """Return the parser of a benchmark: its docstring as help, and ``--quick``."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a small version, to see that it runs")
    return parser


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder with a short path (Ray's sockets lie in it), and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="vb", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows under the names of their columns."""
    cells = [[_shown(row.get(name)) for name in rows[0]] for row in rows]
    widths = [max(map(len, column)) for column in zip(list(rows[0]), *cells, strict=True)]
    for line in [list(rows[0]), *cells]:
        print("  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)))
    print(flush=True)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)


def against_aim(
    what: str, value: float | None, aim: float, *, at_most: bool = False, unit: str = ""
) -> dict[str, Any]:
    """Return the row of a figure that has an aim; ``table.py`` shows these rows."""
    reached = None if value is None else (value <= aim if at_most else value >= aim)
    told = f"{'at most' if at_most else 'at least'} {aim:g}{' ' + unit if unit else ''}"
    return {"figure": what, "value": value, "unit": unit, "aim": told, "reached": reached}


def finish(name: str, *, quick: bool, aims: Sequence[dict[str, Any]], **payload: Any) -> None:
    """Print the figures that have an aim and write everything to ``results/NAME.json``."""
    print_table(aims)
    result = {"load_average_at_start": LOAD_AT_START, "quick": quick, "aims": list(aims), **payload}
    print(f"written: benchmarks/results/{write_result(name, result).name}")
