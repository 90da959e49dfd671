"""Arms that see motion: from the study file to trials, with the store made once."""

from pathlib import Path

import numpy as np
import pytest

from tests.sweep.noise_study import STORE, noise_engine, run_all
from vidclass.data.frame_store import FrameStore
from vidclass.data.motion import motion_frames
from vidclass.errors import UserErrors
from vidclass.home import store_folder
from vidclass.sweep.arm_data import footage_lines
from vidclass.sweep.job_data import seen_store, split_data
from vidclass.sweep.load import parse_study, results_hash

STUDY = """
study: motion
data: {input_size: 32, window: {span_s: 0.6, num_frames: 6}, augment: {flip: true}}
train: {batch_size: 8}
budget: {trials: 2, epochs: 1}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, fewer_videos: []}
arms:
  - name: colours
    model: small_cnn
    fixed: {num_convolutions: 2, num_channels: 4, num_dense: 8}
  - name: moving
    model: small_cnn
    fixed: {num_convolutions: 2, num_channels: 4, num_dense: 8}
    search: {data.input: [difference, flow]}
  - name: kept
    model: backbone_single_frame
    fixed: {backbone: squeezenet1_1, weights: none, data.input: difference}
"""


def test_arms_see_motion_that_is_made_once(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "motion.yaml"
    file.write_text(STUDY)
    engine = noise_engine(file, home)
    run_all(engine)
    trials = engine.state.trials.values()
    seen = {t.arm: {t.config.get("data", {}).get("input", "rgb")} for t in trials if t.arm}
    assert seen["colours"] == {"rgb"} and seen["kept"] == {"difference"}
    inputs = {t.config["data"]["input"] for t in trials if t.arm == "moving"}
    assert inputs == {"difference", "flow"}
    stores = [path.parent.name for path in (home / "store").glob("*/store.json")]
    assert len(stores) == 3 and STORE in stores

    job = {"store_key": STORE, "input": "difference"}
    frames = FrameStore.open(store_folder(home) / STORE).frames("03.mp4")
    shown = np.asarray(seen_store(job, home).frames("03.mp4"))
    np.testing.assert_array_equal(shown, motion_frames(np.asarray(frames), "difference"))
    assert split_data  # the same way for training, validation and test
    engine.close()


def test_the_plan_says_so_and_old_studies_keep_their_identity() -> None:
    spec = parse_study(STUDY)
    lines = list(footage_lines(spec))
    assert "moving sees other footage: data.input searched" in lines
    plain = STUDY.replace("data.input: difference", "size_1: 0")
    named = plain.replace("data: {", "data: {input: rgb, ")
    assert results_hash(parse_study(plain)) == results_hash(parse_study(named))


@pytest.mark.parametrize(
    ("shows", "augment", "said"),
    [
        ("flow", "rotation_degrees: 10", "rotation_degrees"),
        ("difference", "brightness: 0.2", "brightness"),
        ("flow", "reverse_pairs: [[up, up]]", "reverse_pairs"),
    ],
)
def test_augmentation_that_falsifies_motion_is_refused(shows: str, augment: str, said: str) -> None:
    wrong = STUDY.replace("flip: true", augment).replace("difference, flow", shows)
    with pytest.raises(UserErrors, match=said):
        parse_study(wrong)
