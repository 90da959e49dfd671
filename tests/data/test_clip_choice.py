"""Which frames are chosen: tables with short, empty and odd cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vidclass.data.clip_choice import (
    ClipChoice,
    even_frames,
    scattered_frames,
    segment_frames,
    usable_frames,
    view_shares,
    window_frames,
    window_starts,
)


def one(*values):
    return (np.array([value]) for value in values)


@pytest.mark.parametrize(
    ("num_frames", "from_share", "to_share", "expected"),
    [
        (100, 0.0, 1.0, (0, 99)),
        (100, 0.25, 0.75, (25, 74)),
        (100, 0.52, 0.65, (52, 64)),
        (100, 0.29, 0.58, (29, 57)),  # 0.29 * 100 is 28.999999999999996
        (10, 0.25, 0.75, (2, 7)),  # a frame of which any part lies inside counts
        (3, 0.5, 0.6, (1, 1)),
        (1, 0.9, 1.0, (0, 0)),
        (1, 0.0, 0.1, (0, 0)),
        (7, 0.999, 1.0, (6, 6)),
    ],
)
def test_usable_frames(num_frames, from_share, to_share, expected):
    for first in (0, 40):
        begin, end = usable_frames(*one(first, first + num_frames - 1), from_share, to_share)
        assert (begin[0] - first, end[0] - first) == expected


@pytest.mark.parametrize(
    ("views", "expected"), [(1, [0.5]), (2, [0, 1]), (3, [0, 0.5, 1]), (5, [0, 0.25, 0.5, 0.75, 1])]
)
def test_view_shares(views, expected):
    assert view_shares(views).tolist() == expected


@pytest.mark.parametrize(
    ("num_frames", "wanted", "expected"),
    [
        (10, 5, [0, 2, 5, 7, 9]),
        (5, 5, [0, 1, 2, 3, 4]),
        (9, 3, [0, 4, 8]),
        (10, 1, [5]),
        (1, 4, [0, 0, 0, 0]),
        (2, 4, [0, 0, 1, 1]),
    ],
)
def test_even_frames_begin_with_the_first_and_end_with_the_last(num_frames, wanted, expected):
    assert even_frames(*one(0, num_frames - 1), wanted).tolist() == [expected]
    assert even_frames(*one(7, num_frames + 6), wanted).tolist() == [[7 + n for n in expected]]


@pytest.mark.parametrize(
    ("num_frames", "phase", "expected"),
    [
        (12, [0, 0, 0], [0, 4, 8]),
        (12, [0.5, 0.5, 0.5], [2, 6, 10]),
        (12, [0.999, 0.999, 0.999], [3, 7, 11]),
        (10, [0.5, 0.5, 0.5, 0.5], [1, 3, 6, 8]),
        (2, [0.5, 0.5, 0.5, 0.5], [0, 0, 1, 1]),
        (1, [0.9, 0.9], [0, 0]),
    ],
)
def test_segments_give_one_frame_each(num_frames, phase, expected):
    frames = segment_frames(*one(3, num_frames + 2), np.array([phase]))
    assert (frames - 3).tolist() == [expected]


@given(
    first=st.integers(0, 50),
    num_frames=st.integers(1, 300),
    wanted=st.integers(1, 40),
    key=st.integers(0, 2**63 - 2),
)
def test_scattered_frames_are_different_sorted_and_inside(first, num_frames, wanted, key):
    last = first + num_frames - 1
    drawn = scattered_frames(*one(first, last), wanted, np.array([key]))[0]
    again = scattered_frames(*one(first, last), wanted, np.array([key]))[0]
    assert drawn.tolist() == again.tolist() == sorted(drawn)
    assert first <= drawn[0] and drawn[-1] <= last
    assert len(set(drawn.tolist())) == min(wanted, num_frames)
    if num_frames < wanted:
        assert drawn.tolist() == [*range(first, last + 1), *[last] * (wanted - num_frames)]


def test_scattered_frames_are_each_as_likely():
    keys = np.arange(4000)
    drawn = scattered_frames(np.zeros(4000, int), np.full(4000, 7), 3, keys)
    counts = np.bincount(drawn.ravel(), minlength=8)
    # 1,500 each; the standard deviation of a count is 31.
    assert counts.min() > 1350 and counts.max() < 1650


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"kind": "random"}, 17),
        ({"kind": "dense"}, 17),
        ({"kind": "first"}, 5),
        ({"kind": "last"}, 40),
        ({"kind": "fixed", "start_s": 0.0}, 5),
        ({"kind": "fixed", "start_s": 1.5}, 20),
        ({"kind": "fixed", "start_s": 60.0}, 40),
        ({"kind": "uniform"}, 25),  # windows at 5, 15, 25, 35: the turn 6 is the third's
    ],
)
def test_window_starts(choice, expected):
    first, last, stretch, drawn, turn = one(5, 40, 10, 17, 6)
    starts = window_starts(
        ClipChoice(**choice),
        first,
        last,
        fps_N=np.array([10.0]),
        stretch_N=stretch,
        drawn_N=drawn,
        turn_N=turn,
    )
    assert starts.tolist() == [expected]


@pytest.mark.parametrize(
    ("start", "speed", "jitter", "expected"),
    [
        (10, 1.0, [0, 0, 0, 0], [10, 12, 14, 16]),
        (10, 0.5, [0, 0, 0, 0], [10, 11, 12, 13]),
        (10, 2.0, [0, 0, 0, 0], [8, 12, 16, 20]),  # begins earlier, so that it fits
        (10, 9.0, [0, 0, 0, 0], [0, 18, 20, 20]),  # longer than the footage: the last repeats
        (10, 1.0, [-0.5, 0.5, -0.5, 0.5], [9, 13, 13, 17]),
        (0, 1.0, [-0.5, 0, 0, 0], [0, 2, 4, 6]),
    ],
)
def test_stretched_and_jittered_windows_stay_inside(start, speed, jitter, expected):
    frames = window_frames(
        np.array([start]),
        np.array([2.0]),
        4,
        *one(0, 20),
        speed_B=np.array([speed]),
        jitter_BW=np.array([jitter]),
    )
    assert frames.tolist() == [expected]


@given(
    jitter=st.lists(st.floats(-0.5, 0.5), min_size=8, max_size=8),
    speed=st.floats(0.01, 3),
    step=st.floats(0.1, 9),
    start=st.integers(0, 100),
)
def test_jitter_keeps_the_order(jitter, speed, step, start):
    frames = window_frames(
        np.array([start]),
        np.array([step]),
        8,
        *one(0, 100),
        speed_B=np.array([speed]),
        jitter_BW=np.array([jitter]),
    )[0]
    assert (np.diff(frames) >= 0).all() and frames[0] >= 0 and frames[-1] <= 100


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"from_share": 0.7, "to_share": 0.3}, "below to_share"),
        ({"kind": "segment", "jitter": 0.2}, "that have a window"),
        ({"kind": "even", "speed_jitter": 0.2}, "that have a window"),
        ({"kind": "middle"}, "'random'"),
        ({"stride": 0}, "greater than or equal to 1"),
    ],
)
def test_what_does_not_fit_together_is_refused(wrong, told):
    with pytest.raises(ValidationError, match=told):
        ClipChoice(**wrong)
