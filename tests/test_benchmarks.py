"""What benchmarks take from the package is there: they are run by hand, and would break unseen."""

import ast
import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


def names(file: Path) -> list[tuple[str, str]]:
    """Return (module, name) of all that a benchmark imports from vidclass, in functions too."""
    return [
        (str(node.module), alias.name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "vidclass"
        for alias in node.names
    ]


@pytest.mark.parametrize("file", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(file: Path) -> None:
    for module, name in names(file):
        found = importlib.import_module(module)
        if not hasattr(found, name):
            importlib.import_module(f"{module}.{name}")


def test_the_walk_finds_what_is_imported_inside_functions() -> None:
    assert ("vidclass.sweep.job_data", "clip_dataset") in names(BENCHMARKS / "epoch.py")
