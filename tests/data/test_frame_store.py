"""The store's key, its files and its views."""

import pickle

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from vidclass.data.frame_store import FrameStore, StoreOptions, store_key
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
