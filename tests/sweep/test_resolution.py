"""What validation tells of a test's resolution, over a whole simulated study."""

import math
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from tests.sweep.simulator import Simulation, study
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.report.comparisons import resolvable_difference
from vidclass.sweep.engine import Engine
from vidclass.sweep.resolution import resolution_line, resolution_of
from vidclass.sweep.screen import Screen
from vidclass.training.checkpoints import CheckpointFolder

NUM_TEST, NUM_GROUPS = 40, 20


def study_with_answers(home: Path, **answers: str) -> Engine:
    """Run a study of one fold; the best weights of each arm were right where ``answers`` has 1."""
    engine = Simulation(study(search__halving=None), home).open()
    ids = [f"v{number}" for number in range(NUM_TEST)]
    groups = [f"g{number % NUM_GROUPS}" for number in range(NUM_TEST)]
    rows = pd.DataFrame({"video_id": ids, "path": ids, "label": "a", "group": groups})
    write_manifest(new_manifest(rows), engine.folder / "manifest.parquet")
    splits = pd.DataFrame({"video_id": ids, "fold": 0, "split": "test"})
    splits.to_parquet(engine.folder / "splits.parquet")
    engine.state.data |= {"manifest": "manifest.parquet", "splits": "splits.parquet"}
    Simulation(study(search__halving=None), home).run(engine)
    for (arm, _), winner in engine.state.winners.items():
        folder = CheckpointFolder(engine.folder / "checkpoints" / winner["trial"], 1)
        folder.save_best(4, {"w": torch.zeros(1)}, {}, right=answers.get(arm, ""))
    engine.close()
    return engine


def test_disagreement_on_validation_stands_for_that_on_test(tmp_path: Path) -> None:
    engine = study_with_answers(tmp_path, single="1100000000", slow="1011000000")
    found = resolution_of(engine.state, engine.spec, engine.folder)
    assert found is not None
    assert found.discordance == (0.3, 0.3)
    assert found.num_groups == NUM_GROUPS
    independent = resolvable_difference(NUM_GROUPS, 0.3, videos_per_group=2, correlation=0)
    whole_groups = resolvable_difference(NUM_GROUPS, 0.3, videos_per_group=2, correlation=1)
    assert found.difference == pytest.approx((independent, whole_groups))
    assert found.difference[0] == pytest.approx(found.difference[1] / math.sqrt(2))
    assert "20 test groups" in resolution_line(found)
    assert "30 to 30 %" in resolution_line(found)


def test_arms_that_always_agree_resolve_anything(tmp_path: Path) -> None:
    engine = study_with_answers(tmp_path, single="1100", slow="1100")
    found = resolution_of(engine.state, engine.spec, engine.folder)
    assert found is not None
    assert found.difference == (0.0, 0.0)


@pytest.mark.parametrize("answers", [{}, {"single": "11"}, {"single": "11", "slow": "110"}])
def test_answers_that_are_not_known_tell_nothing(tmp_path: Path, answers: dict[str, str]) -> None:
    engine = study_with_answers(tmp_path, **answers)
    assert resolution_of(engine.state, engine.spec, engine.folder) is None


def test_nothing_is_told_before_each_arm_has_its_winner(tmp_path: Path) -> None:
    engine = study_with_answers(tmp_path, single="10", slow="01")
    del engine.state.winners["slow", 0]
    assert resolution_of(engine.state, engine.spec, engine.folder) is None


def test_a_gate_against_floors_has_no_pair_of_arms(tmp_path: Path) -> None:
    engine = study_with_answers(tmp_path, single="10", slow="01")
    spec = engine.spec.model_copy(update={"comparisons": "vs_best_floor"})
    assert resolution_of(engine.state, spec, engine.folder) is None


def test_the_screen_tells_it_once_it_is_known(tmp_path: Path) -> None:
    engine = study_with_answers(tmp_path, single="1100", slow="1000")
    screen = Screen(Console(file=StringIO(), width=200, force_terminal=True))
    with screen.showing(engine):
        screen.console.print(screen._view())
    shown = screen.console.file.getvalue()
    assert "20 test groups resolve" in shown
    assert np.isclose(resolution_of(engine.state, engine.spec, engine.folder).discordance[0], 0.25)
