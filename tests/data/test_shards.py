"""Jobs that write shards, and what is left when one dies."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from vidclass.data import shards
from vidclass.data.as_stored import read_as_stored
from vidclass.data.decode import DecodeError, FrameChoice, decode
from vidclass.data.frame_store import INDEX_COLUMNS, FrameStore, StoreOptions, write_store
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


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"greyscale": True}, "grey"),
        ({"format": "jpeg"}, "jpeg"),
        ({"format": "jpeg", "quality": 70, "greyscale": True}, "jpeg"),
        ({"lighting": "mean_std", "stride": 2}, "rgb"),
        ({"masks": [{"left": 0, "top": 0, "right": 0.5, "bottom": 0.5}], "format": "jpeg"}, "jpeg"),
    ],
)
@pytest.mark.parametrize("shard_bytes", [2**28, 4_000])
def test_a_store_gives_what_reading_the_file_as_stored_gives(
    folder, videos, options, kind, shard_bytes
):
    chosen = StoreOptions.model_validate(options)
    rows = decode_job(job_of(folder, videos, chosen, shard_bytes=shard_bytes))
    assert rows["status"].tolist() == ["ok", "ok", "quarantined", "ok", "ok"]
    index = rows.loc[rows["shard"].notna(), list(INDEX_COLUMNS)]
    assert {shard.rsplit(".")[-1] for shard in index["shard"]} == {kind}
    write_store(folder, index, rows, {"options": chosen.model_dump(mode="json")})
    store = FrameStore.open(folder)
    for n in (0, 1, 3, 4):
        expected, fps = read_as_stored(videos[n], chosen)
        np.testing.assert_array_equal(store.frames(f"{n}.mp4")[:], expected)
        assert store.rows([f"{n}.mp4"])["fps"][0] == fps
    assert finished_rows(folder)["num_bytes"].sum() == sum(
        path.stat().st_size for path in folder.glob(f"*.{kind}")
    )


def test_a_long_job_is_brought_to_the_disk_while_it_decodes(folder, videos, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(shards, "FLUSH_BYTES", 10_000)
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(handle) or fsync(handle))
    rows = decode_job(job_of(folder, videos))
    assert len(synced) > 2  # shard and rows at the end, and before
    np.testing.assert_array_equal(stored(folder, rows.iloc[4]), decode(videos[4])[0])


def test_parts_of_one_file_are_videos_of_their_own(folder, tmp_path, write_video):
    path = str(write_video(tmp_path / "long.mp4", num_frames=30))
    parts = [("early", None, 1.0), ("late", 1.0, 2.5), ("gone", 5.0, 6.0)]
    videos = [Source(name, path, start_s, end_s) for name, start_s, end_s in parts]
    rows = decode_job(Job(folder, videos, StoreOptions())).set_index("video_id")
    frames = decode(path)[0]
    np.testing.assert_array_equal(stored(folder, rows.loc["early"]), frames[:10])
    np.testing.assert_array_equal(stored(folder, rows.loc["late"]), frames[10:25])
    assert rows.loc["late", ["file_num_frames", "file_duration_s"]].tolist() == [15, 1.5]
    assert "lies behind the last frame" in rows.loc["gone", "reason"]


def test_a_mask_that_has_no_room_in_a_file_quarantines_it(folder, videos):
    mask = {"left": 40, "top": 0, "right": 50, "bottom": 9, "unit": "pixels"}
    rows = decode_job(job_of(folder, videos, StoreOptions.model_validate({"masks": [mask]})))
    assert "outside the frames of this file, which are 32 x 32" in rows["reason"][0]


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


def test_a_decoder_that_dies_even_apart_quarantines_only_its_file(folder, videos):
    """The end of a file that kills every process which reads it, as the next job finds it."""
    job = job_of(folder, videos)
    (folder / f"{job.name}.current").write_text(json.dumps("1.mp4"))
    rows = []
    worker = threading.Thread(target=lambda: rows.append(decode_job(job)))
    worker.start()
    deadline = time.monotonic() + 60
    while not (apart := [p for p in psutil.Process().children() if "isolated" in str(p.cmdline())]):
        assert time.monotonic() < deadline and worker.is_alive()
        time.sleep(0.01)
    apart[0].send_signal(signal.SIGSEGV)
    worker.join(60)
    table = rows[0].set_index("video_id")
    assert table["status"].to_dict() == {
        "0.mp4": "ok",
        "1.mp4": "quarantined",
        "2.mp4": "quarantined",
        "3.mp4": "ok",
        "4.mp4": "ok",
    }
    assert table.loc["1.mp4", "reason"] == "the decoder crashed (SIGSEGV)"
    assert not list(folder.glob("*.isolated"))


def test_any_name_may_be_a_suspect(folder, tmp_path, write_video):
    name = "two\nlines Größe .mp4 "
    path = str(write_video(tmp_path / "a.mp4").rename(tmp_path / name))
    job = Job(folder, [Source(name, path)], StoreOptions())
    (folder / f"{job.name}.current").write_text(json.dumps(name))
    rows = decode_job(job)
    assert rows[["video_id", "status", "reader"]].values.tolist() == [[name, "ok", "pyav, apart"]]


def test_files_that_vanish_or_may_not_be_read_are_quarantined_with_their_reason(folder, videos):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody who may not read a file")
    decode(videos[0])  # imports what is imported when it is first used
    os.remove(videos[0])
    os.chmod(videos[1], 0)
    for path in (*folder.parents[:2], folder):
        path.chmod(0o777)
    parents = [path for path in folder.parents if path.stat().st_mode & 0o001 == 0]
    for path in parents:
        path.chmod(path.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        rows = decode_job(job_of(folder, videos))
    finally:
        os.seteuid(0)
    assert rows["status"].tolist() == ["quarantined"] * 3 + ["ok"] * 2
    assert "No such file" in rows["reason"][0] and "Permission denied" in rows["reason"][1]


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
