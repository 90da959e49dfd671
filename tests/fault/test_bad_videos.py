"""A study over a folder with damaged and short videos, from the command to its report."""

import subprocess
import sys
from collections.abc import Callable

import pandas as pd
import pytest
import yaml

from tests.fault.conftest import Home
from tests.sweep.test_bad_input import damage, fill, hash_of, write_video
from vidclass.report.belief import num_padded
from vidclass.report.collect import collect

pytestmark = [pytest.mark.fault, pytest.mark.timeout(3600)]

STUDY = {
    "study": "damaged",
    "data": {"quarantine_limit": 0.2, "split": {"folds": None}},
    "budget": {"trials": 1, "epochs": 1},
    "finals": {"seeds": 1, "rerun_top": 1, "rerun_seeds": 1, "time_seeds": 0},
    "arms": [{"name": "slow", "model": "slow_fusion", "fixed": {"width": 0.125}}],
}
NUM_SHORT = 7


@pytest.fixture(scope="module")
def home(new_home: Callable[..., Home]) -> Home:
    home = new_home()
    videos = fill(home.path.parent / "videos", walking=12, running=5)
    for k in range(NUM_SHORT - 1):
        write_video(videos / "running" / f"short{k}.mp4", num_frames=4, seed=hash_of("short", k))
    write_video(videos / "running" / "one_frame.mp4", num_frames=1, seed=99)
    damage(videos)
    study = home.path.parent / "damaged.yaml"
    study.write_text(yaml.safe_dump(STUDY))
    done = home.run(str(study), "--data", str(videos))
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def test_the_study_ends_and_scores_every_video_that_decodes_once(home: Home) -> None:
    state = home.state()
    assert state.end_reason == "complete"
    assert (state.data["num_videos"], state.data["num_quarantined"]) == (24, 4)
    finals = [final for final in state.finals.values() if final.variant == "kept"]
    assert len(finals) == 1
    scored = pd.read_parquet(home.folder / finals[0].predictions)
    assert len(scored) == state.data["videos_per_split"]["0"]["test"]
    assert scored["video_id"].is_unique


def test_the_report_says_which_videos_are_short_and_that_their_last_frame_is_repeated(
    home: Home,
) -> None:
    assert num_padded(collect(home.folder, home.path)) == NUM_SHORT
    report = (home.folder / "report" / "report.md").read_text()
    assert f"{NUM_SHORT} of 24 videos are shorter than the window" in report
    assert "their last frame is repeated" in report


def test_the_report_says_how_many_videos_did_not_decode(home: Home) -> None:
    report = (home.folder / "report" / "report.md").read_text()
    assert "4 of 28" in report or "4 videos" in report


def test_the_winner_predicts_a_short_video_too(home: Home) -> None:
    code = (
        "import vidclass; "
        f"model = vidclass.load_study('{home.folder.name}').best_model(); "
        f"print(model.predict('{home.path.parent / 'videos' / 'running' / 'one_frame.mp4'}').T)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=home.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "prediction" in done.stdout
