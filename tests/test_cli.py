"""The command line as a whole; python tests/test_cli.py > tests/cli_options.txt freezes it anew."""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from vidclass import __version__
from vidclass.cli import VERBS, app, run_app
from vidclass.errors import UserError, UserErrors

FROZEN = Path(__file__).with_name("cli_options.txt")
RUNNER = CliRunner()
HEAVY = {"torch", "ray", "mlflow", "numpy", "pandas", "optuna", "sklearn", "decord", "av"}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True)


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command below ``command`` that does something, with its words."""
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in sorted(command.commands.items()):
        yield from walk(below, f"{path} {name}")


def every_command() -> Iterator[tuple[str, Any]]:
    for name, verb in VERBS.items():
        yield from walk(get_command(importlib.import_module(verb.module).app), f"vidclass {name}")


def options_as_text() -> str:
    """Return a line a command: its words, its arguments, its options."""
    lines = []
    for path, command in every_command():
        arguments = [p.name for p in command.params if p.param_type_name == "argument"]
        options = [o for p in command.params if p.param_type_name == "option" for o in p.opts]
        options = [option for option in options if not option.endswith("-completion")]  # typer's
        lines.append(" ".join([path, *map(str.upper, arguments), *sorted(options)]))
    return "\n".join(lines) + "\n"


def test_no_option_changes_unseen() -> None:
    assert options_as_text() == FROZEN.read_text()


def test_every_command_shows_an_example_in_its_help() -> None:
    missing = [
        path for path, command in every_command() if "Example: " not in (command.epilog or "")
    ]
    assert missing == []


def test_every_example_begins_with_the_command_that_shows_it() -> None:
    wrong = [
        path
        for path, command in every_command()
        if not (command.epilog or "").split("Example: ")[-1].startswith(path)
    ]
    assert wrong == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_also_a_module(verb: str) -> None:
    module = VERBS[verb].module.removesuffix(".__main__")
    assert module == f"vidclass.{verb}"
    done = run(module, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_the_help_names_every_verb() -> None:
    result = RUNNER.invoke(app, ["--help"])
    assert result.exit_code == 0
    for name, verb in VERBS.items():
        assert name in result.output and verb.summary in result.output


def test_the_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom vidclass.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_version() -> None:
    assert RUNNER.invoke(app, ["--version"]).output == f"vidclass {__version__}\n"


def test_an_unknown_verb_ends_with_2() -> None:
    result = RUNNER.invoke(app, ["docter"])
    assert result.exit_code == 2
    assert "docter" in result.output


def test_a_verb_gets_its_own_options(home: Path) -> None:
    result = RUNNER.invoke(app, ["clean", "--older-than", "-1"])
    assert result.exit_code == 2
    assert "--older-than" in result.output


def test_a_user_mistake_has_three_parts_and_no_traceback(home: Path) -> None:
    done = run("vidclass.cli", "clean", "store/none")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: clean removes only stores, data sets and studies of the home folder, by name",
        "  received: store/none",
        "  instead:  a name that vidclass clean lists",
    ]


@pytest.mark.parametrize(
    ("error", "count"),
    [
        (UserError("rule", "value", "remedy"), 1),
        (UserErrors([UserError("one", 1, "a"), UserError("two", 2, "b")]), 2),
    ],
)
def test_all_mistakes_are_told(
    error: Exception, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = typer.Typer(pretty_exceptions_enable=False)

    @failing.command()
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_app(failing, [])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("error: ") == count


def test_our_own_mistakes_keep_their_traceback() -> None:
    broken = typer.Typer(pretty_exceptions_enable=False)

    @broken.command()
    def fail() -> None:
        raise AssertionError("our own")

    with pytest.raises(AssertionError, match="our own"):
        run_app(broken, [])


if __name__ == "__main__":
    sys.stdout.write(options_as_text())
