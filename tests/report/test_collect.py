from pathlib import Path

import pytest

from tests.report.conftest import Reported
from tests.report.make_study import make_study
from vidclass.errors import UserError
from vidclass.report.collect import PREDICTION_COLUMNS, collect, find_study_folder


def test_finals_are_one_row_an_arm_seed_and_video(five_folds: Reported) -> None:
    finals = five_folds.tables.finals
    assert list(finals.columns) == [
        *PREDICTION_COLUMNS,
        "label_id",
        "pred_id",
        "p0",
        "p1",
        "p2",
        "p3",
    ]
    kept = finals[finals["kind"] == "final"]
    assert not kept.duplicated(["arm", "seed_index", "video_id"]).any()
    assert len(kept) == 3 * 2 * 80
    assert set(finals.loc[finals["kind"] == "control", "variant"]) == {"shuffled"}


def test_predictions_not_yet_renamed_are_left_out_and_named(tmp_path: Path) -> None:
    folder = make_study(tmp_path, num_trials=3)
    file = next(iter(collect(folder, tmp_path).state.finals.values())).predictions
    (folder / file).rename(folder / f"{file}.aside")
    tables = collect(folder, tmp_path)
    assert tables.unreadable == (file,)
    assert tables.finals["arm"].nunique() == 3


def test_floor_jobs_are_no_trials(one_split: Reported) -> None:
    assert set(one_split.tables.trials["kind"]) == {"search", "final", "control", "fewer_videos"}
    assert set(one_split.tables.floors["arm"]) >= {"majority", "metadata"}


def test_models_tell_frames_and_cost(one_split: Reported) -> None:
    models = one_split.tables.models
    assert models["single"].num_frames == 1 and not models["single"].uses_order
    assert models["slow"].uses_order and models["slow"].gmacs > models["single"].gmacs


def test_an_empty_ledger_is_a_user_error(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "empty"
    folder.mkdir(parents=True)
    (folder / "ledger.jsonl").touch()
    assert find_study_folder("empty", tmp_path) == folder
    with pytest.raises(UserError, match="python -m vidclass.sweep"):
        collect(folder, tmp_path)
