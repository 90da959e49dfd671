"""How frames are cut, as pure functions."""

import numpy as np
import pytest

from vidclass.data.crops import CropOptions, corner_patch, cut, place, resize, scaled_size

ALL = slice(None)


def frames(height, width, num_frames=2):
    """Frames whose pixels say where they are: (row, column, frame)."""
    down, right = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    picture = np.stack([down, right, np.zeros_like(down)], axis=2)
    video = np.repeat(picture[None], num_frames, axis=0)
    video[..., 2] = np.arange(num_frames)[:, None, None]
    return video.astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "geometry", "scale", "expected"),
    [
        ((60, 120), "crop", 1.0, (30, 60)),
        ((120, 60), "crop", 1.0, (60, 30)),
        ((60, 120), "pad", 1.0, (15, 30)),
        ((60, 120), "squash", 1.0, (30, 30)),
        ((60, 120), "crop", 1.5, (45, 90)),
        ((60, 120), "squash", 1.2, (36, 36)),
        ((30, 4000), "pad", 1.0, (1, 30)),
    ],
)
def test_scaled_size(size, geometry, scale, expected):
    assert scaled_size(*size, 30, geometry, scale) == expected


@pytest.mark.parametrize(
    ("test", "size", "expected"),
    [
        ("centre", (8, 14), [(0, 3)]),
        ("three", (8, 14), [(0, 0), (0, 3), (0, 6)]),
        ("three", (14, 8), [(0, 0), (3, 0), (6, 0)]),
        ("three", (13, 8), [(0, 0), (2, 0), (5, 0)]),
        ("five", (8, 14), [(0, 0), (0, 6), (0, 0), (0, 6), (0, 3)]),
        ("five", (8, 8), [(0, 0)] * 5),
    ],
)
def test_places_of_an_evaluation(test, size, expected):
    video = frames(*size)
    shown = []
    for index in range(CropOptions(test=test).num_places):
        out = np.empty((2, 8, 8, 3), dtype=np.uint8)
        cut(video, ALL, place(test, index, height=size[0], width=size[1]), "crop", out)
        assert (out[..., 0] - out[:, :1, :1, 0] == np.arange(8)[:, None]).all()
        shown.append((int(out[0, 0, 0, 0]), int(out[0, 0, 0, 1])))
    assert shown == expected


def test_a_cut_with_a_margin_has_slack_on_both_sides():
    video = frames(20, 20)
    places = {}
    for index in range(5):
        out = np.empty((2, 16, 16, 3), dtype=np.uint8)
        cut(video, ALL, place("five", index, height=20, width=20), "crop", out, scale=1.25)
        places[index] = (int(out[0, 0, 0, 0]), int(out[0, 0, 0, 1]))
    assert places == {0: (0, 0), 1: (0, 4), 2: (4, 0), 3: (4, 4), 4: (2, 2)}


@pytest.mark.parametrize(
    ("corner", "first"),
    [
        ("top_left", (0, 0)),
        ("top_right", (0, 45)),
        ("bottom_left", (30, 0)),
        ("bottom_right", (30, 45)),
    ],
)
def test_a_corner_is_a_quarter_of_the_short_side(corner, first):
    patch = corner_patch(frames(40, 55), corner, 0.25)
    assert patch.shape == (2, 10, 10, 3)
    assert tuple(patch[0, 0, 0, :2]) == first
    assert (patch[1, ..., 2] == 1).all()


def test_a_corner_of_a_tiny_frame_has_a_pixel():
    assert corner_patch(frames(3, 2), "top_left", 0.1).shape == (2, 1, 1, 3)


def test_resize_scales_up_for_a_corner():
    assert resize(corner_patch(frames(40, 40), "top_left", 0.25), 32, 32).shape == (2, 32, 32, 3)


def test_frames_that_are_no_slice_are_cut_alike():
    video = frames(10, 16, num_frames=6)
    out = np.empty((3, 10, 10, 3), dtype=np.uint8)
    cut(video, np.array([5, 0, 3]), (0.0, 0.0), "crop", out)
    assert out[:, 0, 0, 2].tolist() == [5, 0, 3]
