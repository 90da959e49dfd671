"""``kill -9`` between two stores of a study: what is whole is kept, the rest is built."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.conftest import Home
from vidclass.data.frame_store import FrameStore
from vidclass.home import store_folder

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]

STUDY = ("smoke", "--set", "arms.0.fixed={width: 0.125, data.store.greyscale: true}")
"""The smoke study, with an arm that has a store of its own."""


def shards_of_whole_stores(home: Home) -> dict[str, int]:
    """Return the shards of complete stores, each with the time of its last change."""
    folders = [path.parent for path in store_folder(home.path).glob("*/store.json")]
    return {
        str(shard): shard.stat().st_mtime_ns
        for folder in folders
        for shard in [*folder.glob("*.rgb"), *folder.glob("*.grey")]
    }


def test_a_kill_between_two_stores_decodes_no_video_twice(
    new_home: Callable[..., Home], made_data: Path
) -> None:
    home = new_home(made_data, ("datasets",))
    driver = home.start(*STUDY)
    home.wait("the first of two stores", lambda: shards_of_whole_stores(home), driver)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    first = shards_of_whole_stores(home)
    assert not home.events(event="data_ready")

    again = home.start(*STUDY)
    home.wait("all stores", lambda: home.events(event="data_ready"), again)
    os.kill(again.pid, signal.SIGKILL)
    again.wait()
    (ready,) = home.events(event="data_ready")
    stores = [FrameStore.open(store_folder(home.path) / key) for key in ready["stores"]]
    num_videos = ready["num_videos"]
    assert [len(store) for store in stores] == [num_videos, num_videos]
    assert 0 < ready["decoded"] <= num_videos
    assert first.items() <= shards_of_whole_stores(home).items()
