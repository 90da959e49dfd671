"""Published splits: as they were, with validation drawn by group from train."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.data.leakage import check_leakage
from vidclass.data.manifest import new_manifest
from vidclass.data.published_splits import divide_videos, published_splits
from vidclass.errors import UserErrors


def manifest_of(num_classes: int, num_groups: int, per_group: int = 2) -> pd.DataFrame:
    """Every third group of a class is test in split 1; the last is unused in split 2."""
    rows = []
    for label in range(num_classes):
        for group in range(num_groups):
            for number in range(per_group):
                name = f"c{label}/g{group:02d}_{number}.avi"
                first = "test" if group % 3 == 0 else "train"
                second = None if group == num_groups - 1 else "test" if group % 3 == 1 else "train"
                rows.append((name, name, f"c{label}", f"c{label}/g{group}", None, first, second))
    columns = ["video_id", "path", "label", "group", "split", "split_1", "split_2"]
    return new_manifest(pd.DataFrame(rows, columns=columns))


def test_three_train_groups_of_each_class_validate():
    manifest = manifest_of(3, 12)
    splits = published_splits(manifest, 1, seed=0)
    joined = splits.merge(manifest, on="video_id", suffixes=("", "_own"))
    assert (joined["fold"] == 0).all() and len(joined) == len(manifest)
    assert ((joined["split"] == "test") == (joined["split_1"] == "test")).all()
    valid = joined[joined["split"] == "valid"].groupby("label")["group"].nunique()
    assert valid.to_dict() == {"c0": 3, "c1": 3, "c2": 3}
    check_leakage(splits, manifest)


def test_all_splits_are_folds_and_unused_videos_are_in_none():
    manifest = manifest_of(2, 9)
    splits = published_splits(manifest, "all", seed=0)
    assert sorted(splits["fold"].unique()) == [0, 1]
    unused = manifest.loc[manifest["split_2"].isna(), "video_id"]
    assert not splits[splits["fold"] == 1]["video_id"].isin(unused).any()
    assert len(splits) == 2 * len(manifest) - len(unused)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 1000), st.integers(1, 5))
def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_rows(shuffle, seed, valid_groups):
    manifest = manifest_of(2, 9)
    order = np.random.default_rng(shuffle).permutation(len(manifest))
    there = published_splits(manifest, 2, seed=seed, valid_groups=valid_groups)
    again = published_splits(manifest.iloc[order], 2, seed=seed, valid_groups=valid_groups)
    pd.testing.assert_frame_equal(there.reset_index(drop=True), again.reset_index(drop=True))
    check_leakage(there, manifest)


def test_other_seeds_draw_other_groups():
    manifest = manifest_of(2, 12)
    drawn = {
        tuple(splits.loc[splits["split"] == "valid", "video_id"])
        for splits in (published_splits(manifest, 1, seed=seed) for seed in range(5))
    }
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("change", "number", "told"),
    [
        (lambda m: m, 3, "one that the data set has.*3.*one of: 1, 2, or all"),
        (lambda m: m.assign(split_1="val"), 1, "split_1 says train, valid, test.*val"),
        (lambda m: m.assign(split_1="train"), 1, "split_1 holds train and test"),
        (lambda m: m.assign(group=m["label"]), 1, "class c0 has 1"),
    ],
)
def test_what_cannot_be_divided_is_told(change, number, told):
    with pytest.raises(UserErrors, match=told):
        published_splits(change(manifest_of(2, 9)), number, seed=0)


def test_a_published_validation_list_is_kept():
    manifest = manifest_of(2, 9)
    manifest.loc[manifest["group"].str.endswith("g4"), "split_1"] = "valid"
    splits = published_splits(manifest, 1, seed=0).merge(manifest, on="video_id")
    assert set(splits.loc[splits["split_x"] == "valid", "group"]) == {"c0/g4", "c1/g4"}


def test_equal_files_in_lists_of_a_set_with_one_split_are_the_publishers():
    """Kinetics and Something-Something: validation is a share of train, the lists are kept."""
    manifest = manifest_of(2, 12).drop(columns="split_2")
    manifest["split"] = manifest["split_1"]
    manifest["content_hash"] = manifest["video_id"]
    copied = manifest["video_id"].isin(["c0/g00_0.avi", "c0/g01_0.avi"])
    manifest.loc[copied, "content_hash"] = "same"
    shares = {"valid_share": 0.25, "test_share": 0.2, "folds": "auto", "seed": 0}
    splits = divide_videos(manifest, published=1, **shares)
    tested = manifest.loc[manifest["split"] == "test", "video_id"]
    assert set(splits.loc[splits["split"] == "test", "video_id"]) == set(tested)
    assert (splits["split"] == "valid").sum() == 8
    (warning,) = check_leakage(splits, manifest)
    assert "the published split itself has 1 contents in two parts (2 files)" in warning
