"""A job of a frozen arm trains on features that the first job made, and its model takes clips."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tests.sweep.noise_study import (
    CLASSES,
    NUM_FRAMES,
    NUM_VIDEOS,
    SIDE,
    STORE,
    noise_engine,
    run_all,
)
from vidclass.data.feature_store import FeatureStore
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.errors import UserErrors
from vidclass.home import store_folder
from vidclass.models import backbones, create_model, model_entry, validate_options
from vidclass.sweep.engine import Engine
from vidclass.sweep.features import feature_source_of
from vidclass.sweep.job import run_job
from vidclass.sweep.job_data import manifest_of, split_table
from vidclass.sweep.load import load_study_file
from vidclass.sweep.weights import check_weights
from vidclass.tracking.models import load_trained
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.floor_features import floor_features
from vidclass.training.floors import FLOOR_NAMES

STUDY = """
study: features
data: {input_size: 32, window: {span_s: 1.0, num_frames: 6}, augment: {flip: true}}
train: {batch_size: 8, init: default}
budget: {trials: 2, epochs: 2}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 1, fewer_videos: []}
arms:
  - name: lrcn
    model: lrcn
    fixed: {backbone: squeezenet1_1, weights: WEIGHTS, num_frames: 3, size_1: 8}
    search: {lr: {low: 1.0e-3, high: 4.0e-3}}
"""


@pytest.fixture
def engine(home: Path, tmp_path: Path) -> Engine:
    """A study of one frozen arm over videos of noise, its weights in HOME/weights."""
    return make_engine(STUDY, home, tmp_path)


def make_engine(study: str, home: Path, tmp_path: Path) -> Engine:
    weights = home / "weights" / "squeeze.pth"
    weights.parent.mkdir()
    torch.manual_seed(0)
    torch.save(backbones.build_trunk("squeezenet1_1", 32).state_dict(), weights)
    file = tmp_path / "features.yaml"
    file.write_text(study.replace("WEIGHTS", weights.name))
    return noise_engine(file, home)


def test_frozen_arms_run_their_backbone_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = backbones.Backbone.forward

    def counting(self: backbones.Backbone, x_bCHW: torch.Tensor) -> torch.Tensor:
        seen.append(len(x_bCHW))
        return forward(self, x_bCHW)

    monkeypatch.setattr(backbones.Backbone, "forward", counting)
    prepared = run_all(engine)
    assert sum(seen) == NUM_VIDEOS * NUM_FRAMES
    frames = [payload["features"]["num_frames"] for _, payload in prepared]
    assert frames == [NUM_VIDEOS * NUM_FRAMES] + [0] * (len(prepared) - 1)
    assert {kind for kind, _ in prepared} >= {"search", "final", "control"}
    (sha256,) = {hash_ for _, payload in prepared for hash_ in payload["weights_sha256"]}
    assert len(sha256) == 64
    assert prepared[0][1]["features"]["seconds"] > 0

    check_that_the_model_takes_clips(engine)
    engine.close()


FLOORS = "floors: {backbone: squeezenet1_1, weights: WEIGHTS}"


def test_floors_take_the_features_that_the_arms_take(home: Path, tmp_path: Path) -> None:
    engine = make_engine(STUDY + FLOORS, home, tmp_path)
    while (job := engine.propose()) is not None and job["kind"] != "floors":
        run_quietly(engine, job)
    assert job is not None
    run_quietly(engine, job)
    (key,) = {path.parent.name for path in store_folder(home).rglob("features.json")}
    stored = FeatureStore.open(store_folder(home) / key)

    frames = FrameStore.open(store_folder(home) / STORE)
    table = pd.concat([split_table(job, home, name) for name in ("train", "valid", "test")])
    features = floor_features(
        frames, table, manifest_of(job, home), Window(**job["window"]), encoded=stored
    )
    f_TD = stored.features(features.sample_ids[0])
    shown = ClipDataset(
        frames,
        table.head(1),
        window=Window(**job["window"]),
        positions=FramePositions(tuple(range(6))),
        input_size=SIDE,
    ).frame_numbers(np.array([0]), epoch=0, train=False)[0]
    np.testing.assert_array_equal(features.middle_ND[0], f_TD[shown[3]])
    np.testing.assert_allclose(features.mean_ND[0], f_TD[shown].mean(axis=0), rtol=1e-5)
    steps_TD = np.abs(np.diff(f_TD[shown], axis=0))
    np.testing.assert_allclose(features.difference_ND[0], steps_TD.mean(axis=0), rtol=1e-4)
    scored = {floor for _, floor in engine.state.floors}
    assert scored == set(FLOOR_NAMES)
    engine.close()


def run_quietly(engine: Engine, job: dict[str, Any]) -> None:
    run_job(
        job,
        engine.home,
        lambda message, payload: engine.on_message(job["trial"], job["attempt"], message, payload),
    )


def test_weights_of_the_floors_are_tried_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "features.yaml"
    file.write_text(STUDY.replace("WEIGHTS", "none") + FLOORS.replace("WEIGHTS", "nowhere.pth"))
    with pytest.raises(UserErrors, match=r"nowhere\.pth"):
        check_weights(load_study_file(str(file)).spec)


def test_a_net_of_the_floors_that_there_is_not_is_told(tmp_path: Path) -> None:
    file = tmp_path / "features.yaml"
    floors = "floors: {backbone: squeezenet9, weights: none}"
    file.write_text(STUDY.replace("WEIGHTS", "none") + floors)
    with pytest.raises(UserErrors, match="squeezenet9"):
        check_weights(load_study_file(str(file)).spec)


def check_that_the_model_takes_clips(engine: Engine) -> None:
    """The deployable model gives for a video's frames what the trial gave for its features."""
    (final,) = [t for t in engine.state.trials.values() if t.kind == "final"]
    model = load_trained(final, len(CLASSES), engine.folder)
    options = final.config["options"]
    job = {"config": final.config}
    source = feature_source_of(job)
    assert source is not None and options["cache_features"]
    frames = FrameStore.open(store_folder(engine.home) / STORE).frames("00.mp4")
    x_THWC = torch.tensor(np.asarray(frames)[[2, 4, 6]]).float()
    normal = model_entry("lrcn").normalisation(validate_options("lrcn", options))
    x_BTCHW = ((x_THWC - torch.tensor(normal.mean)) / torch.tensor(normal.std)).permute(0, 3, 1, 2)
    with torch.no_grad():
        logits_BK = model(x_BTCHW[None])
        f_BTD = backbones.frozen_backbone(source)(x_BTCHW)[None]
        weights = CheckpointFolder(engine.folder / "checkpoints" / final.trial).load_weights(
            final.best_checkpoint or ""
        )
        head = create_model("lrcn", len(CLASSES), **options).eval()
        head.load_state_dict(weights)
        torch.testing.assert_close(logits_BK, head(f_BTD))
