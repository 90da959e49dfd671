"""README and docs: figures are those of reports, links lead somewhere, commands are accepted."""

import importlib
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from vidclass.cli import VERBS
from vidclass.plugins import load_plugin
from vidclass.sweep.load import load_study_file

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:vidclass|(?:\.venv/bin/)?python -m vidclass\.\w+)(?: .*)?")


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, str]]:
    """Yield (page, command) for each one in a fenced block or in single backticks."""
    for page in PAGES:
        blocks = re.findall(r"^```\n(.*?)^```", text_of(page), re.DOTALL | re.MULTILINE)
        prose = re.sub(r"^```.*?^```", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
        lines = [line for block in blocks for line in block.splitlines()]
        for line in [*lines, *re.findall(r"`([^`\n]+)`", prose)]:
            if COMMAND.fullmatch(line.strip()):
                yield page.name, line.strip()


def words_of(command: str) -> list[str]:
    """Return the words below ``vidclass``."""
    words = shlex.split(command, comments=True)
    if words[0] == "vidclass":
        return words[1:]
    return [words[2].removeprefix("vidclass."), *words[3:]]


def accept(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Parse the words as the command line does, calling nothing."""
    verb, *rest = words
    command: Any = get_command(importlib.import_module(VERBS[verb].module).app)
    path = verb
    while hasattr(command, "commands") and rest:
        if rest[0] not in command.commands and verb == "sweep":
            rest.insert(0, "run")
        assert rest[0] in command.commands, f"{path} has no {rest[0]}"
        path, command, rest = f"{path} {rest[0]}", command.commands[rest[0]], rest[1:]
    if hasattr(command, "commands") or not rest:  # a verb that is only mentioned
        return path, {}
    return path, command.make_context(path, list(rest)).params


FOUND = list(dict.fromkeys(commands()))


def test_commands_are_found() -> None:
    assert len(FOUND) > 30


@pytest.mark.parametrize(("page", "command"), FOUND)
def test_the_command_line_accepts_every_command_of_the_pages(
    page: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = words_of(command)
    if not words:
        return
    path, given = accept(words)
    for plugin in given.get("plugin") or []:
        load_plugin(plugin)
    if path == "sweep run" and given.get("study", "STUDY") != "STUDY":
        loaded = load_study_file(
            given["study"],
            profile=given["profile"],
            data=given["data"],
            smoke=given["smoke"],
            overrides=given["override"] or (),
            look_only=True,
        )
        assert loaded.spec.arms
    if path in ("models show", "models test") and given:
        from vidclass.models import model_entry

        assert model_entry(given["name"] if given["name"] != "NAME" else "slow_fusion")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_and_picture_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#[^)]*)?\)", text_of(page))
    missing = [link for link in links if link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_of_the_repository_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:docs|tests|benchmarks|sweeps|vidclass)/[\w./-]+)`", text_of(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_readme_is_what_its_script_makes_of_the_reports() -> None:
    assert load_script("fill_readme").filled(text_of(ROOT / "README.md")) == text_of(
        ROOT / "README.md"
    ), "run python docs/fill_readme.py"


def test_the_page_of_study_fields_is_what_its_script_makes_of_the_docstrings() -> None:
    script = load_script("make_study_fields")
    assert script.page() == text_of(script.PAGE), "run python docs/make_study_fields.py"


@pytest.mark.parametrize("name", ["tiny_model.py", "tiny.yaml"])
def test_the_page_on_python_shows_the_files_of_its_example(name: str) -> None:
    assert text_of(ROOT / "docs" / name) in text_of(ROOT / "docs" / "python.md")


def test_a_block_shows_verdict_scores_and_machine_of_its_report(tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "one"
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(json.dumps({"verdict": "A wins.", "partial": True}))
    (folder / "results.csv").write_text(
        "name,is_floor,primary,low,high,time_value,gmacs,parameters\n"
        "slow,False,0.9,0.85,0.94,0.25,0.0095,425944\n"
        "bag_of_frames,True,0.3,,,–,,\n"
    )
    (folder / "report.md").write_text("| Ran with | two cores, 0.7 minutes of wall time |\n")
    text = "before\n<!-- results:one -->\nold\n<!-- end -->\nafter\n"
    filled = load_script("fill_readme").filled(text, tmp_path)
    assert "old" not in filled and "> **A wins.**" in filled and "has not ended" in filled
    assert "| **slow** | 90.0 % | 85.0 to 94.0 | +25.0 points | 425,944 | 0.0095 |" in filled
    assert "| bag of frames (floor) | 30.0 % | not estimable |  |  |  |" in filled
    assert "two cores, 0.7 minutes of wall time." in filled
    assert load_script("fill_readme").filled(filled, tmp_path) == filled


def test_quick_benchmarks_are_no_figures_of_the_readme(tmp_path: Path) -> None:
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    aim = {"figure": "wait", "value": 1.234, "unit": "%", "aim": "at most 2 %", "reached": True}
    for name, quick in (("epoch", False), ("start", True)):
        (folder / f"{name}.json").write_text(json.dumps({"quick": quick, "aims": [aim]}))
    told = load_script("fill_readme").benchmarks(tmp_path)
    assert "| epoch | wait | 1.23 % | at most 2 % | yes |" in told
    assert "start" not in told
