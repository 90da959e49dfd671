"""Jobs that write shards, and what is left when one dies."""

import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vidclass.data import shards
from vidclass.data.decode import DecodeError, FrameChoice, decode
from vidclass.data.frame_store import StoreOptions
from vidclass.data.isolated import decode_isolated
from vidclass.data.shards import (
    NO_SPACE,
    Job,
    Source,
    decode_job,
    finished_rows,
    remove_leftovers,
)
from vidclass.data.suspects import collect_suspects


@pytest.fixture
def folder(tmp_path):
    """The store's folder."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def videos(tmp_path, write_video):
    """Five videos, the third of which is text."""
    paths = [write_video(tmp_path / f"{n}.mp4", num_frames=3 + n, seed=n) for n in range(5)]
    paths[2].write_text("renamed text")
    return [str(path) for path in paths]


def job_of(folder, videos, options=None, **job):
    sources = [Source(os.path.basename(path), path) for path in videos]
    return Job(folder, sources, options or StoreOptions(), **job)


def stored(folder, row):
    frames = np.fromfile(folder / row["shard"], dtype=np.uint8, offset=int(row["offset"]))
    shape = [int(row[name]) for name in "THW"]
    return frames[: np.prod(shape) * 3].reshape(*shape, 3)


@pytest.mark.parametrize(("shard_bytes", "num_shards"), [(2**28, 1), (10_000, 3)])
def test_shards_hold_what_the_decoder_gives(folder, videos, shard_bytes, num_shards):
    rows = decode_job(job_of(folder, videos, shard_bytes=shard_bytes))
    assert len(list(folder.glob("*.rgb"))) == num_shards
    assert rows["status"].tolist() == ["ok", "ok", "quarantined", "ok", "ok"]
    assert "not a video" in rows["reason"][2]
    for n in (0, 1, 3, 4):
        np.testing.assert_array_equal(stored(folder, rows.iloc[n]), decode(videos[n])[0])
    assert finished_rows(folder).sort_values("video_id", ignore_index=True).equals(rows)
    assert not list(folder.glob("*.current"))


def test_torn_shards_are_not_finished(folder, videos):
    decode_job(job_of(folder, videos, shard_bytes=10_000))
    shard = sorted(folder.glob("*000.rgb"))[0]
    shard.write_bytes(shard.read_bytes()[:-5])
    assert set(finished_rows(folder)["video_id"]) < {os.path.basename(path) for path in videos}


def test_leftovers_of_a_crash_are_removed(folder, videos):
    rows = decode_job(job_of(folder, videos))
    for name in (".shard-x.rgb.abc.aside", "shard-orphan-000.rgb", "x.current", "x.suspects"):
        (folder / name).write_text("left")
    remove_leftovers(folder, rows["shard"].dropna().tolist())
    assert sorted(path.suffix for path in folder.iterdir()) == [".parquet", ".rgb"]


def start_job(folder, videos, **options):
    """Run the job in a process of its own."""
    code = (
        "import sys; from pathlib import Path\n"
        "from vidclass.data.frame_store import StoreOptions\n"
        "from vidclass.data.shards import Job, Source, decode_job\n"
        f"videos = [Source(path.rsplit('/', 1)[-1], path) for path in {videos!r}]\n"
        f"decode_job(Job(Path({str(folder)!r}), videos, StoreOptions(), **{options!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", code])


def test_a_video_whose_process_died_is_decoded_apart(folder, tmp_path, write_video):
    small = write_video(tmp_path / "small.mp4")
    large = write_video(tmp_path / "large.mp4", num_frames=500, size=(320, 320))
    videos = [str(small), str(large)]
    child = start_job(folder, videos)
    current = folder / f"{job_of(folder, videos).name}.current"
    deadline = time.monotonic() + 60
    while not (current.exists() and current.read_text().startswith('"large')):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(finished_rows(folder)) == 0
    rows = decode_job(job_of(folder, videos))
    assert rows["status"].tolist() == ["ok", "ok"] and rows["T"].tolist() == [12, 500]
    np.testing.assert_array_equal(stored(folder, rows.iloc[1])[::100], decode(large)[0][::100])
    assert collect_suspects(folder) == 1


def test_a_stalled_decoder_ends_its_process_and_its_video_is_known(folder, tmp_path, write_video):
    large = write_video(tmp_path / "large.mp4", num_frames=500, size=(320, 320))
    child = start_job(folder, [str(large)], stall_s=0.02)
    assert child.wait(60) == 70
    assert collect_suspects(folder) == 1
    rows = decode_job(job_of(folder, [str(large)]))
    assert rows["status"].tolist() == ["ok"] and rows["T"].tolist() == [500]


def test_a_video_that_stalls_apart_too_is_named(tmp_path, write_video):
    video = write_video(tmp_path / "a.mp4")
    with pytest.raises(DecodeError, match="took longer than"):
        decode_isolated(video, FrameChoice(), tmp_path / "out", timeout_s=0.01)


def test_reasons_come_back_from_the_process_apart(tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    with pytest.raises(DecodeError, match="not a video"):
        decode_isolated(tmp_path / "a.mp4", FrameChoice(), tmp_path / "out", timeout_s=60)


def test_a_full_disk_is_told_and_leaves_nothing(folder, videos, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shards._ShardWriter, "_store", full)
    rows = decode_job(job_of(folder, videos))
    assert rows["status"].tolist() == [NO_SPACE] and "No space left" in rows["reason"][0]
    assert not list(folder.glob("*.rgb")) and not list(folder.glob(".*.aside"))
