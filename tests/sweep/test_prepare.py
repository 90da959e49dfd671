"""How a study divides its videos: published splits, or its own."""

from pathlib import Path

import pandas as pd
import pytest

from vidclass.data.manifest import new_manifest
from vidclass.data.splits import DEPLOY_FOLD
from vidclass.errors import UserErrors
from vidclass.sweep.division import divide
from vidclass.sweep.load import load_study_file
from vidclass.sweep.plan import plan_lines
from vidclass.sweep.prepare import check_source
from vidclass.sweep.spec import DataSpec


@pytest.fixture
def videos() -> pd.DataFrame:
    """Two classes of nine groups; groups 3n + k are test in split k."""
    rows = []
    for label in "ab":
        for group in range(9):
            lists = ["test" if group % 3 == split else "train" for split in range(3)]
            rows.append((f"{label}{group}", "path", label, f"{label}{group}", None, *lists))
    columns = ["video_id", "path", "label", "group", "split", "split_1", "split_2", "split_3"]
    return new_manifest(pd.DataFrame(rows, columns=columns))


def parts(videos: pd.DataFrame, **split: object) -> dict[tuple[int, str], int]:
    splits = divide(videos, DataSpec.model_validate({"split": split}))
    return splits.groupby(["fold", "split"]).size().to_dict()


def test_the_first_published_split_is_taken_unless_told_otherwise(videos: pd.DataFrame) -> None:
    assert parts(videos) == {(0, "train"): 6, (0, "valid"): 6, (0, "test"): 6}
    first = divide(videos, DataSpec())
    assert set(first.loc[first["split"] == "test", "video_id"]) == {
        "a0",
        "a3",
        "a6",
        "b0",
        "b3",
        "b6",
    }
    third = divide(videos, DataSpec.model_validate({"split": {"published": 3}}))
    assert "a2" in set(third.loc[third["split"] == "test", "video_id"])


def test_all_published_splits_are_folds_beside_the_deployment(videos: pd.DataFrame) -> None:
    found = parts(videos, published="all")
    assert {fold for fold, _ in found} == {0, 1, 2, DEPLOY_FOLD}
    assert all(found[fold, "test"] == 6 for fold in range(3))
    assert found[DEPLOY_FOLD, "train"] + found[DEPLOY_FOLD, "valid"] == 18


def test_own_folds_leave_the_published_splits_aside(videos: pd.DataFrame) -> None:
    found = parts(videos, published=None, folds=3)
    assert sum(found[fold, "test"] for fold in range(3)) == 18
    with pytest.raises(UserErrors, match="folds 3 and published 1"):
        parts(videos, folds=3)
    with pytest.raises(UserErrors, match="one of: 1, 2, 3, or all"):
        parts(videos, published=4)


def test_a_study_names_its_published_split_before_it_starts(tmp_path: Path) -> None:
    root = tmp_path / "ucf"
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    names = {"train": [], "test": []}
    for label in ("Biking", "Diving"):
        (root / "UCF-101" / label).mkdir(parents=True)
        for group in range(1, 13):
            name = f"{label}/v_{label}_g{group:02d}_c01.avi"
            (root / "UCF-101" / name).write_bytes(b"x")
            names["test" if group < 4 else "train"].append(name)
    (lists / "trainlist01.txt").write_text("".join(f"{name} 1\n" for name in names["train"]))
    (lists / "testlist01.txt").write_text("\n".join(names["test"]))
    loaded = load_study_file(
        "ut_interaction", data=f"ucf101:{root}", overrides=["data.split.folds=auto"]
    )
    assert loaded.videos == f"ucf101:{root}"
    check_source(loaded.videos, loaded.spec.data, tmp_path)
    told = "\n".join(plan_lines(loaded, tmp_path))
    assert "the published split 1; validation on 3 train groups a class" in told
    assert "24 videos, 2 classes, 24 groups" in told


def test_a_plan_of_videos_that_are_made_makes_none(tmp_path: Path) -> None:
    told = "\n".join(plan_lines(load_study_file("fusion_study"), tmp_path))
    assert "8800 videos, 8 classes, 8800 groups" in told
    assert "8,800 videos are made first" in told
    assert list(tmp_path.iterdir()) == []
