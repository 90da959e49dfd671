"""Features are computed once, whoever asks first, and read like the clips that they stand for."""

import pickle
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vidclass.data import feature_store
from vidclass.data.crops import CropOptions
from vidclass.data.feature_dataset import FeatureDataset, FeatureTransform
from vidclass.data.feature_store import (
    Encode,
    FeatureRecipe,
    FeatureStore,
    feature_key,
    prepare_features,
)
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.errors import UserError

RECIPE = FeatureRecipe(
    backbone="means",
    weights_hash="none",
    pooling="avg",
    num_features=3,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    input_size=16,
    geometry="crop",
)
SHAPES = [(7, 16, 16), (40, 16, 24), (3, 20, 16), (1, 16, 16)]


class Means:
    """A backbone that gives the mean colours, and counts the frames that it saw."""

    def __init__(self, fail_after: int | None = None) -> None:
        self.batches: list[int] = []
        self.fail_after = fail_after

    def __call__(self, frames_bSSC: torch.Tensor) -> torch.Tensor:
        if self.fail_after is not None and sum(self.batches) >= self.fail_after:
            raise KeyboardInterrupt
        self.batches.append(len(frames_bSSC))
        return frames_bSSC.float().mean(dim=(1, 2))

    def make(self) -> Encode:
        return self


@pytest.fixture
def frames(make_store) -> FrameStore:
    return make_store(SHAPES)


def table_of(store: FrameStore) -> pd.DataFrame:
    ids = store.index["video_id"]
    return pd.DataFrame({"video_id": ids, "label_id": np.arange(len(ids)) % 2, "group": ids})


def test_features_are_those_of_the_middle_of_each_frame(frames: FrameStore, tmp_path: Path) -> None:
    encode = Means()
    store, built = prepare_features(frames, tmp_path, RECIPE, encode.make)
    assert built.num_frames == sum(shape[0] for shape in SHAPES) == sum(encode.batches)
    clips = ClipDataset(
        frames,
        table_of(frames),
        window=Window(1.0, 1),
        positions=FramePositions((0,)),
        input_size=16,
    )
    for row, (video_id, shape) in enumerate(zip(frames.index["video_id"], SHAPES, strict=True)):
        features = store.features(video_id)
        assert features.shape == (shape[0], 3) and not features.flags.writeable
        middle = clips.frame_numbers(np.array([row]), epoch=0, train=False)[0, 0]
        shown = clips.read(np.array([row]), epoch=0, train=False)[0, 0]
        torch.testing.assert_close(torch.tensor(features[middle]), shown.float().mean(dim=(0, 1)))


def test_batches_are_full_over_the_bounds_of_videos(frames: FrameStore, tmp_path: Path) -> None:
    encode = Means()
    prepare_features(frames, tmp_path, RECIPE, encode.make)
    assert encode.batches == [32, 19]


def test_nothing_is_computed_twice(frames: FrameStore, tmp_path: Path) -> None:
    first, _ = prepare_features(frames, tmp_path, RECIPE, Means().make)
    again = Means()
    store, built = prepare_features(frames, tmp_path, RECIPE, again.make)
    assert store.path == first.path and not again.batches
    assert (built.num_frames, built.seconds) == (0, 0.0)


def test_an_interrupted_build_goes_on(
    frames: FrameStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_store, "PART_FRAMES", 5)
    whole, _ = prepare_features(frames, tmp_path / "whole", RECIPE, Means().make)
    with pytest.raises(KeyboardInterrupt):
        prepare_features(frames, tmp_path, RECIPE, Means(fail_after=8).make)
    folder = tmp_path / feature_key(frames.path.name, RECIPE)
    parts = {path.name for path in folder.glob("*.f32")}
    assert parts and not (folder / "features.json").exists()
    with pytest.raises(UserError, match="features.json, written when it is complete"):
        FeatureStore.open(folder)
    encode = Means()
    store, built = prepare_features(frames, tmp_path, RECIPE, encode.make)
    assert 0 < built.num_frames == sum(encode.batches) < sum(shape[0] for shape in SHAPES)
    assert not list(folder.glob(".*.aside"))
    for video_id in frames.index["video_id"]:
        np.testing.assert_array_equal(store.features(video_id), whole.features(video_id))


def test_a_torn_part_is_named(frames: FrameStore, tmp_path: Path) -> None:
    store, _ = prepare_features(frames, tmp_path, RECIPE, Means().make)
    part = next(store.path.glob("*.f32"))
    part.write_bytes(part.read_bytes()[:-4])
    with pytest.raises(UserError, match=part.name):
        FeatureStore.open(store.path)


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": "other"},
        {"weights_hash": "a" * 64},
        {"pooling": "max"},
        {"mean": (1.0, 0.0, 0.0)},
        {"std": (2.0, 1.0, 1.0)},
        {"input_size": 8},
        {"geometry": "pad"},
        {"scale": 1.1},
        {"corner": "top_left"},
    ],
)
def test_key_follows_all_that_shapes_the_numbers(change: dict[str, object]) -> None:
    assert feature_key("frames", RECIPE) == feature_key("frames", replace(RECIPE))
    assert feature_key("frames", RECIPE) != feature_key("other", RECIPE)
    assert feature_key("frames", RECIPE) != feature_key("frames", replace(RECIPE, **change))


def test_one_computes_and_the_others_wait(frames: FrameStore, tmp_path: Path) -> None:
    encode, built = Means(), []

    def ask() -> None:
        built.append(prepare_features(frames, tmp_path, RECIPE, encode.make)[1])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(encode.batches) == sum(shape[0] for shape in SHAPES)
    assert sorted(one.num_frames for one in built) == [0, 0, 0, 51]


def test_progress_is_told(frames: FrameStore, tmp_path: Path) -> None:
    lines: list[str] = []
    prepare_features(frames, tmp_path, RECIPE, Means().make, lines.append)
    assert lines and "51 of 51 frames" in lines[-1]


def datasets(frames: FrameStore, folder: Path, **settings: object):
    store, _ = prepare_features(frames, folder, RECIPE, Means().make)
    settings = {
        "window": Window(1.0, 6),
        "positions": FramePositions((0, 2, 5)),
        "input_size": 16,
        **settings,
    }
    table = table_of(frames)
    return FeatureDataset(frames, store, table, **settings), ClipDataset(frames, table, **settings)


@pytest.mark.parametrize("order", ["kept", "shuffled", "reversed", "frozen"])
@pytest.mark.parametrize("train", [True, False])
def test_clips_of_features_show_the_frames_of_clips(
    make_store, tmp_path: Path, order: str, train: bool
) -> None:
    frames = make_store([(20, 16, 16)] * 4)  # of the input's size: crops leave no choice
    features, clips = datasets(frames, tmp_path, order=order, seed=3, views=2)
    chosen = np.arange(clips.num_clips(train))
    f_BTD = features.read(chosen, epoch=2, train=train)
    x_BTHWC = clips.read(chosen, epoch=2, train=train)
    assert f_BTD.dtype == torch.float32
    torch.testing.assert_close(f_BTD, x_BTHWC.float().mean(dim=(2, 3)))
    copied = pickle.loads(pickle.dumps(features))
    torch.testing.assert_close(copied.read(chosen, epoch=2, train=train), f_BTD)


def test_one_cut_is_scored_of_each_window(frames: FrameStore, tmp_path: Path) -> None:
    features, clips = datasets(frames, tmp_path, crop=CropOptions(test="five"))
    assert (features.views, clips.views) == (1, 5)


def test_a_background_has_no_features(frames: FrameStore, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cache_features: false"):
        datasets(frames, tmp_path, order="background")


def test_a_video_without_features_is_named(frames: FrameStore, tmp_path: Path) -> None:
    store, _ = prepare_features(frames, tmp_path, RECIPE, Means().make)
    with pytest.raises(UserError, match="absent.mp4 has none"):
        store.features("absent.mp4")


def test_features_pass_unchanged() -> None:
    f_BTD, y_B = torch.randn(2, 3, 4), torch.tensor([0, 1])
    transform = FeatureTransform()
    assert transform(f_BTD, train=True) is f_BTD and transform(f_BTD, train=False) is f_BTD
    assert transform.training(f_BTD, y_B, torch.Generator()) == (f_BTD, y_B)
