"""Greyscale, lighting and masks, on frames and on files."""

import av
import numpy as np
import pytest

from vidclass.data.as_stored import read_as_stored
from vidclass.data.decoded import DecodeError
from vidclass.data.frame_changes import BLANK, FrameChanges, hidden_box, lighting_table, to_grey
from vidclass.data.store_options import Mask, StoreOptions

CLOCK = Mask(left=0.5, top=0.75, right=1.0, bottom=1.0)


def changed(frames, source=None, chunk=4, **options):
    written = []
    changes = FrameChanges(StoreOptions.model_validate(options), written.append)
    changes.begin(*(source or frames.shape[1:3]))
    for start in range(0, len(frames), chunk):
        changes.write(frames[start : start + chunk].copy())
    changes.end()
    return np.concatenate(written)


@pytest.fixture
def frames():
    """Ten frames of noise, dark and with little contrast, red darker still."""
    noise = np.random.default_rng(0).normal(0, 18, (10, 32, 48, 3))
    return np.clip([60, 90, 90] + noise, 0, 255).astype(np.uint8)


def test_grey_is_the_brightness(frames):
    grey = to_grey(frames)
    expected = frames @ np.array([0.299, 0.587, 0.114])
    assert grey.shape == (10, 32, 48, 1)
    assert np.abs(grey[..., 0] - expected).max() <= 1


def test_nothing_changes_without_options(frames):
    np.testing.assert_array_equal(changed(frames), frames)


@pytest.mark.parametrize("greyscale", [False, True])
def test_lighting_brings_each_channel_of_the_video_to_the_same_mean(frames, greyscale):
    moved = changed(frames, lighting="mean", greyscale=greyscale)
    assert moved.mean(axis=(0, 1, 2)) == pytest.approx(128, abs=0.6)
    before = to_grey(frames) if greyscale else frames
    assert moved.std() == pytest.approx(before.std(axis=(0, 1, 2)).mean(), rel=0.05)
    stretched = changed(frames, lighting="mean_std", greyscale=greyscale)
    assert stretched.mean(axis=(0, 1, 2)) == pytest.approx(128, abs=1)
    assert stretched.std(axis=(0, 1, 2)) == pytest.approx(48, rel=0.05)


def test_lighting_is_one_change_for_the_whole_video(frames):
    frames = frames.copy()
    frames[5:] += 40  # the light goes on inside the video: that is kept
    moved = changed(frames, lighting="mean", chunk=3)
    assert moved[5:].mean() - moved[:5].mean() == pytest.approx(40, abs=0.5)


def test_a_video_too_long_for_memory_waits_on_the_disk(frames, tmp_path, monkeypatch):
    expected = changed(frames, lighting="mean_std")
    monkeypatch.setattr("vidclass.data.frame_changes.HELD_BYTES", 1000)
    np.testing.assert_array_equal(changed(frames, lighting="mean_std", chunk=3), expected)


def test_a_flat_video_is_not_stretched_into_noise():
    counts = np.zeros((1, 256), dtype=np.int64)
    counts[0, 100:102] = 1
    table = lighting_table(counts, "mean_std")[0]
    assert table[101] - table[100] == 6  # 48 / 8


@pytest.mark.parametrize(
    ("mask", "source", "stored", "expected"),
    [
        (CLOCK, (64, 96), (64, 96), (46, 64, 46, 96)),
        (CLOCK, (640, 960), (64, 96), (46, 64, 46, 96)),
        (Mask(left=0.1, top=0, right=0.2, bottom=0.1), (100, 100), (100, 100), (0, 12, 8, 22)),
        (
            Mask(left=400, top=300, right=640, bottom=330, unit="pixels"),
            (360, 640),
            (90, 160),
            (73, 85, 98, 160),
        ),
        (
            Mask(left=600, top=0, right=900, bottom=900, unit="pixels"),
            (360, 640),
            (360, 640),
            (0, 360, 598, 640),
        ),
    ],
)
def test_masks_are_widened_to_whole_pixels_and_two_more(mask, source, stored, expected):
    assert hidden_box(mask, source, stored)[:4] == expected


def test_a_mask_that_a_file_has_no_room_for_is_told():
    mask = Mask(left=400, top=300, right=640, bottom=330, unit="pixels")
    with pytest.raises(DecodeError, match="320 x 240 pixels: left 400"):
        hidden_box(mask, (240, 320), (120, 160))


def test_blank_is_grey_and_the_rest_is_as_it_was(frames):
    hidden = changed(frames, masks=[CLOCK])
    assert (hidden[:, 22:, 22:] == BLANK).all()
    np.testing.assert_array_equal(hidden[:, :22], frames[:, :22])
    np.testing.assert_array_equal(hidden[:, :, :22], frames[:, :, :22])


def test_blur_leaves_no_detail_and_the_rest_as_it_was(frames):
    digits = frames.copy()
    digits[:, 26:30:2, 30:44] = 255
    hidden = changed(digits, masks=[CLOCK.model_copy(update={"fill": "blur"})])
    steps = [np.abs(np.diff(f[:, 22:, 22:].astype(int), axis=1)).max() for f in (digits, hidden)]
    assert steps[0] > 150 and steps[1] < 10
    np.testing.assert_array_equal(hidden[:, :22], digits[:, :22])


def test_what_a_mask_hides_has_no_part_in_the_lighting(frames):
    other = frames.copy()
    other[:, 24:, 24:] = 255
    options = {"lighting": "mean_std", "masks": [CLOCK]}
    np.testing.assert_array_equal(changed(frames, **options), changed(other, **options))


@pytest.mark.parametrize("short_side", [None, 60, 24])
def test_a_clock_in_a_file_leaves_no_trace(tmp_path, short_side):
    def write(name, seed):
        path = tmp_path / name
        scene = np.random.default_rng(0).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        clock = np.random.default_rng(seed)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"qp": "0", "g": "1"})
            stream.height, stream.width, stream.pix_fmt = 96, 128, "yuv420p"
            for _ in range(4):
                image = scene.repeat(8, axis=0).repeat(8, axis=1)
                image[76:90, 70:120] = clock.integers(0, 255, (14, 50, 3), dtype=np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    mask = Mask(left=70, top=76, right=120, bottom=90, unit="pixels")
    files = [write("a.mp4", 1), write("b.mp4", 2)]
    bare = [read_as_stored(path, StoreOptions(short_side=short_side))[0] for path in files]
    assert not np.array_equal(*bare)
    options = StoreOptions(short_side=short_side, masks=(mask,))
    np.testing.assert_array_equal(*(read_as_stored(path, options)[0] for path in files))
