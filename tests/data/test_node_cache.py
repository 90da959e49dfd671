"""A node's copies of stores: built, read and removed, two nodes with folders of their own."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vidclass.data.depot import Depot
from vidclass.data.frame_store import FrameStore, StoreOptions, is_complete, write_store
from vidclass.data.node_cache import NodeCopy, here, limit_bytes
from vidclass.data.shards import Job, Source, decode_job, finished_rows
from vidclass.errors import UserError
from vidclass.home import store_folder

KEY = "0123456789abcdef0123"


@pytest.fixture
def share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for shared storage, as the depot."""
    folder = tmp_path / "share"
    monkeypatch.setenv("VIDCLASS_STORE", folder.as_uri())
    return folder


@pytest.fixture
def on_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: Path) -> Callable[[str], Path]:
    """``on_node("a")`` makes this process that node's, and returns its folder of the store."""

    def become(name: str) -> Path:
        monkeypatch.setenv("VIDCLASS_CACHE", str(tmp_path / name))
        return store_folder(tmp_path / "home") / KEY

    return become


@pytest.fixture
def videos(tmp_path: Path, write_video: Callable[..., Path]) -> list[Source]:
    paths = [write_video(tmp_path / f"{n}.mp4", num_frames=4, seed=n) for n in range(4)]
    return [Source(path.name, str(path)) for path in paths]


def build(folder: Path, videos: list[Source], shard_bytes: int = 1) -> pd.DataFrame:
    """Decode ``videos`` in ``folder``, a shard each, and complete the store."""
    options = StoreOptions()
    decode_job(Job(folder, videos, options, shard_bytes=shard_bytes))
    rows = finished_rows(folder).sort_values("video_id", ignore_index=True)
    index = rows[["video_id", "shard", "offset", "T", "H", "W", "fps", "num_bytes"]]
    index = index.astype({name: "int64" for name in ("offset", "T", "H", "W", "num_bytes")})
    write_store(folder, index, rows[["video_id"]], {"options": options.model_dump(mode="json")})
    return index


def shards_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.rgb"))


def test_another_node_reads_what_one_built(
    on_node: Callable[[str], Path], share: Path, videos: list[Source]
) -> None:
    first = on_node("a")
    build(first, videos)
    expected = {v.video_id: np.asarray(FrameStore.open(first).frames(v.video_id)) for v in videos}
    second = on_node("b")
    assert second != first and not second.exists()
    store = FrameStore.open(here(first))
    assert store.path == second
    assert shards_in(second) == []
    np.testing.assert_array_equal(store.frames("2.mp4"), expected["2.mp4"])
    assert len(shards_in(second)) == 1, "only what is read is copied"
    for name, frames in expected.items():
        np.testing.assert_array_equal(store.frames(name), frames)


def test_a_job_of_a_dead_node_is_not_decoded_again(
    on_node: Callable[[str], Path], videos: list[Source], tmp_path: Path
) -> None:
    job = Job(on_node("a"), videos[:2], StoreOptions(), shard_bytes=1)
    before = decode_job(job)
    for video in videos[:2]:
        Path(video.path).unlink()  # who would decode again would find nothing
    again = decode_job(Job(on_node("b"), videos[:2], StoreOptions(), shard_bytes=1))
    pd.testing.assert_frame_equal(again, before)


def test_a_store_that_is_half_built_goes_on_on_another_node(
    on_node: Callable[[str], Path], videos: list[Source]
) -> None:
    decode_job(Job(on_node("a"), videos[:2], StoreOptions(), shard_bytes=1))
    second = on_node("b")
    assert not is_complete(second)
    assert set(finished_rows(second)["video_id"]) == {"0.mp4", "1.mp4"}


def test_the_copies_least_recently_opened_go_first(
    on_node: Callable[[str], Path], videos: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build(on_node("a"), videos)
    size = int(index["num_bytes"].iloc[0])
    folder = on_node("b")
    monkeypatch.setenv("VIDCLASS_CACHE_GB", str(2.5 * size / 1e9))
    store = FrameStore.open(folder)
    first = np.asarray(store.frames("0.mp4")).copy()
    mapped = store.frames("0.mp4")
    for name in ("1.mp4", "2.mp4"):
        time.sleep(0.02)  # the order of use is told by the clock of the disk
        store.frames(name)
    shard = dict(zip(index["video_id"], index["shard"], strict=True))
    assert shards_in(folder) == sorted([shard["1.mp4"], shard["2.mp4"]])
    np.testing.assert_array_equal(mapped, first)
    np.testing.assert_array_equal(FrameStore.open(folder).frames("0.mp4"), first)
    assert shards_in(folder) == sorted([shard["0.mp4"], shard["2.mp4"]])


def test_one_download_a_node(
    on_node: Callable[[str], Path], share: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, kept = on_node("a"), Depot(share.as_uri())
    (tmp_path / "file").write_bytes(b"x" * 1000)
    kept.put(tmp_path / "file", f"{KEY}/part.f32")
    calls = []
    get = Depot.get

    def slow_get(self: Depot, name: str, local: Path) -> bool:
        calls.append(name)
        time.sleep(0.2)
        return get(self, name, local)

    monkeypatch.setattr(Depot, "get", slow_get)
    threads = [
        threading.Thread(target=NodeCopy(folder, kept).local, args=("part.f32",)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [f"{KEY}/part.f32"]


def test_a_file_that_the_depot_lost_is_named(
    on_node: Callable[[str], Path], share: Path, videos: list[Source]
) -> None:
    index = build(on_node("a"), videos)
    store = FrameStore.open(on_node("b"))
    lost = str(index["shard"].iloc[0])
    (share / KEY / lost).unlink()
    with pytest.raises(UserError, match="holds every file"):
        store.frames(str(index["video_id"].iloc[0]))
    with pytest.raises(UserError, match="absent"):
        FrameStore.open(on_node("b"))


@pytest.mark.parametrize("wrong", ["0", "-1", "much"])
def test_a_limit_that_is_none_is_told(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDCLASS_CACHE_GB", wrong)
    with pytest.raises(UserError, match="gigabytes"):
        limit_bytes(tmp_path)
