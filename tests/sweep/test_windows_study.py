"""A whole real study of overlapping behaviours in recordings, through the command line."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pandas as pd
import pytest

from tests.sweep.recordings import write_recordings
from vidclass.study import Study, load_study

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

STUDY = """
study: two_behaviours
data:
  source: --data
  task: multilabel
  windows: {length_frames: 8, stride_frames: 4, label_from: centre}
  window: {span_s: 0.8, num_frames: 8}
  input_size: 32
  split: {folds: null, test_share: 0.25}
train: {batch_size: 32, lr: 0.004}
budget: {trials: 1, epochs: 6}
search: {halving: null}
finals: {seeds: 2, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, fewer_videos: []}
arms:
  - {name: single, model: single_frame, fixed: {width: 0.125}}
  - {name: early, model: early_fusion, fixed: {width: 0.125}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """Run the study once."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "two_behaviours.yaml").write_text(STUDY)
    write_recordings(folder / "recordings")
    ray_folder = tempfile.mkdtemp(prefix="vc-", dir="/tmp")  # a socket's path is short
    home = {"VIDCLASS_HOME": str(folder / "home"), "VIDCLASS_RAY_TEMP": ray_folder}
    command = [sys.executable, "-m", "vidclass.sweep", "two_behaviours.yaml"]
    done = subprocess.run(
        [*command, "--data", "recordings"],
        cwd=folder,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    shutil.rmtree(ray_folder, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDCLASS_HOME", str(folder / "home"))
        yield load_study("two_behaviours")


def test_windows_follow_their_recordings(study: Study) -> None:
    samples = pd.read_parquet(study.folder / "samples.parquet")
    assert len(samples) == 30 * 11  # 48 frames, windows of 8 every 4
    assert study.state.data["num_samples"] == len(samples)
    splits = pd.read_parquet(study.folder / "splits.parquet")
    assert not splits.duplicated(["fold", "video_id"]).any()


def test_motion_is_told_from_a_still(study: Study) -> None:
    finals = study.state.finals.values()
    found = {
        arm: [f.metrics["mean_average_precision"] for f in finals if f.arm == arm]
        for arm in ("single", "early")
    }
    assert min(found["early"]) > 0.9 > max(found["single"])


def test_the_report_holds_both_arms_against_the_floors(study: Study) -> None:
    verdict = json.loads((study.folder / "report" / "verdict.json").read_text())
    assert verdict["champion"] == "early"
    results = pd.read_csv(study.folder / "report" / "results.csv").set_index("name")
    assert results.loc["early", "exact_match"] > results.loc["single", "exact_match"]


def test_the_best_model_names_what_it_sees(study: Study) -> None:
    recording = study.folder.parents[2] / "recordings" / "animal00.mp4"
    [row] = study.best_model().predict(recording).to_dict("records")
    said = set(row["prediction"].split(";")) - {""}
    assert said <= {"bright", "run"}
