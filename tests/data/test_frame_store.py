"""The store's key, its files and its views."""

import pickle

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from vidclass.data.frame_store import (
    INDEX_COLUMNS,
    FrameStore,
    StoreOptions,
    store_key,
    write_store,
)
from vidclass.errors import UserError

MANIFEST = pd.DataFrame({"video_id": ["a", "b"], "content_hash": ["1", "2"]})


def test_key_depends_on_content_and_options_not_on_the_order_of_rows():
    options = StoreOptions(short_side=64)
    key = store_key(MANIFEST, options)
    assert key == store_key(MANIFEST[::-1], options)
    others = [
        store_key(MANIFEST.assign(content_hash=["1", "3"]), options),
        store_key(MANIFEST, StoreOptions(short_side=65)),
        store_key(MANIFEST, StoreOptions(short_side=64, fps=10)),
        store_key(MANIFEST[:1], options),
    ]
    assert len({key, *others}) == 5


def test_stores_of_the_first_version_keep_their_keys():
    assert store_key(MANIFEST, StoreOptions(short_side=64)) == "6e8a660202096e8f0345"
    assert store_key(MANIFEST, StoreOptions()) == "20bd44196cc27751dcfa"


def test_the_part_of_the_file_belongs_to_the_key():
    parts = [
        MANIFEST,
        MANIFEST.assign(start_s=[1.0, np.nan]),
        MANIFEST.assign(start_s=[2.0, np.nan]),
        MANIFEST.assign(start_s=[1.0, np.nan], end_s=[4.0, np.nan]),
    ]
    assert len({store_key(manifest, StoreOptions()) for manifest in parts}) == 4
    whole = MANIFEST.assign(start_s=np.nan, end_s=np.nan)
    assert store_key(whole, StoreOptions()) == store_key(MANIFEST, StoreOptions())


@pytest.mark.parametrize(
    "wrong", [{"fps": 5, "stride": 2}, {"short_side": 2}, {"fps": 0}, {"unknown": 1}]
)
def test_options_refuse_what_makes_no_sense(wrong):
    with pytest.raises((ValidationError, UserError)):
        StoreOptions(**wrong)


def test_frames_are_read_only_views_of_each_videos_own_size(make_store):
    store = make_store([(3, 8, 16), (5, 10, 12)])
    assert [store.frames(video_id).shape for video_id in ("v0", "v1")] == [
        (3, 8, 16, 3),
        (5, 10, 12, 3),
    ]
    assert not store.frames("v1").flags.writeable and not store.frames("v1").flags.owndata


def test_a_grey_store_gives_its_channel_three_times(tmp_path):
    grey = np.arange(2 * 8 * 16, dtype=np.uint8).reshape(2, 8, 16, 1)
    (tmp_path / "a.grey").write_bytes(grey.tobytes())
    row = ("v0", "a.grey", 0, 2, 8, 16, 10.0, grey.nbytes)
    index = pd.DataFrame([row], columns=list(INDEX_COLUMNS))
    write_store(tmp_path, index, index, {"options": {"greyscale": True}})
    frames, expected = FrameStore.open(tmp_path).frames("v0"), grey.repeat(3, axis=3)
    np.testing.assert_array_equal(frames, expected)
    assert (frames.shape, len(frames)) == (expected.shape, 2)
    for key in (slice(1, 2), np.array([1, 1, 0]), (slice(None), slice(2, 5), slice(3, 9)), 0):
        np.testing.assert_array_equal(frames[key], expected[key])


def test_a_pickled_store_opens_again_by_its_path(make_store):
    store = make_store([(3, 8, 16)])
    data = pickle.dumps(store)
    assert len(data) < 500
    np.testing.assert_array_equal(pickle.loads(data).frames("v0"), store.frames("v0"))


def test_a_torn_shard_is_told_at_opening(make_store):
    store = make_store([(3, 8, 16)])
    shard = store.path / "a.rgb"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a\.rgb: 1151 bytes, expected 1152"):
        FrameStore.open(store.path)


def test_an_unfinished_store_is_told(tmp_path):
    with pytest.raises(UserError, match=r"store\.json"):
        FrameStore.open(tmp_path)


def test_an_unknown_video_is_named(make_store):
    with pytest.raises(UserError, match="v7"):
        make_store([(3, 8, 16)]).frames("v7")
