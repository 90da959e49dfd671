"""Packed videos that are read like arrays."""

import numpy as np
import pytest

from vidclass.data.jpeg import JpegFrames, encode_frame, offset_table, through_jpeg


@pytest.fixture(scope="module")
def original():
    """Nine smooth frames, each with a brightness of its own."""
    rows, columns = np.mgrid[0:24, 0:40]
    frames = [
        np.stack([rows * 4 + k, columns * 3 + k, np.full((24, 40), 20 * k)], -1) for k in range(9)
    ]
    return np.stack(frames).astype(np.uint8)


def packed(frames, quality=95):
    encoded = [encode_frame(frame, quality) for frame in frames]
    data = b"".join(encoded) + offset_table([len(e) for e in encoded])
    return JpegFrames(np.frombuffer(data, np.uint8), frames.shape[:3], frames.shape[3])


@pytest.mark.parametrize(
    "key",
    [
        slice(None),
        slice(2, 5),
        slice(None, None, -2),
        np.array([3, 3, 8, 0]),
        np.array([], dtype=np.int64),
        4,
        -1,
        (slice(1, 3), slice(2, 20), slice(5, 9)),
        (np.array([5, 1]), slice(0, 4)),
        (0, slice(0, 4)),
    ],
)
def test_an_index_gives_what_it_gives_of_an_array(original, key):
    frames = packed(original)
    expected = original[key]
    assert frames[key].shape == expected.shape and frames[key].dtype == np.uint8
    if expected.size:
        assert np.abs(frames[key].astype(int) - expected).mean() < 2


def test_it_looks_like_an_array(original):
    frames = packed(original)
    assert (frames.shape, len(frames), frames.ndim) == (original.shape, 9, 4)
    np.testing.assert_array_equal(np.asarray(frames), frames[:])
    assert np.array(frames, dtype=np.float32).dtype == np.float32


def test_one_channel_is_given_three_times(original):
    frames = packed(original[..., :1])
    assert frames.shape == original.shape
    assert (frames[2:4][..., 0] == frames[2:4][..., 2]).all()


def test_a_higher_quality_is_nearer(original):
    noisy = np.random.default_rng(0).integers(0, 255, (3, 24, 40, 3)).astype(np.uint8)
    error = [np.abs(through_jpeg(noisy, q).astype(int) - noisy).mean() for q in (30, 80, 100)]
    assert error[0] > error[1] > error[2] and error[2] < 3


def test_only_the_frames_asked_for_are_decoded(original, monkeypatch):
    import simplejpeg

    calls = []
    decode = simplejpeg.decode_jpeg
    monkeypatch.setattr(
        simplejpeg, "decode_jpeg", lambda *args, **kw: calls.append(1) or decode(*args, **kw)
    )
    packed(original)[np.array([7, 7, 7, 2])]
    assert len(calls) == 2
