from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidclass.errors import UserError, UserErrors
from vidclass.models import list_models
from vidclass.models.__main__ import app

RUNNER = CliRunner()


@pytest.mark.parametrize("arguments", [[], ["list"]])
def test_the_list_names_every_model(arguments: list[str]) -> None:
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert list_models()
    for name in list_models():
        assert name in result.output


def test_a_pattern_narrows_the_list() -> None:
    result = RUNNER.invoke(app, ["list", "early*"])
    assert "early_fusion" in result.output and "late_fusion" not in result.output


def test_show_takes_options_of_every_kind() -> None:
    full = RUNNER.invoke(app, ["show", "late_fusion"])
    half = RUNNER.invoke(
        app, ["show", "late_fusion", "--set", "width=0.5", "--set", "shared_towers=false"]
    )
    assert full.exit_code == half.exit_code == 0, half.output
    assert full.output != half.output


def test_show_tells_all_wrong_options_at_once() -> None:
    result = RUNNER.invoke(app, ["show", "early_fusion", "--set", "widht=1", "--set", "norm=none2"])
    assert isinstance(result.exception, UserErrors)
    assert len(result.exception.errors) == 2


@pytest.mark.parametrize("option", ["width", "width=[", "=1: 2: 3"])
def test_what_is_no_option_and_value_is_told(option: str) -> None:
    result = RUNNER.invoke(app, ["show", "early_fusion", "--set", option])
    assert isinstance(result.exception, UserError), result.output
    assert option in result.exception.received


def test_an_unknown_model_is_refused() -> None:
    result = RUNNER.invoke(app, ["test", "erly_fusion"])
    assert isinstance(result.exception, UserError) and "early_fusion" in str(result.exception)


def test_the_contract_is_checked() -> None:
    result = RUNNER.invoke(app, ["test", "early_fusion"])
    assert result.exit_code == 0, result.output
    assert "early_fusion holds all" in result.output


def test_a_plugin_that_is_not_there_is_refused(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["list", "--plugin", str(tmp_path / "absent.py")])
    assert isinstance(result.exception, UserError)
