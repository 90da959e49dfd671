"""Which videos can be used, what they show, and the samples made of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vidclass.data.annotations import new_annotations
from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.sample_table import (
    Labelling,
    Windows,
    labelled,
    make_samples,
    select_labelled,
)
from vidclass.data.splits import make_splits
from vidclass.errors import UserError, UserErrors

STORED = pd.DataFrame({"video_id": list("abcd"), "T": 20, "fps": 10.0})


def dataset(labels=(None, None, None, None), annotations=None, **options):
    rows = pd.DataFrame(
        {"video_id": list("abcd"), "label": list(labels), "group": list("ggh") + ["i"]}
    )
    intervals = None if annotations is None else new_annotations(pd.DataFrame(annotations))
    return Dataset(Path("videos"), new_manifest(rows), True, annotations=intervals, **options)


def intervals(*rows, annotator=None):
    return [
        {"video_id": v, "start_s": start, "end_s": end, "label": label, "annotator": annotator}
        for v, start, end, label in rows
    ]


def test_plain_videos_need_no_table_of_their_own():
    data = dataset(["run", "turn", None, "run"])
    found = labelled(data.manifest, data, Labelling())
    assert found.videos["video_id"].tolist() == ["a", "b", "d"]
    assert found.classes == ["run", "turn"]
    assert make_samples(found, STORED, Labelling()) is None
    pd.testing.assert_frame_equal(
        found.rows_to_divide()[["video_id", "label", "group"]],
        found.videos[["video_id", "label", "group"]],
    )


def test_a_video_may_name_several_classes_or_none():
    data = dataset(["run; turn", ";", None, "turn;turn"])
    how = Labelling(task="multilabel")
    found = labelled(data.manifest, data, how)
    samples = make_samples(found, STORED, how)
    assert found.classes == ["run", "turn"]
    assert samples["sample_id"].tolist() == ["a", "b", "d"]
    assert samples["label_ids"].tolist() == [(0, 1), (), (1,)]
    assert samples["group"].tolist() == ["g", "g", "i"]
    assert found.rows_to_divide()["label"].tolist() == ["run", "turn", "turn", "turn"]


def test_several_labels_of_a_video_from_its_intervals():
    rows = intervals(
        ("a", 0, 1, "run"), ("a", 0.5, 2, "turn"), ("b", 0, 1, None), ("c", 0, 1, "run")
    )
    data = dataset(annotations=rows, class_names=("turn", "run", "sit"))
    how = Labelling(task="multilabel")
    found = labelled(data.manifest, data, how)
    assert found.classes == ["turn", "run", "sit"]
    samples = make_samples(found, STORED, how)
    assert samples["label_ids"].tolist() == [(0, 1), (), (1,)]


def test_windows_of_one_label():
    rows = intervals(("a", 0, 1, "run"), ("a", 1, 2, "turn"), ("c", 0, 1, "turn"))
    data = dataset(annotations=rows)
    how = Labelling(windows=Windows(length_frames=5, stride_frames=5, label_from="last"))
    found = labelled(data.manifest, data, how)
    samples = make_samples(found, STORED, how)
    assert samples["video_id"].tolist() == ["a"] * 4 + ["c"] * 2
    assert samples["label_id"].tolist() == [0, 0, 1, 1, 1, 1]
    assert samples["first_frame"].tolist() == [0, 5, 10, 15, 0, 5]
    assert (samples["last_frame"] - samples["first_frame"] == 4).all()
    assert samples["group"].tolist() == ["g"] * 4 + ["h"] * 2


def test_the_annotator_is_chosen():
    rows = intervals(("a", 0, 2, "run"), annotator="x") + intervals(
        ("a", 0, 2, "turn"), annotator="y"
    )
    data = dataset(annotations=rows)
    how = Labelling("multilabel", annotator="y")
    assert labelled(data.manifest, data, how).classes == ["turn"]
    with pytest.raises(UserError, match="one annotator"):
        labelled(data.manifest, data, Labelling("multilabel"))


@pytest.mark.parametrize(
    ("labels", "annotations", "how", "message"),
    [
        ((None,) * 4, intervals(("a", 0, 1, "run")), Labelling(), "neither data.windows nor"),
        (("run",) * 4, None, Labelling(windows=Windows(length_frames=5)), "labels whole videos"),
    ],
)
def test_labels_of_another_kind_are_refused(labels, annotations, how, message):
    data = dataset(labels, annotations)
    with pytest.raises(UserError, match=message):
        labelled(data.manifest, data, how)


@pytest.mark.parametrize(
    "fields",
    [{}, {"length_s": 1, "length_frames": 5}, {"length_s": 1, "stride_s": 1, "stride_frames": 1}],
)
def test_windows_have_one_length_and_one_stride(fields):
    with pytest.raises(ValueError, match="windows have a"):
        Windows(**fields)


def test_windows_longer_than_all_recordings_are_refused():
    data = dataset(annotations=intervals(("a", 0, 1, "run")))
    how = Labelling(windows=Windows(length_s=3.0))
    with pytest.raises(UserError, match="recordings of up to 20 frames"):
        make_samples(labelled(data.manifest, data, how), STORED, how)


def test_groups_are_divided_by_all_classes_that_they_show():
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({"video_id": [f"v{n:02d}" for n in range(60)]})
    rows["group"] = [f"g{n // 3:02d}" for n in range(60)]
    shows = generator.random((60, 3)) < [0.9, 0.5, 0.1]
    rows["label"] = [";".join(np.array(["a", "b", "c"])[row]) or ";" for row in shows]
    data = Dataset(Path("videos"), new_manifest(rows), True)
    found = labelled(data.manifest, data, Labelling("multilabel"))
    splits = make_splits(
        found.rows_to_divide(), valid_share=0.25, test_share=0.25, folds=None, seed=0
    ).drop_duplicates(["fold", "video_id"])
    assert sorted(splits["video_id"]) == sorted(rows["video_id"])
    placed = splits.merge(rows, on="video_id")
    assert placed.groupby("group")["split"].nunique().max() == 1
    rare = placed[placed["label"].str.contains("c")]["split"].value_counts()
    assert set(rare.index) == {"train", "valid", "test"}


def test_some_classes_and_a_share_of_videos_of_several():
    data = dataset(["run;turn", "sit", "run", "sit;turn"])
    how = Labelling("multilabel")
    part = select_labelled(data, how, classes=["turn", "run"], share=None, seed=0)
    assert part.manifest.set_index("video_id")["label"].to_dict() == {
        "a": "run;turn",
        "c": "run",
        "d": "turn",
    }
    found = labelled(part.manifest, part, how)
    assert found.classes == ["run", "turn"]
    half = select_labelled(data, how, classes=None, share=0.5, seed=0)
    assert 0 < len(half.manifest) < 4
    with pytest.raises(UserErrors, match="did you mean turn"):
        select_labelled(data, how, classes=["turm", "run"], share=None, seed=0)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("multilabel", {"a": [(0,), ()], "c": [(1,), ()]}),
        ("multiclass", {"a": [0], "c": [1]}),
    ],
)
def test_labels_of_other_classes_go(task, expected):
    rows = intervals(
        ("a", 0, 1, "run"), ("a", 1, 2, "turn"), ("b", 0, 2, "turn"), ("c", 0, 1, "sit")
    )
    data = dataset(annotations=rows)
    windows = Windows(length_frames=10, stride_frames=10)
    how = Labelling(task, windows)
    part = select_labelled(data, how, classes=["run", "sit"], share=None, seed=0)
    samples = make_samples(labelled(part.manifest, part, how), STORED, how)
    which = "label_ids" if task == "multilabel" else "label_id"
    shown = {video: rows[which].tolist() for video, rows in samples.groupby("video_id")}
    assert shown == expected
