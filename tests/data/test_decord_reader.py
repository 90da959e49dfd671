"""Random access on files of several encoders: known where decord's is off, and not used there."""

import av
import decord
import numpy as np
import pytest

from vidclass.data import decord_reader
from vidclass.data.decode import FrameChoice, choose_frames, decode, decode_video
from vidclass.data.decord_reader import _runs, _worth_seeking
from vidclass.data.pyav_reader import scan

NUM_FRAMES = 100

# (file, encoder, its options, whether decord's own random access gives wrong frames)
FILES = [
    ("closed.mp4", "libx264", {"g": "10", "bf": "3"}, False),
    ("open.mp4", "libx264", {"g": "10", "bf": "3", "x264-params": "open-gop=1"}, True),
    ("open.mkv", "libx264", {"g": "10", "bf": "3", "x264-params": "open-gop=1"}, True),
    ("h264.avi", "libx264", {"g": "10", "bf": "3"}, True),
    ("mpeg4.avi", "mpeg4", {"g": "10", "bf": "2"}, True),
    ("mpeg2.mpg", "mpeg2video", {"g": "10", "bf": "2"}, True),
    ("closed.ts", "libx264", {"g": "10", "bf": "3"}, False),
    ("vp8.webm", "libvpx", {"g": "10", "deadline": "realtime"}, False),
]
SPARSE = [8, 20, 39, 60, 80, 99]


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """``make(name, codec, options)`` writes 100 frames, each of them different."""
    picture = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    picture = picture.repeat(8, axis=0).repeat(8, axis=1)

    def write(name, codec, options):
        path = tmp_path_factory.mktemp("made") / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options={**options, "threads": "1"})
            stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
            for k in range(NUM_FRAMES):
                image = np.roll(picture, (k, 3 * k), axis=(0, 1))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    return write


def read(path, **choice):
    chunks = []
    decoded = decode_video(
        path, FrameChoice(**choice), begin=lambda *_: chunks.clear(), write=chunks.append
    )
    return decoded.reader, np.concatenate(chunks)


@pytest.mark.parametrize(("name", "codec", "options", "wrong"), FILES)
def test_every_choice_gives_the_frames_of_reading_in_order(make, name, codec, options, wrong):
    path = make(name, codec, options)
    reader, frames = read(path)
    assert reader == "decord" and len(frames) == NUM_FRAMES
    bare = decord.VideoReader(str(path), num_threads=1).get_batch(SPARSE).asnumpy()
    assert (not np.array_equal(bare, frames[SPARSE])) == wrong  # else the file proves nothing

    reader, few = read(path, num_frames=3)
    np.testing.assert_array_equal(few, frames[[16, 50, 83]])
    assert reader == ("decord, in order" if wrong else "decord")

    for choice in ({"stride": 3}, {"fps": 4.0}, {"start_s": 2.0, "end_s": 2.5}, {"start_s": 3.5}):
        numbers, _ = choose_frames(np.arange(NUM_FRAMES) / 25, 25.0, FrameChoice(**choice))
        np.testing.assert_array_equal(read(path, **choice)[1], frames[numbers])


def test_keys_that_are_not_stored_where_they_are_shown_are_known_without_decoding(make):
    stored = {name: scan(make(name, codec, options)) for name, codec, options, _ in FILES[:2]}
    assert stored["closed.mp4"].keys_in_order and not stored["open.mp4"].keys_in_order


def test_seeking_is_used_where_it_is_right_and_saves_most(make, monkeypatch):
    sought = []
    by_seeking = decord_reader._BySeeking.read
    monkeypatch.setattr(
        decord_reader._BySeeking,
        "read",
        lambda self, numbers: sought.append(list(numbers)) or by_seeking(self, numbers),
    )
    path = make(*FILES[0][:3])
    read(path, num_frames=3)
    assert sought == [[16, 50, 83]]
    read(path, stride=3)
    assert len(sought) == 1


@pytest.mark.parametrize(
    ("numbers", "keys", "expected"),
    [
        ([5, 95], [0, 10, 50, 90], True),  # 6 + 6 of 96 frames
        ([5, 49, 95], [0, 50, 90], False),  # 50 + 6: most of what is there
        (list(range(100)), [0, 10, 50, 90], False),
        ([95], [0], False),
        ([95], [3, 90], False),  # a file that does not begin with a key frame
    ],
)
def test_when_seeking_is_worth_it(numbers, keys, expected):
    assert _worth_seeking(np.array(numbers), np.array(keys)) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [([4], [(4, 5)]), ([0, 1, 2], [(0, 3)]), ([0, 2, 3, 7], [(0, 1), (2, 4), (7, 8)])],
)
def test_runs(numbers, expected):
    assert list(_runs(np.array(numbers))) == expected


@pytest.mark.parametrize("num_frames", [1, 12])
def test_a_width_whose_rows_ffmpeg_pads_to_whole_pixels(tmp_path, write_video, num_frames):
    # decord gives such frames four channels and more.
    path = write_video(tmp_path / "wide.mp4", num_frames, (96, 144))
    frames, _ = decode(path, short_side=32)
    assert frames.shape == (num_frames, 32, 48, 3)
    full = decode(path)[0].reshape(num_frames, 32, 3, 48, 3, 3).mean(axis=(2, 4))
    assert np.abs(frames - full).mean() < 20  # of squares with sd 74: padding would show
