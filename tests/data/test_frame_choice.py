"""Which frames are kept: sizes, rates and parts, as pure functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.data.decoded import DecodeError
from vidclass.data.frame_choice import FrameChoice, choose_frames, frames_of_part, scaled_size


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


@pytest.mark.parametrize(
    ("start_s", "end_s", "expected"),
    [
        (None, None, (0, 20)),
        (0.5, None, (5, 20)),
        (None, 0.5, (0, 5)),
        (0.5, 0.7, (5, 7)),
        (0.5, 99.0, (5, 20)),
        (0.45, 0.75, (5, 8)),
        (0.5, 0.5, (5, 6)),
        (0.52, 0.54, (5, 6)),  # shorter than a frame: the one that is shown then
        (1.9, 2.0, (19, 20)),
    ],
)
def test_parts(start_s, end_s, expected):
    times_s = 3.0 + np.arange(20) / 10  # a stream that does not start at 0
    assert frames_of_part(times_s, FrameChoice(start_s=start_s, end_s=end_s)) == expected


def test_a_part_behind_the_end_is_told():
    with pytest.raises(DecodeError, match=r"from 2 s on lies behind .* shown at 1\.9 s"):
        frames_of_part(np.arange(20) / 10, FrameChoice(start_s=2.0, end_s=3.0))


def test_a_rate_counts_inside_the_part():
    numbers, fps = choose_frames(
        np.arange(60) / 30, 30.0, FrameChoice(fps=10, start_s=1.0, end_s=1.5)
    )
    assert numbers.tolist() == [30, 33, 36, 39, 42] and fps == 10


@given(
    st.lists(st.floats(0.001, 0.2), min_size=1, max_size=60),
    st.sampled_from([{}, {"stride": 3}, {"num_frames": 4}, {"fps": 7.0}]),
    st.floats(0, 3),
    st.floats(0, 3),
)
def test_kept_frames_lie_in_the_part_and_in_order(steps_s, rate, start_s, length_s):
    times_s = np.cumsum(steps_s)
    choice = FrameChoice(**rate, start_s=start_s, end_s=start_s + length_s)
    try:
        first, stop = frames_of_part(times_s, choice)
    except DecodeError:
        assert start_s > times_s[-1] - times_s[0]
        return
    numbers, _ = choose_frames(times_s, 20.0, choice)
    assert len(numbers) and (np.diff(numbers) >= 0).all()
    assert first <= numbers[0] and numbers[-1] < stop <= len(times_s)
