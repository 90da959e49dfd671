"""Decoding against PyAV, and a named reason for every file that cannot be decoded."""

from pathlib import Path

import av
import numpy as np
import pytest

from vidclass.data.containers import is_turned
from vidclass.data.decode import (
    DecodeError,
    FrameChoice,
    choose_frames,
    decode,
    decode_video,
    probe,
    scaled_size,
)

# Chroma of odd sizes and of more than 8 bits is interpolated differently by FFmpeg's versions.
EXACT, LOOSE = 0.01, 5.0


def reference(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [
            np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)
            for frame in container.decode(container.streams.best("video"))
        ]
    return np.stack(frames)


def fixtures(shared_data: Path) -> list[Path]:
    return sorted(path for path in (shared_data / "decode_fixtures").rglob("*") if path.is_file())


def test_every_odd_file_shows_the_frames_that_pyav_shows(shared_data):
    files = fixtures(shared_data)
    wrong = []
    for path in files:
        if path.stat().st_size > 400_000:  # the large ones repeat a codec at 1280 x 720
            continue
        frames, _ = decode(path)
        expected = reference(path)
        plain = "10bit" not in path.name and "12bit" not in path.name
        limit = (
            EXACT if plain and not any(w in path.name for w in ("odd", "hdr", "bits")) else LOOSE
        )
        if frames.shape != expected.shape:
            wrong.append((path.name, frames.shape, expected.shape))
            continue
        difference = np.abs(frames[::7].astype(np.int16) - expected[::7]).mean()
        if difference > limit:
            wrong.append((path.name, difference))
    assert len(files) > 50 and not wrong


def test_probe_agrees_with_decode_on_odd_files(shared_data):
    for path in fixtures(shared_data)[::3]:
        found = probe(path)
        frames, fps = decode(path, short_side=48)
        height, width = scaled_size(found.height, found.width, 48)
        assert frames.shape == (found.num_frames, height, width, 3), path.name
        assert fps == pytest.approx(found.fps), path.name


@pytest.mark.parametrize("name", ["video_0", "video_90", "video_180", "video_270"])
def test_turned_files_are_upright_whatever_their_size(shared_data, monkeypatch, name):
    path = shared_data / "decode_fixtures" / "decord" / f"{name}.mov"
    frames, _ = decode(path, short_side=64)
    monkeypatch.setattr("vidclass.data.decord_reader.SMALL_FILE", 0)
    np.testing.assert_array_equal(decode(path, short_side=64)[0], frames)
    assert is_turned(path) == (name != "video_0")
    assert (frames.shape[1] > frames.shape[2]) == (name in ("video_90", "video_270"))


def test_packed_b_frames_add_no_frames(shared_data):
    path = shared_data / "ut_interaction" / "handshake" / "set1_seq01_04.avi"
    frames, _ = decode(path, short_side=64)
    assert len(frames) == 183  # decord counts 185 and shows the last frame three times


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".flv", ".ts", ".mov"])
def test_containers(tmp_path, write_video, suffix):
    path = write_video(tmp_path / f"clip{suffix}", num_frames=12, size=(32, 48))
    frames, fps = decode(path)
    assert frames.shape == (12, 32, 48, 3) and fps == pytest.approx(10)
    assert np.abs(frames.astype(int) - reference(path)).mean() < EXACT


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
            begin=lambda *_: chunks.clear(),
            write=chunks.append,
            only_pyav=only_pyav,
        )
        assert (decoded.num_frames, decoded.height, decoded.width) == (12, 48, 64)
        results.append(np.concatenate(chunks).astype(int))
    assert np.abs(results[0] - results[1]).mean() < 5  # of squares with sd 74


@pytest.mark.parametrize(
    ("height", "width", "short_side", "expected"),
    [
        (240, 320, 120, (120, 160)),
        (320, 240, 120, (160, 120)),
        (100, 320, 120, (100, 320)),
        (240, 427, None, (240, 427)),
        (241, 321, 64, (64, 85)),
    ],
)
def test_the_short_side_is_scaled_and_never_up(height, width, short_side, expected):
    assert scaled_size(height, width, short_side) == expected


@pytest.mark.parametrize(
    ("total", "fps", "choice", "expected", "kept_fps"),
    [
        (6, 10.0, FrameChoice(), [0, 1, 2, 3, 4, 5], 10.0),
        (6, 10.0, FrameChoice(stride=2), [0, 2, 4], 5.0),
        (8, 10.0, FrameChoice(num_frames=2), [2, 6], 2.5),
        (3, 10.0, FrameChoice(num_frames=9), [0, 1, 2], 10.0),
        (10, 30.0, FrameChoice(fps=10), [0, 3, 6, 9], 10.0),
        (7, 25.0, FrameChoice(fps=10), [0, 2, 5], 10.0),
        (6, 10.0, FrameChoice(fps=30), [0, 1, 2, 3, 4, 5], 10.0),
        (1, 10.0, FrameChoice(fps=5), [0], 5.0),
    ],
)
def test_rates(total, fps, choice, expected, kept_fps):
    numbers, kept = choose_frames(np.arange(total) / fps, fps, choice)
    assert numbers.tolist() == expected and kept == pytest.approx(kept_fps)


def test_a_rate_is_met_in_time_where_the_file_has_gaps():
    times_s = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 1.0])
    numbers, _ = choose_frames(times_s, 6.0, FrameChoice(fps=5))
    assert numbers.tolist() == [0, 2, 2, 3, 3, 5]


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
