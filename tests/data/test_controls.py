"""Leak controls: the scene without what moves, labels dealt anew."""

import numpy as np
import pandas as pd
import pytest

from vidclass.data.controls import (
    background_frames,
    median_background,
    permuted_labels,
    static_share,
    static_share_of,
)
from vidclass.data.memory_store import MemoryStore


def scene(moving: bool, num_frames: int = 30):
    """A noisy scene with a bright square that passes; ``moving`` shifts all of it (a camera)."""
    generator = np.random.default_rng(0)
    still = generator.integers(0, 200, (24, 32, 3))
    video = np.repeat(still[None], num_frames, axis=0)
    for t in range(num_frames):
        if moving:
            video[t] = np.roll(video[t], 2 * t, axis=1)
        video[t, 8:14, t : t + 4] = 255
    noise = generator.integers(-2, 3, video.shape)
    return np.clip(video + noise, 0, 255).astype(np.uint8), still


def test_the_background_has_no_trace_of_what_passes():
    video, still = scene(moving=False)
    assert np.abs(median_background(video).astype(int) - still).max() <= 3


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [(0, 0, [0]), (5, 8, [5, 6, 7, 8]), (0, 48, list(range(0, 49, 2)))],
)
def test_a_background_is_made_of_frames_spread_over_the_footage(first, last, expected):
    assert background_frames(first, last).tolist() == expected


def test_cameras_are_looked_at_in_some_of_the_videos(make_store):
    store = make_store([(20, 16, 16)] * 40)
    assert static_share_of(store, [f"v{n}" for n in range(40)]) < 0.05
    still = MemoryStore({"a": (scene(moving=False)[0], 10.0)})
    assert static_share_of(still, ["a"]) > 0.99


def test_a_single_frame_is_its_own_background():
    video, _ = scene(moving=False, num_frames=1)
    np.testing.assert_array_equal(median_background(video), video[0])


def test_a_camera_that_stands_is_told_from_one_that_moves():
    assert static_share(scene(moving=False)[0]) > 0.99
    assert static_share(scene(moving=True)[0]) < 0.2


def test_groups_of_one_class_are_dealt_whole():
    videos = pd.DataFrame({"group": np.repeat([f"g{n:02d}" for n in range(40)], 5)})
    videos["label"] = np.where(videos["group"].str[1:].astype(int) % 2, "a", "b")
    new = permuted_labels(videos, seed=1)
    assert (new.groupby(videos["group"]).nunique() == 1).all()
    assert sorted(new) == sorted(videos["label"])
    assert 0.2 < (new == videos["label"]).mean() < 0.8


def test_groups_of_several_classes_keep_their_labels_among_themselves():
    videos = pd.DataFrame({"group": np.repeat([f"g{n:02d}" for n in range(50)], 6)})
    videos["label"] = list("abcdef") * 50
    videos = videos.sample(frac=1, random_state=0)
    new = permuted_labels(videos, seed=1)
    assert (new.groupby(videos["group"]).agg(lambda x: "".join(sorted(x))) == "abcdef").all()
    assert (new == videos["label"]).mean() == pytest.approx(1 / 6, abs=0.08)
    assert new.equals(permuted_labels(videos, seed=1))
    assert not new.equals(permuted_labels(videos, seed=2))


def test_rows_in_another_order_get_the_same_labels_group_by_group():
    videos = pd.DataFrame({"group": list("uuvvww"), "label": list("aabbcc")})
    turned = videos[::-1]
    assert permuted_labels(videos, 3).sort_index().equals(permuted_labels(turned, 3).sort_index())
