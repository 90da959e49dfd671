"""Holding out by a column of the data set."""

import numpy as np
import pytest

from tests.data.manifests import manifest_of
from vidclass.data.groups import hold_out_by, nesting
from vidclass.data.leakage import check_leakage
from vidclass.data.splits import make_splits
from vidclass.errors import UserError

# six animals, two sessions each, one camera for all, a day for two animals
MANIFEST = manifest_of({"groom": [2] * 12, "rear": [2] * 12})
NUMBER = MANIFEST["group"].str.removeprefix("groom").str.removeprefix("rear").astype(int)
MANIFEST = MANIFEST.assign(
    animal="m" + (NUMBER // 2).astype(str),
    session="s" + NUMBER.astype(str),
    day="d" + (NUMBER // 4).astype(str),
    camera=np.where(NUMBER % 2, "left", "right"),
)


def test_whole_animals_are_held_out_with_all_their_sessions() -> None:
    manifest = hold_out_by(MANIFEST, "animal")
    splits = make_splits(manifest, valid_share=0.2, test_share=0.2, folds=3, seed=0)
    check_leakage(splits, manifest)
    check_leakage(splits, hold_out_by(MANIFEST, "session"))  # a session lies within an animal
    joined = splits.merge(MANIFEST, on="video_id")
    assert (joined.groupby(["fold", "animal"])["split_x"].nunique() == 1).all()


def test_several_columns_make_a_unit_of_each_combination() -> None:
    groups = hold_out_by(MANIFEST, "animal+camera")["group"]
    assert groups.nunique() == 12 and groups.iloc[0] == "m0/right"


@pytest.mark.parametrize("column", [None, "group"])
def test_nothing_changes_without_a_column(column: str | None) -> None:
    assert hold_out_by(MANIFEST, column) is MANIFEST


@pytest.mark.parametrize(
    ("column", "told"),
    [("animl", "did you mean animal"), ("weather", "there are: group, animal, session")],
)
def test_a_column_that_is_not_there_is_told(column: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        hold_out_by(MANIFEST, column)


def test_a_labelled_video_without_a_value_is_named() -> None:
    manifest = MANIFEST.assign(animal=MANIFEST["animal"].mask(MANIFEST.index == 5, None))
    with pytest.raises(UserError, match=MANIFEST["video_id"][5]):
        hold_out_by(manifest, "animal")
    unlabelled = manifest.assign(label=manifest["label"].mask(manifest.index == 5, None))
    assert len(hold_out_by(unlabelled, "animal")) == len(manifest)


def test_what_lies_within_what_is_said() -> None:
    told = nesting(MANIFEST, ["day", "animal", "session", "camera"])
    assert "each animal lies within one day" in told
    assert "each session lies within one animal" in told
    assert "camera crosses animal (2 values in several)" in told
    same = nesting(MANIFEST.assign(cage=MANIFEST["animal"]), ["animal", "cage"])
    assert same == ["cage and animal say the same"]
