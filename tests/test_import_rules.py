"""The package's own rules: who may import Ray and MLflow, and how large files and functions get."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vidclass"

RAY_FILES = {
    "cluster/check.py",  # Ray's own check of a cluster file; starts nothing
    "cluster/check_commands.py",  # the options that `ray start` has
    "cluster/facts.py",  # what the head tells of its nodes
    "data/parallel.py",  # one task a file, for checks and extraction; makes no store
    "data/pipeline.py",
    "data/streaming.py",
    "sweep/runner.py",
    "sweep/search.py",
    "sweep/cluster.py",
    "sweep/jobs.py",
    "sweep/leases.py",
    "sweep/nodes.py",
    "sweep/seats.py",
    "sweep/trial.py",
    "sweep/workers.py",
}
MAX_FILE_LINES = 400
MAX_ENTRY_LINES = 100
MAX_FUNCTION_LINES = 60


def files() -> dict[str, Path]:
    return {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


FILES = files()


def module_name(name: str) -> str:
    parts = ("vidclass", *Path(name).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def statements(tree: ast.AST, at_import: bool) -> Iterator[ast.AST]:
    """Yield all nodes below ``tree``; with ``at_import`` without what only runs when called."""
    for node in ast.iter_child_nodes(tree):
        if at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if at_import and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from statements(node, at_import)


def imported(
    tree: ast.AST, module: str, is_package: bool = False, at_import: bool = False
) -> set[str]:
    """Return the dotted names that a module imports, those inside its functions too."""
    found: set[str] = set()
    for node in statements(tree, at_import):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parts, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def imports_of(name: str, at_import: bool = False) -> set[str]:
    path = FILES[name]
    tree = ast.parse(path.read_text())
    return imported(tree, module_name(name), path.name == "__init__.py", at_import)


def tops(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def may_import_ray(name: str) -> bool:
    return name in RAY_FILES


def may_import_mlflow(name: str) -> bool:
    return name.startswith("tracking/")


def is_pure(name: str) -> bool:
    """Tell whether a file has to stay free of Ray and MLflow, also by what it imports."""
    if name in RAY_FILES or Path(name).name == "__main__.py":
        return False
    return name.startswith(("models/", "training/", "data/", "sweep/", "report/"))


def reachable(name: str) -> set[str]:
    """Return the files that ``name`` can load: all that it imports, and what those need for it."""
    by_module = {module_name(other): other for other in FILES}
    seen, waiting = {name}, list(imports_of(name))
    while waiting:
        other = by_module.get(waiting.pop())
        if other is not None and other not in seen:
            seen.add(other)
            waiting += imports_of(other, at_import=True)
    return seen


@pytest.mark.parametrize("name", FILES)
def test_ray_and_mlflow_are_imported_only_where_they_live(name: str) -> None:
    used = tops(imports_of(name))
    assert may_import_ray(name) or "ray" not in used
    assert may_import_mlflow(name) or "mlflow" not in used


@pytest.mark.parametrize("room", ["models", "training"])
def test_models_and_training_know_no_sweep_tracking_or_report(room: str) -> None:
    above = ("vidclass.sweep", "vidclass.tracking", "vidclass.report")
    wrong = {
        name: [module for module in imports_of(name) if module.startswith(above)]
        for name in FILES
        if name.startswith(f"{room}/")
    }
    assert wrong and not any(wrong.values()), wrong


def test_reports_reach_no_file_that_imports_ray() -> None:
    reports = [name for name in FILES if name.startswith("report/")]
    assert reports
    assert {
        name: reachable(name) & RAY_FILES for name in reports if reachable(name) & RAY_FILES
    } == {}


def test_pure_modules_load_neither_ray_nor_mlflow() -> None:
    """Import every pure module for real, in one process: what they need at import is clean too."""
    names = [module_name(name) for name in FILES if is_pure(name)]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    heavy = {'ray', 'mlflow'} & set(sys.modules)\n"
        "    assert not heavy, f'{name} loads {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_stay_small(name: str) -> None:
    text = FILES[name].read_text()
    limit = MAX_ENTRY_LINES if Path(name).name == "__main__.py" else MAX_FILE_LINES
    assert text.count("\n") < limit, f"{name} has {text.count(chr(10))} lines"
    long = {
        node.name: lines_of(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of(node) > MAX_FUNCTION_LINES
    }
    assert long == {}


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of what a function does: signature and docstring tell, they don't do."""
    told = ast.get_docstring(function) is not None and len(function.body) > 1
    first, last = function.body[1 if told else 0], function.body[-1]
    assert last.end_lineno is not None
    return last.end_lineno - first.lineno + 1


def test_a_function_is_as_long_as_what_it_does() -> None:
    signature = "def f(\n    a,\n    b,\n):\n"
    text = signature + '    """Say.\n\n    More.\n    """\n    x = a\n\n    return x\n'
    (function,) = ast.parse(text).body
    assert isinstance(function, ast.FunctionDef)
    assert lines_of(function) == 3


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import ray", "ray"),
        ("import ray.data as rd", "ray.data"),
        ("from ray import tune", "ray.tune"),
        ("def f():\n    import mlflow", "mlflow"),
        ("if True:\n    from mlflow.entities import Run", "mlflow.entities"),
        ("from . import runner", "vidclass.sweep.runner"),
        ("from ..tracking import writer", "vidclass.tracking.writer"),
        ("from .runner import run", "vidclass.sweep.runner"),
    ],
)
def test_the_walk_sees_every_form_of_import(source: str, expected: str) -> None:
    assert expected in imported(ast.parse(source), "vidclass.sweep.engine")


def test_the_walk_at_import_leaves_out_what_is_only_called() -> None:
    source = "import json\ndef f():\n    import ray\nif TYPE_CHECKING:\n    import mlflow\n"
    assert imported(ast.parse(source), "vidclass.x", at_import=True) == {"json"}


def test_the_walk_resolves_the_relative_imports_of_a_package() -> None:
    tree = ast.parse("from .runner import run")
    assert "vidclass.sweep.runner" in imported(tree, "vidclass.sweep", is_package=True)
