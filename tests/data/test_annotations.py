"""Interval labels against labels of frames."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.data.annotations import (
    ANNOTATION_COLUMNS,
    choose_annotations,
    class_names_of,
    frame_span,
    frames_to_intervals,
    intervals_to_frames,
    new_annotations,
    overlaps,
)
from vidclass.errors import UserError

RATES = (1.0, 2.0, 10.0, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0, 240.0)


def table(*rows, **further):
    """Return an interval table of rows (video, start, end, label)."""
    columns = ["video_id", "start_s", "end_s", "label"]
    return new_annotations(pd.DataFrame(rows, columns=columns).assign(**further))


def letters(present_TK, names):
    """Return one character a frame: the class, a dot for none, a question mark for unlabelled."""
    return "".join(
        "?" if (row < 0).any() else next((n for n, x in zip(names, row, strict=True) if x), ".")
        for row in present_TK
    )


def test_a_new_table_is_typed_and_sorted():
    made = table(("b", 1, 2, "x"), ("a", 5, 6, "x"), ("a", 0, 1, None), subject=["s", np.nan, ""])
    assert tuple(made.columns) == ANNOTATION_COLUMNS
    assert made["video_id"].tolist() == ["a", "a", "b"] and made["label"].tolist()[0] is None
    assert made["annotator"].tolist() == [None] * 3 and made["start_s"].dtype == "float64"
    assert class_names_of(made) == ("x",)


@pytest.mark.parametrize(
    ("start_s", "end_s", "fps", "expected"),
    [
        (0, 1, 10, (0, 10)),
        (1, 3, 2, (2, 6)),  # the ancestor's rule: each whole second gives fps rows
        (0.033, 0.067, 30, (1, 2)),  # written to the millisecond
        (0.05, 0.1, 10, (1, 1)),  # no frame shows an instant in between
        (0.05, 0.11, 10, (1, 2)),
        (2.0, 2.0, 10, (20, 21)),  # a point
        (2.09, 2.09, 10, (20, 21)),
        (-1.0, 0.5, 10, (0, 5)),
        (3600.0, 3600.5, 30000 / 1001, (107893, 107908)),
    ],
)
def test_frames_of_an_interval(start_s, end_s, fps, expected):
    first, stop = frame_span([start_s], [end_s], fps)
    assert (first[0], stop[0]) == expected


@given(
    boundaries=st.lists(st.integers(0, 5000), min_size=2, max_size=30, unique=True),
    fps=st.sampled_from(RATES),
    digits=st.sampled_from([3, 6]),
)
def test_intervals_that_touch_share_no_frame_and_lose_none(boundaries, fps, digits):
    edges = np.array(sorted(boundaries))
    times = np.round(edges / fps, digits)
    first, stop = frame_span(times[:-1], times[1:], fps)
    assert (first[1:] == stop[:-1]).all()
    assert (first == edges[:-1]).all() and (stop == edges[1:]).all()


@pytest.mark.parametrize(
    ("rows", "multiclass", "multilabel"),
    [
        ([("v", 0, 2, "a"), ("v", 3, 5, "b")], "aa?bb?", "aa.bb."),
        ([("v", 0, 6, "a"), ("v", 2, 2, "b")], "aabaaa", None),
        ([("v", 0, 3, "a"), ("v", 3, 6, None)], "aaa???", "aaa???"),
        ([("v", 0, 3, "a"), ("v", 2, 4, None)], "aa????", "aa??.."),
        ([("v", 4, 99, "a")], "????aa", "....aa"),
        ([], "??????", "??????"),
    ],
)
def test_labels_of_frames(rows, multiclass, multilabel):
    for task, expected in (("multiclass", multiclass), ("multilabel", multilabel)):
        if expected is not None:
            present = intervals_to_frames(table(*rows), 6, 1.0, ("a", "b"), task)
            assert letters(present, "ab") == expected


def test_several_behaviours_at_once():
    rows = table(("v", 0, 3, "a"), ("v", 2, 5, "b"), ("v", 2, 2, "c"))
    present = intervals_to_frames(rows, 5, 1.0, ("a", "b", "c"), "multilabel")
    assert present.tolist() == [[1, 0, 0], [1, 0, 0], [1, 1, 1], [0, 1, 0], [0, 1, 0]]


def test_contradictions_are_told_with_their_lines():
    rows = table(("v", 0, 3, "a"), ("v", 2, 5, "b"), source=["t.csv line 2", "t.csv line 3"])
    with pytest.raises(
        UserError, match=r"t\.csv line 2 \(a\) and t\.csv line 3 \(b\) overlap in v"
    ):
        intervals_to_frames(rows, 6, 1.0, ("a", "b"), "multiclass")
    with pytest.raises(UserError, match="0 to 3 s"):
        intervals_to_frames(rows.drop(columns="source"), 6, 1.0, ("a", "b"), "multiclass")
    with pytest.raises(UserError, match="every label is a class.*b in v"):
        intervals_to_frames(rows, 6, 1.0, ("a",), "multilabel")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("v", 0, 2, "a"), ("v", 2, 3, "b")], []),
        ([("v", 0, 2, "a"), ("v", 1, 3, "a")], []),  # the same label twice contradicts nothing
        ([("v", 0, 9, "a"), ("v", 1, 2, "b"), ("v", 3, 4, "c")], [(0, 1), (0, 2)]),
        ([("v", 0, 9, "a"), ("v", 3, 3, "b"), ("v", 1, 2, None)], []),
        ([("v", 0, 2.0004, "a"), ("v", 2, 3, "b")], []),  # less than a millisecond's rounding
    ],
)
def test_overlaps(rows, expected):
    assert overlaps(table(*rows)) == expected


@given(
    classes=st.lists(st.integers(-1, 2), min_size=1, max_size=60),
    fps=st.sampled_from(RATES),
    between=st.booleans(),
)
def test_frames_to_intervals_and_back(classes, fps, between):
    present = np.zeros((len(classes), 3), dtype=np.int8)
    for frame, label in enumerate(classes):
        present[frame] = -1 if label < 0 else np.eye(3, dtype=np.int8)[label]
    rows = frames_to_intervals(present, fps, ("a", "b", "c"), between=between)
    made = new_annotations(rows.assign(video_id="v"))
    for task in ("multiclass", "multilabel"):
        back = intervals_to_frames(made, len(classes), fps, ("a", "b", "c"), task)
        assert (back == present).all()


def test_boundaries_between_frames_survive_a_rate_with_other_last_digits():
    present = np.tile(np.array([[1, 0], [0, 1]], dtype=np.int8), (50_000, 1))
    rows = frames_to_intervals(present, 30000 / 1001, ("a", "b"), between=True)
    made = new_annotations(rows.assign(video_id="v"))
    back = intervals_to_frames(made, 100_000, 29.97003, ("a", "b"), "multiclass")
    assert (back == present).all()


def test_choosing_annotators_and_subjects():
    rows = table(
        ("v", 0, 1, "a"), ("v", 0, 2, "a"), ("w", 0, 1, "b"),
        annotator=["ann", "bob", "ann"], subject=["m1", "m2", "m1"],
    )  # fmt: skip
    assert len(choose_annotations(rows, annotator="ann")) == 2
    assert len(choose_annotations(rows, annotator="bob", subject="m2")) == 1
    with pytest.raises(UserError, match="1 videos have several, first v.*ann, bob"):
        choose_annotations(rows)
    with pytest.raises(UserError, match="annotator is in the annotations.*eve.*ann, bob"):
        choose_annotations(rows, annotator="eve")
    with pytest.raises(UserError, match="subject is in the annotations.*m3"):
        choose_annotations(rows, subject="m3")
