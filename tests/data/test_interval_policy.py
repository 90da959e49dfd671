"""What is wrong with intervals, told and mended."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.data.annotations import intervals_to_frames, overlaps
from vidclass.data.interval_policy import (
    PROBLEMS,
    REPORT_COLUMNS,
    Policy,
    apply_policy,
    refusals,
    unreadable_report,
)
from vidclass.errors import UserError

COLUMNS = ["video_id", "start_s", "end_s", "label"]
NAMES = ("a", "b", "c", "none")


def table(*rows):
    made = pd.DataFrame([("v", *row) for row in rows], columns=COLUMNS).astype({"label": object})
    made["source"] = [f"t.csv line {line}" for line in range(2, len(made) + 2)]
    return made.assign(subject=None, annotator=None)


def repaired(rows, *problems, background=None, task="multiclass", duration_s=6.0):
    policy = Policy.of(problems or ["all"], background)
    return apply_policy(table(*rows), policy, task, {"v": duration_s})


def shown(rows):
    return [tuple(row) for row in rows[COLUMNS[1:]].itertuples(index=False)]


@pytest.mark.parametrize(
    ("rows", "problem", "kept", "action"),
    [
        ([(0, 2, "a"), (6, 2, "b")], "reversed", [(0, 2, "a"), (2, 6, "b")], "changed places"),
        ([(0, 6, "a"), (2, 2, "b")], "empty", [(0, 6, "a"), (2, 2, "b")], "marks one frame"),
        ([(0, 6, "a"), (0, 6, "a")], "duplicate", [(0, 6, "a")], "dropped"),
        ([(0, 9, "a")], "outside", [(0, 6, "a")], "cut off"),
        ([(0, 6, "a"), (7, 9, "b")], "outside", [(0, 6, "a")], "dropped"),
        (
            [(0, 3, "a"), (2, 6, "b")],
            "overlapping",
            [(0, 2, "a"), (2, 6, "b")],
            "cut to 00:00:00.000 to 00:00:02.000: t.csv line 3 holds",
        ),
        (
            [(0, 6, "a"), (1, 2, "b"), (3, 4, "c")],
            "overlapping",
            [(0, 1, "a"), (1, 2, "b"), (2, 3, "a"), (3, 4, "c"), (4, 6, "a")],
            "cut to",
        ),
        ([(0, 6, "a"), (0, 6, "b")], "overlapping", [(0, 6, "b")], "dropped: t.csv line 3"),
        ([(0, 6, "a"), (0, 2, "b")], "overlapping", [(0, 2, "b"), (2, 6, "a")], "cut to"),
        ([(0, 6, "a"), (2, 3, None)], "unlabelled", [(0, 6, "a"), (2, 3, None)], "nobody looked"),
        ([(1, 3, "a")], "unlabelled", [(1, 3, "a")], "left unlabelled"),
    ],
)
def test_each_problem_is_refused_or_repaired_and_told(rows, problem, kept, action):
    mended, report = repaired(rows, problem)
    assert shown(mended) == [(float(a), float(b), x) for a, b, x in kept]
    assert tuple(report.columns) == REPORT_COLUMNS
    told = report[report["problem"] == problem]
    assert action in told["action"].iloc[0]
    assert problem not in {error.rule.split()[-1] for error in refusals(report)}

    untouched, report = apply_policy(table(*rows), Policy(), "multiclass", {"v": 6.0})
    assert sorted(shown(untouched), key=str) == sorted(
        [(float(a), float(b), x) for a, b, x in rows], key=str
    )
    (error,) = [e for e in refusals(report) if e.rule == f"no interval is {problem}"]
    assert f"--repair {problem}" in error.remedy
    assert "t.csv line" in str(error.received) or "time without a row" in str(error.received)


def test_time_without_a_row_is_given_to_the_background():
    mended, report = repaired([(1, 2, "a"), (4, 5, "b")], background="none")
    assert shown(mended) == [
        (0, 1, "none"), (1, 2, "a"), (2, 4, "none"), (4, 5, "b"), (5, 6, "none"),
    ]  # fmt: skip
    assert report["problem"].tolist() == ["unlabelled"] * 3


def test_several_labels_at_a_time_contradict_nothing_where_they_may():
    rows = [(0, 3, "a"), (2, 4, "b")]
    mended, report = apply_policy(table(*rows), Policy(), "multilabel", {"v": 6.0})
    assert shown(mended) == rows and report.empty
    mended, report = repaired(rows, background="none", task="multilabel")
    assert shown(mended)[-1] == (4, 6, "none") and len(report) == 1


def test_annotators_side_by_side_do_not_overlap():
    rows = table((0, 6, "a"), (0, 6, "b")).assign(annotator=["ann", "bob"])
    mended, report = apply_policy(rows, Policy(), "multiclass")
    assert len(mended) == 2 and report.empty


def test_all_refusals_come_at_once():
    rows = [(3, 2, "a"), (0, 2, "a"), (1, 4, "b"), (4, 4, "c"), (5, 9, None), (5, 9, None)]
    _, report = apply_policy(table(*rows), Policy(), "multiclass", {"v": 6.0})
    report = pd.concat([report, unreadable_report(table((0, 1, "a")), Policy())])
    assert [error.rule.removeprefix("no interval is ") for error in refusals(report)] == list(
        PROBLEMS
    )


def test_an_unknown_problem_is_told():
    with pytest.raises(UserError, match="can be repaired is known.*gap.*overlapping"):
        Policy.of(["gap"], None)


INTERVALS = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 70), st.sampled_from(["a", "b", "c", None])),
    max_size=12,
)


@settings(max_examples=40)
@given(rows=INTERVALS, background=st.sampled_from([None, "none"]))
def test_repaired_intervals_always_make_frames(rows, background):
    """Whatever was written: after repair one label holds at a time, and the video is not left."""
    rows = [(a / 10, b / 10, x) for a, b, x in rows]
    mended, report = repaired(rows, background=background)
    assert not refusals(report)
    assert not overlaps(mended) and (mended["start_s"] <= mended["end_s"]).all()
    assert mended["end_s"].le(6.0).all() if len(mended) else True
    present = intervals_to_frames(mended, 60, 10.0, NAMES, "multiclass")
    assert (present[(present >= 0).all(axis=1)].sum(axis=1) == 1).all()
    again, report = apply_policy(mended, Policy.of(["all"], background), "multiclass", {"v": 6.0})
    assert (intervals_to_frames(again, 60, 10.0, NAMES, "multiclass") == present).all()


@settings(max_examples=40)
@given(rows=INTERVALS)
def test_painting_in_order_of_start_gives_the_same_frames(rows):
    rows = [(min(a, b) / 10, max(a, b) / 10, x) for a, b, x in rows if x is not None and a != b]
    rows = [row for n, row in enumerate(rows) if row not in rows[:n]]
    mended, _ = repaired(rows, duration_s=8.0)
    found = intervals_to_frames(mended, 80, 10.0, NAMES, "multiclass")
    painted = ["?"] * 80
    for a, b, x in sorted(rows, key=lambda row: (row[0], -row[1])):
        painted[round(a * 10) : round(b * 10)] = [x] * (round(b * 10) - round(a * 10))
    assert [
        next((n for n, there in zip(NAMES, frame, strict=True) if there == 1), "?")
        for frame in found
    ] == painted


def test_the_time_of_a_reversed_row_is_not_told_as_time_without_a_row():
    rows = [(0, 2, "a"), (4, 2, "b"), (4, 6, "a")]
    _, report = apply_policy(table(*rows), Policy(), "multiclass", {"v": 6.0})
    assert report["problem"].tolist() == ["reversed"]
