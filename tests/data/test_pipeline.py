"""The store built by Ray Data: what is stored, what is decoded again, what is told."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vidclass.data.decode import decode
from vidclass.data.frame_store import StoreOptions, store_key
from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.pipeline import prepare
from vidclass.data.readers import read_dataset
from vidclass.data.shards import Job, decode_job
from vidclass.data.store_size import sources, store_bytes
from vidclass.errors import UserError

HALF = StoreOptions(short_side=16)


@pytest.fixture
def folder(tmp_path, write_video, write_audio):
    """Two classes of ten videos, and a file of each kind that cannot be decoded."""
    root = tmp_path / "videos"
    for n in range(20):
        write_video(root / "ab"[n % 2] / f"{n:02d}.mp4", 5 + n % 3, (32, 40), seed=n)
    (root / "a" / "zero.mp4").write_bytes(b"")
    (root / "a" / "text.mp4").write_text("text")
    write_audio(root / "b" / "sound.mp4")
    whole = (root / "a" / "00.mp4").read_bytes()
    (root / "b" / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return root


def test_everything_is_stored_once(folder, home, small_ray):
    dataset = read_dataset(str(folder), home=home)
    seen = []
    first = prepare(dataset, HALF, home, seen.append)
    assert first.decoded == 24 and len(first.store) == 20
    bad = first.manifest[first.manifest["status"] == "quarantined"].set_index("video_id")["reason"]
    assert set(bad.index) == {"a/zero.mp4", "a/text.mp4", "b/sound.mp4", "b/cut.mp4"}
    assert "empty" in bad["a/zero.mp4"] and "audio only" in bad["b/sound.mp4"]
    assert "not a video" in bad["a/text.mp4"] and "truncated" in bad["b/cut.mp4"]
    for row in first.manifest[first.manifest["status"] == "ok"].itertuples():
        np.testing.assert_array_equal(first.store.frames(row.video_id), decode(row.path, 16)[0])
        assert (row.width, row.height, row.fps) == (40, 32, 10)
    done = [p.done for p in seen if p.stage == "decode"]
    assert done == sorted(done) and done[-1] == 24 and seen[-1].seconds_left == 0

    again = prepare(read_dataset(str(folder), home=home), HALF, home, seen.append)
    assert again.decoded == 0 and "decode" not in again.seconds
    assert again.manifest.equals(first.manifest)


def test_parts_folders_of_images_and_readers(tmp_path, home, write_video, small_ray):
    long = write_video(tmp_path / "long.mp4", num_frames=30, size=(32, 40))
    # Rows of 48 pixels are padded by FFmpeg in a way that decord reads as a fourth channel.
    padded = write_video(tmp_path / "padded.mp4", num_frames=4, size=(32, 96))
    images = tmp_path / "images"
    images.mkdir()
    for k in range(3):
        Image.fromarray(np.full((16, 24, 3), 50 * k, np.uint8)).save(images / f"{k}.png")
    rows = [
        ("a", long, 0.0, 1.0),
        ("b", long, 1.0, 2.0),
        ("c", padded, np.nan, np.nan),
        ("d", images, np.nan, np.nan),
        ("e", long, 9.0, 10.0),
    ]
    table = pd.DataFrame(rows, columns=["video_id", "path", "start_s", "end_s"])
    table = table.assign(path=table["path"].map(str), label="x", group=table["video_id"])
    dataset = Dataset(tmp_path, new_manifest(table), True)
    prepared = prepare(dataset, HALF, home)
    assert prepared.readers == {"decord": 2, "pyav": 1, "images": 1}
    frames = decode(long, short_side=16)[0]
    np.testing.assert_array_equal(prepared.store.frames("b"), frames[10:20])
    assert prepared.store.frames("d")[:, 0, 0, 0].tolist() == [0, 50, 100]
    assert prepared.manifest["num_frames"].tolist()[:4] == [10, 10, 4, 3]
    assert "lies behind the last frame" in prepared.manifest["reason"][4]
    assert prepared.store.about["readers"] == prepared.readers
    stored = pd.read_parquet(prepared.store.path / "manifest.parquet")
    assert stored["reader"].tolist()[:4] == ["decord", "decord", "pyav", "images"]
    again = prepare(dataset, HALF, home)
    assert again.decoded == 0 and again.readers == prepared.readers


def test_a_torn_shard_is_decoded_again_and_the_rest_is_kept(folder, home, small_ray):
    dataset = read_dataset(str(folder), home=home)
    first = prepare(dataset, HALF, home)
    shard = next(first.store.path.glob("*.rgb"))
    held = (first.store.index["shard"] == shard.name).sum()
    shard.write_bytes(b"torn")
    with pytest.raises(UserError, match=shard.name):
        prepare(dataset, HALF, home)
    (first.store.path / "store.json").unlink()
    second = prepare(dataset, HALF, home)
    assert held <= second.decoded < 20
    for video_id in first.store.index["video_id"]:
        assert second.store.frames(video_id).shape == (
            *first.store.index.set_index("video_id").loc[video_id, ["T", "H", "W"]],
            3,
        )


def test_no_room_is_told_before_anything_is_decoded(folder, home, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 1000))
    with pytest.raises(UserError, match="has room for the frame store.*format: jpeg"):
        prepare(read_dataset(str(folder), home=home), HALF, home)


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [({}, 0.05), ({"greyscale": True}, 0.05), ({"format": "jpeg"}, 0.2)],
)
def test_the_estimate_is_near_the_truth(shared_data, home, tmp_path, options, tolerance):
    dataset = read_dataset(str(shared_data / "ut_interaction"), home=home)
    manifest = dataset.manifest[::12].reset_index(drop=True)
    manifest["size_bytes"] = [float(os.path.getsize(path)) for path in manifest["path"]]
    chosen = StoreOptions.model_validate({"short_side": 32, "fps": 5, **options})
    rows = decode_job(Job(tmp_path, sources(manifest), chosen))
    estimate = store_bytes(manifest, chosen)
    assert estimate == pytest.approx(rows["num_bytes"].sum(), rel=tolerance)


SCRIPT = """
import shutil, sys, tempfile
from pathlib import Path
import ray
from vidclass.data.frame_store import StoreOptions
from vidclass.data.pipeline import prepare
from vidclass.data.readers import read_dataset
if __name__ == "__main__":
    home, root, folder = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
             object_store_memory=100_000_000, _temp_dir=folder)
    def show(progress):
        print(progress.stage, progress.done, flush=True)
    prepare(read_dataset(root, home=home), StoreOptions(), home, show)
"""


@pytest.mark.ray
def test_a_killed_build_goes_on_where_it_was(tmp_path, home, write_video, small_ray):
    root = tmp_path / "videos"
    for n in range(24):
        write_video(root / "ab"[n % 2] / f"{n:02d}.mp4", 100, (160, 160), seed=n)
    script = tmp_path / "build.py"
    script.write_text(SCRIPT)
    ray_folder = f"/tmp/rt-{os.getpid()}"
    child = subprocess.Popen(
        [sys.executable, str(script), str(home), str(root), ray_folder],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            stage, done = line.split()
            if stage == "decode" and int(done) >= 6:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        time.sleep(1)
        dataset = read_dataset(str(root), home=home)
        prepared = prepare(dataset, StoreOptions(), home)
    finally:
        child.kill()
        child.stdout.close()
        shutil.rmtree(ray_folder, ignore_errors=True)
    assert 0 < prepared.decoded <= 18 and len(prepared.store) == 24
    assert prepared.store.path.name == store_key(prepared.manifest, StoreOptions())
    frames = decode(dataset.manifest["path"][3])[0]
    np.testing.assert_array_equal(prepared.store.frames(dataset.manifest["video_id"][3]), frames)


KILLER = """
import sys, threading, time
from pathlib import Path
import psutil, ray
import vidclass
from vidclass.data.frame_store import StoreOptions
from vidclass.data.pipeline import prepare
from vidclass.data.readers import read_dataset

def kill_the_reader_of(name, store):
    while True:
        for current in store.glob("*/*.current"):
            try:
                if name in current.read_text():
                    for process in psutil.Process().children(recursive=True):
                        if str(current) in [file.path for file in process.open_files()]:
                            process.kill()
                            return
            except (OSError, psutil.Error):
                pass
        time.sleep(0.005)

if __name__ == "__main__":
    home, root, folder = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False,
             object_store_memory=100_000_000, _temp_dir=folder)
    threading.Thread(target=kill_the_reader_of, args=("large", home / "store"), daemon=True).start()
    prepared = prepare(read_dataset(root, home=home), StoreOptions(), home)
    time.sleep(2)  # Ray tells of deaths from a thread
    print(len(prepared.store), prepared.readers)
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_decoder_that_is_killed_costs_only_its_file_and_is_no_news_of_ray(
    tmp_path, home, write_video
):
    root = tmp_path / "videos"
    for n in range(6):
        write_video(root / "ab"[n % 2] / f"{n}.mp4", seed=n)
    write_video(root / "a" / "large.mp4", 900, (320, 320))
    script = tmp_path / "build.py"
    script.write_text(KILLER)
    ray_folder = tempfile.mkdtemp(prefix="vc-k-", dir="/tmp")
    try:
        done = subprocess.run(
            [sys.executable, str(script), str(home), str(root), ray_folder],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    finally:
        shutil.rmtree(ray_folder, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "7 {'decord': 6, 'pyav, apart': 1}\n"
