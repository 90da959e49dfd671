"""Grouped, stratified splits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.manifests import manifest_of
from vidclass.data.leakage import check_leakage
from vidclass.data.manifest import new_manifest
from vidclass.data.splits import LEAVE_ONE_OUT, deployment_split, make_splits, split_hash
from vidclass.errors import UserErrors


def divide(manifest, folds="auto", seed=0, valid_share=0.2, test_share=0.2, balance=()):
    return make_splits(
        manifest,
        valid_share=valid_share,
        test_share=test_share,
        folds=folds,
        seed=seed,
        balance=balance,
    )


sizes = st.lists(st.integers(1, 6), min_size=5, max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from(["a", "b", "c"]), sizes, min_size=2),
    seed=st.integers(0, 2**32),
    folds=st.sampled_from(["auto", None, 2, 3, 5]),
)
def test_every_division_is_sound(counts, seed, folds):
    manifest = manifest_of(counts)
    splits = divide(manifest, folds, seed)
    check_leakage(splits, manifest)
    labelled = splits.merge(manifest[["video_id", "label"]], on="video_id")
    seen = labelled.groupby(["fold", "split"])["label"].nunique()
    assert (seen == len(counts)).all()  # each class in each split of each fold
    num_folds = splits["fold"].nunique()
    assert len(seen) == 3 * num_folds
    assert (splits.groupby("video_id")["fold"].nunique() == num_folds).all()
    if num_folds > 1:
        assert sorted(splits.loc[splits["split"] == "test", "video_id"]) == sorted(
            manifest["video_id"]
        )
    assert split_hash(splits) == split_hash(divide(manifest[::-1], folds, seed))


@settings(max_examples=25, deadline=None)
@given(
    num_groups=st.integers(4, 9),
    num_videos=st.integers(30, 80),
    seed=st.integers(0, 2**32),
)
def test_leave_one_group_out_tests_every_group_once(num_groups, num_videos, seed):
    rows = [
        {"video_id": f"v{n}", "path": "", "label": "ab"[n // num_groups % 2]}
        | {"group": f"g{n % num_groups}"}
        for n in range(num_videos)
    ]
    manifest = new_manifest(pd.DataFrame(rows).assign(split=None))
    splits = divide(manifest, LEAVE_ONE_OUT, seed)
    check_leakage(splits, manifest)
    joined = splits.merge(manifest[["video_id", "group"]], on="video_id")
    tested = joined[joined["split"] == "test"]
    assert splits["fold"].nunique() == num_groups
    assert (tested.groupby("fold")["group"].nunique() == 1).all()
    assert sorted(tested["video_id"]) == sorted(manifest["video_id"])


def test_leave_one_group_out_needs_three_groups_of_each_class():
    with pytest.raises(UserErrors, match="at least 3 groups .* class walk has 2"):
        divide(manifest_of({"walk": [5, 5], "run": [2] * 9}), LEAVE_ONE_OUT)


def test_a_balanced_column_fills_every_split_by_its_share():
    manifest = manifest_of({"a": [1] * 60, "b": [1] * 60})
    manifest["sex"] = np.where(np.arange(120) % 10 < 3, "f", "m")  # 18 of each class
    splits = divide(manifest, None, balance=("sex",)).merge(manifest, on="video_id")
    counts = splits[splits["sex"] == "f"].groupby(["label", "split_x"]).size().unstack()
    wished = 18 * np.array([0.2, 0.64, 0.16])  # test, train, valid
    assert np.abs(counts.to_numpy() - wished).max() < 1
    unbalanced = divide(manifest, None).merge(manifest, on="video_id")
    counts = unbalanced[unbalanced["sex"] == "f"].groupby(["label", "split_x"]).size().unstack()
    assert np.abs(counts.to_numpy() - wished).max() >= 1


def test_a_column_to_balance_has_to_be_there():
    with pytest.raises(UserErrors, match="sex"):
        divide(manifest_of({"a": [1] * 9, "b": [1] * 9}), balance=("sex",))
    animals = manifest_of({"a": [1] * 9, "b": [1] * 9}).assign(sex="f", day="d1")
    with pytest.raises(UserErrors, match="sec; there are: sex, day") as told:
        divide(animals, balance=("sec",))
    assert "did you mean sex?" in str(told.value) and "content_hash" not in str(told.value)


def test_groups_that_hold_every_class_are_divided_evenly():
    rows = [
        {"video_id": f"{label}{g}", "path": "", "label": label, "group": f"seq{g}"}
        for label in "abcdef"
        for g in range(20)
    ]
    splits = divide(new_manifest(pd.DataFrame(rows)))
    assert splits.groupby(["fold", "split"]).size().unstack().to_numpy().tolist() == (
        [[24, 78, 18]] * 5
    )


@pytest.mark.parametrize(("groups", "folds"), [(14, 5), (15, 1)])
def test_auto_takes_folds_under_30_groups(groups, folds):
    manifest = manifest_of({"a": [1] * groups, "b": [1] * groups})
    assert divide(manifest)["fold"].nunique() == folds


def test_shares_are_met_where_groups_are_many():
    manifest = manifest_of({"a": [1] * 100, "b": [1] * 50})
    counts = divide(manifest, None)["split"].value_counts()
    assert counts.to_dict() == {"train": 96, "test": 30, "valid": 24}


def test_another_seed_gives_another_division():
    manifest = manifest_of({"a": [1] * 20, "b": [1] * 20})
    assert split_hash(divide(manifest, seed=0)) != split_hash(divide(manifest, seed=1))


def test_quarantined_and_unlabelled_videos_are_left_out():
    manifest = manifest_of({"a": [1] * 8, "b": [1] * 8})
    manifest.loc[0, "status"] = "quarantined"
    manifest.loc[1, "label"] = None
    assert set(divide(manifest)["video_id"]) == set(manifest["video_id"][2:])


def test_given_splits_are_kept():
    manifest = manifest_of({"a": [1] * 9, "b": [1] * 9})
    manifest["split"] = np.array(["train", "valid", "test"])[np.arange(18) % 3]
    splits = divide(manifest)
    assert splits["fold"].unique().tolist() == [0]
    assert splits["split"].tolist() == manifest["split"].tolist()


def test_validation_is_taken_from_train_where_none_is_given():
    manifest = manifest_of({"a": [2] * 9, "b": [2] * 9})
    test = manifest["group"].isin(["a0", "b0"])
    manifest["split"] = np.where(test, "test", "train")
    splits = divide(manifest)
    check_leakage(splits, manifest)
    assert splits["split"].value_counts().to_dict() == {"train": 24, "valid": 8, "test": 4}


def test_two_folds_leave_train_and_valid_a_group_of_each_class():
    splits = divide(manifest_of({"a": [1] * 5, "b": [1, 1, 5, 1, 1, 1]}), 2)
    assert (splits.groupby("fold")["split"].nunique() == 3).all()


def test_a_class_with_too_few_groups_is_named():
    manifest = manifest_of({"walk": [5, 5], "run": [2] * 9})
    with pytest.raises(UserErrors, match="at least 5 groups .* class walk has 2"):
        divide(manifest)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"valid_share": 0.0}, "valid_share lies between"),
        ({"test_share": 1.5}, "test_share lies between"),
        ({"folds": 1}, "from 2 up"),
    ],
)
def test_wrong_arguments_are_told(options, told):
    with pytest.raises(UserErrors, match=told):
        divide(manifest_of({"a": [1] * 9, "b": [1] * 9}), **options)


@pytest.mark.parametrize(
    ("split", "told"),
    [
        (["train", "test", None], "have none"),
        (["train", "test", "validation"], "validation"),
        (["train", "train", "train"], "train and test"),
    ],
)
def test_wrong_given_splits_are_told(split, told):
    manifest = manifest_of({"a": [1] * 9, "b": [1] * 9})
    manifest["split"] = np.array(split, dtype=object)[np.arange(18) % 3]
    with pytest.raises(UserErrors, match=told):
        divide(manifest)


def test_the_deployment_split_uses_all_videos_and_has_no_test():
    manifest = manifest_of({"a": [1] * 10, "b": [1] * 10})
    splits = deployment_split(manifest, 0.2, seed=0)
    check_leakage(splits, manifest)
    assert splits["split"].value_counts().to_dict() == {"train": 16, "valid": 4}
