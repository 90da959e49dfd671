"""Trials that go wrong: a killed process, a model that raises, a loss that is no number."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.conftest import Home

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]

PLUGIN = '''
"""Two models that fail, each in its own way."""

import torch
from torch import nn

from vidclass.models.registry import ModelOptions, register_model


class Raising(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, x_BTCHW):
        raise RuntimeError("this model never works")


class NoNumber(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(3, num_classes)

    def forward(self, x_BTCHW):
        return self.head(x_BTCHW.mean(dim=(1, 3, 4))) * torch.inf * 0


@register_model("raising", options=ModelOptions, uses_order=True)
def raising(num_classes, options):
    """Raises at its first step."""
    return Raising(num_classes)


@register_model("no_number", options=ModelOptions, uses_order=True)
def no_number(num_classes, options):
    """Its loss is NaN."""
    return NoNumber(num_classes)
'''

STUDY = """
study: faults
data: {source: moving_shapes, preset: smoke, input_size: 32}
budget: {trials: 1, epochs: 12, retries: 1}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, perturbations: false}
arms:
  - {name: healthy, model: slow_fusion, fixed: {width: 0.125}}
  - {name: broken, model: raising}
  - {name: wild, model: no_number}
"""
RETRIES = 1


@pytest.fixture(scope="module")
def home(new_home: Callable[..., Home], made_data: Path) -> Home:
    """A finished study of three arms; the process of the healthy one's trial was killed."""
    home = new_home(made_data, ("datasets",))
    plugin, study = home.path.parent / "failing.py", home.path.parent / "faults.yaml"
    plugin.write_text(PLUGIN)
    study.write_text(STUDY)
    command = (str(study), "--plugin", str(plugin))
    driver = home.start(*command)
    home.wait("the healthy trial has trained", lambda: healthy_epochs(home) >= 2, driver)
    started = home.events(event="trial_started", trial=healthy(home))
    os.kill(started[-1]["pid"], signal.SIGKILL)
    assert driver.wait(timeout=1800) == 0, home.said()
    return home


def healthy(home: Home) -> str | None:
    """Return the name of the healthy arm's search trial once it is proposed."""
    found = home.state().select(arm="healthy", kind="search")
    return found[0].trial if found else None


def healthy_epochs(home: Home) -> int:
    name = healthy(home)
    return len(home.state().trials[name].epochs) if name else 0


def test_a_killed_trial_goes_on_from_its_checkpoint_as_the_next_attempt(home: Home) -> None:
    trial = home.state().trials[healthy(home) or ""]
    first, second = trial.attempts
    assert (first.status, second.status) == ("failed", "completed")
    assert second.resume_from is not None
    epoch, attempt = second.resume_from.split(".")
    assert attempt == "1"
    assert sorted(trial.epochs) == list(range(1, 13))
    assert {e.attempt for n, e in trial.epochs.items() if n > int(epoch)} == {2}


def test_a_model_that_raises_fails_after_its_retries_and_says_why(home: Home) -> None:
    (trial,) = home.state().select(arm="broken")
    assert [attempt.status for attempt in trial.attempts] == ["failed"] * (1 + RETRIES)
    assert "this model never works" in trial.reason
    shown = home.run("logs", "faults", trial.trial)
    assert shown.returncode == 0
    assert "RuntimeError: this model never works" in shown.stdout


def test_a_loss_that_is_no_number_is_divergence_and_not_retried(home: Home) -> None:
    (trial,) = home.state().select(arm="wild")
    assert [attempt.status for attempt in trial.attempts] == ["diverged"]
    assert "not finite" in trial.reason


def test_the_study_ends_with_a_report_that_shows_the_arms_that_failed(home: Home) -> None:
    state = home.state()
    assert state.end_reason == "complete"
    assert {arm: event["trial"] for (arm, _), event in state.winners.items()} == {
        "healthy": healthy(home),
        "broken": None,
        "wild": None,
    }
    report = (home.folder / "report" / "report.md").read_text()
    for arm in ("healthy", "broken", "wild"):
        assert arm in report
    assert "--plugin failing.py" in report, "the command that runs it again"
    assert "Traceback" not in home.said()
    assert "(raylet)" not in home.said(), "Ray's own words on a dead process"


def test_a_study_with_models_of_a_plugin_is_looked_at_without_it(home: Home) -> None:
    for command in (("status", "faults"), ("list",)):
        done = home.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "faults" in done.stdout
