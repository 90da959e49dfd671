"""Decoding against PyAV, and a named reason for every file that cannot be decoded."""

import errno
import os
from pathlib import Path

import av
import numpy as np
import pytest

from vidclass.data.decode import DecodeError, FrameChoice, decode, decode_video, probe


def reference(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def test_packed_b_frames_add_no_frames(shared_data):
    path = shared_data / "ut_interaction" / "handshake" / "set1_seq01_04.avi"
    frames, _ = decode(path, short_side=64)
    assert len(frames) == 183  # decord counts 185 and shows the last frame three times


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv", ".ts", ".mov"])
def test_containers(tmp_path, write_video, suffix):
    path = write_video(tmp_path / f"clip{suffix}", num_frames=12, size=(32, 48))
    frames, fps = decode(path)
    assert frames.shape == (12, 32, 48, 3) and fps == pytest.approx(10)
    assert np.abs(frames.astype(int) - reference(path)).mean() < 0.01


def test_a_video_of_one_frame_is_a_video(tmp_path, write_video):
    frames, _ = decode(write_video(tmp_path / "one.mp4", num_frames=1))
    assert frames.shape == (1, 32, 32, 3) and probe(tmp_path / "one.mp4").num_frames == 1


def test_both_readers_scale_down_alike(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", size=(96, 128))
    results = []
    for only_pyav in (False, True):
        chunks: list[np.ndarray] = []
        decoded = decode_video(
            path,
            FrameChoice(short_side=48),
            begin=lambda *_: None,
            write=chunks.append,
            only_pyav=only_pyav,
        )
        assert (decoded.num_frames, decoded.height, decoded.width) == (12, 48, 64)
        results.append(np.concatenate(chunks).astype(int))
    assert np.abs(results[0] - results[1]).mean() < 5  # of squares with sd 74


def cut(share: float):
    def spoil(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])

    return spoil


@pytest.mark.parametrize(
    ("container", "share"),
    # The last tenth of an AVI is its index: without it, every frame is still there.
    [(c, s) for c in ("mp4", "faststart", "mkv") for s in (0.15, 0.5, 0.9, 0.99)]
    + [("avi", 0.15), ("avi", 0.5)],
)
def test_truncated_files_are_named(tmp_path, write_video, container, share):
    suffix = "mp4" if container == "faststart" else container
    options = {"movflags": "faststart"} if container == "faststart" else {}
    path = tmp_path / f"cut.{suffix}"
    write_video(path, num_frames=60, container_options=options)
    cut(share)(path)
    for read in (decode, probe):
        with pytest.raises(DecodeError, match="truncated|not a video that FFmpeg can open"):
            read(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"plain text, not a video\n" * 40, "not a video that FFmpeg can open"),
        (b"\0\0\0\x20ftypisom" + b"\0" * 600, "not a video that FFmpeg can open"),
    ],
)
def test_what_is_no_video_is_named(tmp_path, content, reason):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    for read in (decode, probe):
        with pytest.raises(DecodeError, match=reason):
            read(path)


def test_sound_without_pictures_is_named(tmp_path, write_audio):
    for read in (decode, probe):
        with pytest.raises(DecodeError, match="audio only"):
            read(write_audio(tmp_path / "sound.mp4"))


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(DecodeError, match="cannot be read: No such file"):
        decode(tmp_path / "gone.mp4")


def test_what_a_sink_raises_passes_through(tmp_path, write_video):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = write_video(tmp_path / "a.mp4")
    with pytest.raises(OSError, match="No space left"):  # and is no fault of the file
        decode_video(path, FrameChoice(), begin=lambda *_: None, write=full)


def test_a_file_that_may_not_be_read_is_named(tmp_path, write_video):
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody who may not read a file")
    path = write_video(tmp_path / "private.mp4")
    decode(path)  # imports what is imported when it is first used
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        for read in (decode, probe):
            with pytest.raises(DecodeError, match="cannot be read: Permission denied"):
                read(path)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    "name", ["Maus Größe 3.mp4", "老鼠_実験.mp4", "🐁.mp4", "a b\nc'\"%s.mp4", "x" * 251 + ".mp4"]
)
def test_any_name_that_is_text_is_read(tmp_path, write_video, name):
    path = write_video(tmp_path / name)
    assert len(decode(path)[0]) == probe(path).num_frames == 12


def test_a_name_that_is_no_text_is_told(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4").rename(tmp_path / os.fsdecode(b"\xff.mp4"))
    for read in (decode, probe):
        with pytest.raises(DecodeError, match="not valid UTF-8"):
            read(path)


def test_a_file_that_vanishes_while_it_is_read_is_named(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4")
    # PyAV starts over where decord gave up, and finds nothing any more.
    with pytest.raises(DecodeError, match="No such file"):
        decode_video(path, FrameChoice(), begin=lambda *_: path.unlink(), write=lambda _: None)
