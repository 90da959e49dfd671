"""Every study file that ships parses, can be trained, and says what to expect of it."""

from pathlib import Path

import pytest

from vidclass.models import model_entry
from vidclass.sweep.load import load_study_file, trial_config
from vidclass.sweep.points import next_point
from vidclass.sweep.state import State

FILES = sorted((Path(__file__).resolve().parents[2] / "sweeps").rglob("*.yaml"))


def test_there_are_study_files() -> None:
    assert {path.stem for path in FILES} >= {"fusion_study", "smoke", "ut_interaction"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header_names_command_expectation_and_cost(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("#")]
    for word in ("Command", "Expect", "Cost"):
        assert any(line.startswith(f"# {word}") for line in header), word
    assert f"python -m vidclass.sweep {path.stem}" in header[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_point_of_every_arm_is_a_valid_trial(path: Path) -> None:
    spec = load_study_file(str(path), look_only=True).spec
    assert spec.study == path.stem
    for arm in spec.arms:
        for number in range(1, 7):
            params = next_point(State(), spec, arm, 0, number)
            config = trial_config(spec, arm, params)
            options = model_entry(arm.model).options.model_validate(config["options"])
            assert model_entry(arm.model).frame_positions(spec.data.window.num_frames, options)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_arms_search_equally_many_dimensions(path: Path) -> None:
    arms = load_study_file(str(path), look_only=True).spec.arms
    assert len({len(arm.search) for arm in arms}) == 1
