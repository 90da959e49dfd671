"""Sliding windows: counts, labels and what is left out."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.data.annotations import frames_to_intervals, new_annotations
from vidclass.data.windows import label_windows, window_starts, window_table
from vidclass.errors import UserError, UserErrors

NAMES = ("a", "b", "c")


def labelled(**texts):
    """Return annotations and videos of texts of one character a frame, ``?`` for unlabelled."""
    parts = []
    for video_id, text in texts.items():
        present = np.array(
            [[-1] * 3 if x == "?" else [int(x == name) for name in NAMES] for x in text], np.int8
        )
        parts.append(frames_to_intervals(present, 10.0, NAMES).assign(video_id=video_id))
    videos = pd.DataFrame({"video_id": list(texts), "num_frames": [len(t) for t in texts.values()]})
    return new_annotations(pd.concat(parts)), videos.assign(fps=10.0)


def labels(text, task="multiclass", **options):
    return window_table(*labelled(v=text), NAMES, task, **options).iloc[:, -1].tolist()


def test_the_ancestors_sample_gives_262_170_and_281_windows():
    """Runs of its three videos (restated in the design); label of the last of 5 frames."""
    runs = {
        "s26": (22, 41, 116, 46, 41),
        "s27": (13, 33, 55, 50, 23),
        "s28": (37, 42, 93, 91, 22),
    }
    texts = {
        name: "".join("ab"[k % 2] * n for k, n in enumerate(lengths))
        for name, lengths in runs.items()
    }
    assert {name: len(text) for name, text in texts.items()} == {"s26": 266, "s27": 174, "s28": 285}
    annotations, videos = labelled(**texts)
    table = window_table(annotations, videos, NAMES, "multiclass", length_frames=5)
    assert table["video_id"].value_counts().to_dict() == {"s26": 262, "s27": 170, "s28": 281}
    for name, text in texts.items():
        assert "".join(table.loc[table["video_id"] == name, "label"]) == text[4:]
    assert table["sample_id"].is_unique
    inside = table.merge(videos)
    assert (inside["last_frame"] < inside["num_frames"]).all() and (
        inside["first_frame"] >= 0
    ).all()
    assert (inside["last_frame"] - inside["first_frame"] == 4).all()


@given(st.integers(0, 40), st.integers(1, 45), st.integers(1, 10))
def test_windows_lie_in_the_video(num_frames, length, stride):
    starts = window_starts(num_frames, length, stride)
    expected = 0 if num_frames < length else (num_frames - length) // stride + 1
    assert len(starts) == expected
    if expected:
        assert starts[0] == 0 and starts[-1] + length <= num_frames


@pytest.mark.parametrize(
    ("label_from", "expected"),
    [("last", list("aabb")), ("centre", list("aaab")), ("majority", list("aaab"))],
)
def test_which_frame_labels_a_window(label_from, expected):
    assert labels("aaaabb", length_frames=3, label_from=label_from) == expected


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("aabb", 4, ["b"]),  # of equals the one seen last
        ("abba", 4, ["a"]),
        ("a??", 3, []),  # more than half unlabelled
        ("a??b", 4, ["b"]),  # exactly half
        ("????", 2, []),
        ("abcab", 5, ["b"]),
    ],
)
def test_majority(text, length, expected):
    assert labels(text, length_frames=length, label_from="majority") == expected


@pytest.mark.parametrize(("label_from", "expected"), [("last", ["a", "b"]), ("centre", ["a", "b"])])
def test_windows_labelled_by_an_unlabelled_frame_are_left_out(label_from, expected):
    text = "aa?b" if label_from == "last" else "aa?bb"
    assert labels(text, length_frames=2 if label_from == "last" else 3, label_from=label_from) == (
        expected
    )


def test_several_labels_a_window():
    rows = pd.DataFrame(
        [("v", 0.0, 0.4, "a"), ("v", 0.2, 0.3, "b")],
        columns=["video_id", "start_s", "end_s", "label"],
    )
    videos = pd.DataFrame({"video_id": ["v"], "num_frames": [6], "fps": [10.0]})
    args = (new_annotations(rows), videos, NAMES, "multilabel")
    last = window_table(*args, length_frames=2)
    assert last["labels"].tolist() == [("a",), ("a", "b"), ("a",), (), ()]
    majority = window_table(*args, length_frames=3, label_from="majority")
    assert majority["labels"].tolist() == [("a",), ("a",), ("a",), ()]


def test_lengths_and_strides_in_seconds_follow_the_rate_of_each_video():
    annotations, videos = labelled(v="a" * 20, w="b" * 20)
    videos["fps"] = [10.0, 5.0]
    table = window_table(annotations, videos, NAMES, "multiclass", length_s=1.0, stride_s=0.5)
    sizes = (table["last_frame"] - table["first_frame"] + 1).groupby(table["video_id"]).unique()
    assert sizes["v"].tolist() == [10] and sizes["w"].tolist() == [5]
    assert table.loc[table["video_id"] == "v", "first_frame"].tolist() == [0, 5, 10]


def test_unlabelled_and_short_videos_give_none():
    annotations, videos = labelled(v="aa")
    unlabelled = pd.DataFrame({"video_id": ["w"], "num_frames": [99], "fps": [10.0]})
    table = window_table(
        annotations, pd.concat([videos, unlabelled]), NAMES, "multiclass", length_frames=3
    )
    assert table.empty and list(table) == [
        "sample_id", "video_id", "first_frame", "last_frame", "label",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"length_frames": 0}, {"length_frames": 5, "length_s": 1.0}, {"length_s": -1.0},
     {"length_frames": 5, "stride_frames": 0}, {"length_frames": 5, "stride_frames": 1,
                                               "stride_s": 1.0}],
)  # fmt: skip
def test_lengths_that_are_none(options):
    with pytest.raises(UserError, match="of a window is one positive number"):
        labels("aaaa", **options)


def test_contradictions_of_all_videos_are_told_at_once():
    rows = [(v, s, e, x) for v in ("v", "w") for s, e, x in ((0.0, 2.0, "a"), (1.0, 3.0, "b"))]
    annotations = new_annotations(
        pd.DataFrame(rows, columns=["video_id", "start_s", "end_s", "label"])
    )
    videos = pd.DataFrame({"video_id": ["v", "w"], "num_frames": [30, 30], "fps": [10.0, 10.0]})
    with pytest.raises(UserErrors) as error:
        window_table(annotations, videos, NAMES, "multiclass", length_frames=5)
    assert len(error.value.errors) == 2


@given(
    text=st.text("ab?", min_size=1, max_size=30),
    length=st.integers(1, 6),
    label_from=st.sampled_from(["last", "centre", "majority"]),
)
def test_labels_are_those_of_a_plain_loop(text, length, label_from):
    present = np.array([[-1, -1] if x == "?" else [x == "a", x == "b"] for x in text], np.int8)
    starts = window_starts(len(text), length, 1)
    kept, marks = label_windows(present, starts, length, label_from, "multiclass")
    for n, start in enumerate(starts):
        window = text[start : start + length]
        if label_from == "majority":
            known = window.replace("?", "")
            counts = {x: known.count(x) for x in known}
            best = [x for x in counts if counts[x] == max(counts.values())]
            expected = max(best, key=known.rindex) if 2 * len(known) >= length and known else "?"
        else:
            expected = window[-1] if label_from == "last" else window[length // 2]
        found = "ab"[int(np.flatnonzero(marks[n])[0])] if kept[n] else "?"
        assert found == expected
