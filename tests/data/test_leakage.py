"""What is in two splits of a fold is found and named: groups, contents, footage."""

import numpy as np
import pandas as pd
import pytest

from tests.data.manifests import manifest_of
from vidclass.data.leakage import TOLD_ERRORS, check_leakage, crossings, find_leaks, leak_table
from vidclass.data.published_splits import published_splits
from vidclass.data.splits import DEPLOY_FOLD, deployment_split, make_splits
from vidclass.errors import UserErrors

MANIFEST = manifest_of({"a": [2] * 6, "b": [2] * 6})


def divide(manifest: pd.DataFrame, folds: int | None = None) -> pd.DataFrame:
    return make_splits(manifest, valid_share=0.2, test_share=0.2, folds=folds, seed=0)


def one_of_each(splits: pd.DataFrame) -> tuple[str, str]:
    """Return a video of train and one of test, in fold 0."""
    first = splits[splits["fold"] == 0].set_index("video_id")["split"]
    return first.index[first == "train"][0], first.index[first == "test"][0]


def test_a_group_in_two_splits_is_named() -> None:
    splits = divide(MANIFEST)
    moved = np.where(splits["video_id"] == "a/0-1", "other", splits["split"])
    with pytest.raises(UserErrors, match="group a0 in fold 0: a/0-0 .*a/0-1 .other") as error:
        check_leakage(splits.assign(split=moved), MANIFEST)
    assert len(error.value.errors) == 1


def test_equal_content_names_files_groups_and_splits() -> None:
    splits = divide(MANIFEST)
    train, test = one_of_each(splits)
    copied = MANIFEST["video_id"].isin([train, test])
    hashes = MANIFEST["content_hash"].mask(copied, "same")
    (leak,) = find_leaks(splits, MANIFEST.assign(content_hash=hashes))
    groups = MANIFEST.set_index("video_id")["group"]
    assert leak.kind == "content"
    expected = {(train, groups[train], "train"), (test, groups[test], "test")}
    assert set(leak.files) == expected
    assert f"{train} (train, group {groups[train]})" in str(leak.error)


def test_equal_content_within_a_split_is_no_leak() -> None:
    splits = divide(MANIFEST)
    train = splits.loc[splits["split"] == "train", "video_id"][:3]
    hashes = MANIFEST["content_hash"].mask(MANIFEST["video_id"].isin(train), "same")
    check_leakage(splits, MANIFEST.assign(content_hash=hashes))


def test_a_pair_of_equal_footage_is_told_with_the_fold_in_which_it_is_apart() -> None:
    splits = divide(MANIFEST, folds=3)
    train, test = one_of_each(splits)
    pair = {"video_a": [train], "video_b": [test], "told": ["the same footage"]}
    (leak,) = find_leaks(splits, MANIFEST, pd.DataFrame(pair))
    assert leak.kind == "near_duplicate" and leak.folds[0] == 0
    assert {file[0] for file in leak.files} == {train, test}
    together = splits[splits["video_id"] == train].merge(
        splits[splits["video_id"] == test], on="fold"
    )
    apart = together.loc[together["split_x"] != together["split_y"], "fold"]
    assert leak.folds == tuple(sorted(apart))
    with pytest.raises(UserErrors, match="near_duplicates: warn"):
        check_leakage(splits, MANIFEST, pd.DataFrame(pair))


def test_a_copy_is_not_told_again_as_equal_footage() -> None:
    splits = divide(MANIFEST)
    train, test = one_of_each(splits)
    hashes = MANIFEST["content_hash"].mask(MANIFEST["video_id"].isin([train, test]), "same")
    pair = {"video_a": [train], "video_b": [test], "told": ["the same footage"]}
    leaks = find_leaks(splits, MANIFEST.assign(content_hash=hashes), pd.DataFrame(pair))
    assert [leak.kind for leak in leaks] == ["content"]


def test_many_leaks_are_told_in_part_and_listed_in_full() -> None:
    many = manifest_of({"a": [2] * 60, "b": [2] * 60})
    splits = divide(many)
    odd = splits["video_id"].str.endswith("-1")
    leaking = splits.assign(split=np.where(odd, "valid", splits["split"]))
    leaks = find_leaks(leaking, many)
    assert len(leaks) > TOLD_ERRORS
    with pytest.raises(UserErrors) as error:
        check_leakage(leaking, many)
    assert len(error.value.errors) == TOLD_ERRORS + 1
    assert f"{len(leaks) - TOLD_ERRORS} more" in str(error.value)
    assert leak_table(leaks)["leak"].nunique() == len(leaks)


def test_columns_that_cross_train_and_test_are_counted() -> None:
    manifest = MANIFEST.assign(camera=["c1", "c2"] * 12, session=MANIFEST["group"])
    found = crossings(divide(manifest, 3), manifest, ["camera", "session"]).set_index("column")
    assert found.loc["camera", ["values", "shared"]].tolist() == [2, 2]
    assert found.loc["session", ["shared", "example"]].tolist() == [0, ""]


def test_equal_content_in_a_published_split_is_a_warning_and_in_own_ones_is_refused() -> None:
    group = MANIFEST["group"].str[1:].astype(int)
    lists = {f"split_{n}": np.where(group % 3 == n, "test", "train") for n in (1, 2)}
    copied = MANIFEST["video_id"].isin(["a/0-0", "a/1-0"])
    hashes = MANIFEST["content_hash"].mask(copied, "same")
    manifest = MANIFEST.assign(content_hash=hashes, **lists).astype({"split_1": object})
    splits = published_splits(manifest, "all", seed=0)
    (warning,) = check_leakage(splits, manifest)
    assert "itself has 1 contents in two parts (2 files)" in warning
    assert "a/1-0 (test, group a1)" in warning
    everything = deployment_split(manifest, 0.2, 0).assign(fold=DEPLOY_FOLD)
    (again,) = check_leakage(pd.concat([splits, everything]), manifest)
    assert "itself has 1 contents in two parts" in again
    footage = {"video_a": ["a/0-0"], "video_b": ["a/1-0"], "told": ["the same footage"]}
    different = manifest.assign(content_hash=MANIFEST["content_hash"])
    (alike,) = check_leakage(splits, different, pd.DataFrame(footage))
    assert "itself has 1 pairs of equal footage in two parts (2 files)" in alike
    own = splits.assign(split=splits["split"].mask(splits["video_id"] == "b/5-0", "test"))
    with pytest.raises(UserErrors, match="equal content"):
        check_leakage(own, manifest)
    group_leak = manifest.assign(group=manifest["group"].mask(copied, "both"))
    with pytest.raises(UserErrors, match="group both in fold 0"):
        check_leakage(splits, group_leak)
