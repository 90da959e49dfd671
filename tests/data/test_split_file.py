"""Splits as files: written, read back, written by hand, and lists of names."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.manifests import manifest_of
from vidclass.data.published_splits import published_splits
from vidclass.data.split_file import (
    completed,
    match_names,
    read_split_file,
    split_by_lists,
    write_split_file,
)
from vidclass.data.splits import DEPLOY_FOLD, deployment_split, make_splits, split_hash
from vidclass.errors import UserError, UserErrors

MANIFEST = manifest_of({"a": [2] * 8, "b": [2] * 8})
MANIFEST = MANIFEST.assign(video_id=MANIFEST["video_id"] + ".mp4")
SHARES = {"valid_share": 0.2, "test_share": 0.2, "seed": 0}


def complete(given: pd.DataFrame, manifest: pd.DataFrame = MANIFEST) -> pd.DataFrame:
    return completed(given, manifest, valid_share=0.2, seed=0)


def rows_of(names: dict[str, str]) -> str:
    return "video_id,split\n" + "".join(f"{video},{split}\n" for video, split in names.items())


def halves(valid: bool = True) -> dict[str, str]:
    """Groups 0 to 4 are train, 5 valid, 6 and 7 test."""
    names = {}
    for video, group in zip(MANIFEST["video_id"], MANIFEST["group"], strict=True):
        number = int(group[1:])
        split = "train" if number < 5 else "valid" if number == 5 else "test"
        names[video] = split if valid or split != "valid" else "train"
    return names


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("folds", [None, 4])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, folds: int | None) -> None:
    splits = make_splits(MANIFEST, folds=folds, **SHARES)
    everything = deployment_split(MANIFEST, 0.2, 0).assign(fold=DEPLOY_FOLD)
    whole = pd.concat([splits, everything], ignore_index=True)
    path = tmp_path / f"splits.{suffix}"
    write_split_file(path, whole, MANIFEST)
    again = complete(read_split_file(path, MANIFEST))
    assert split_hash(again) == split_hash(whole)


def test_a_file_written_by_hand_names_videos_as_people_do(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    text = rows_of(halves()).replace(".mp4", "").replace("video_id", "video")
    path.write_text("\ufeff" + text, encoding="utf-8")
    splits = complete(read_split_file(path, MANIFEST)).set_index("video_id")["split"]
    assert splits.to_dict() == halves() and set(splits.index) == set(MANIFEST["video_id"])


def test_validation_is_taken_from_train_by_group_where_none_is_given(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(rows_of(halves(valid=False)))
    splits = complete(read_split_file(path, MANIFEST)).merge(MANIFEST, on="video_id")
    assert (splits.groupby("group")["split_x"].nunique() == 1).all()
    assert (splits["split_x"] == "valid").sum() == 4
    assert (splits["split_x"] == "test").sum() == 8


def test_videos_that_are_not_listed_or_not_used_are_in_no_split(tmp_path: Path) -> None:
    names = halves()
    del names["a/0-0.mp4"]
    path = tmp_path / "own.csv"
    path.write_text(rows_of(names))
    manifest = MANIFEST.copy()
    manifest.loc[manifest["video_id"] == "b/0-0.mp4", "status"] = "quarantined"
    splits = complete(read_split_file(path, MANIFEST), manifest)
    assert set(MANIFEST["video_id"]) - set(splits["video_id"]) == {"a/0-0.mp4", "b/0-0.mp4"}


def test_another_content_than_when_the_file_was_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    write_split_file(path, make_splits(MANIFEST, folds=None, **SHARES), MANIFEST)
    changed = MANIFEST["content_hash"].mask(MANIFEST["video_id"] == "a/3-1.mp4", "other")
    with pytest.raises(UserErrors, match=r"1 files have another content now, first a/3-1.mp4"):
        read_split_file(path, MANIFEST.assign(content_hash=changed))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("video_id,split\nc/1.mp4,train\n", r"c/1.mp4 \(.*own.csv line 2\)"),
        ("video_id,split\na/0-0.mp4,training\n", r"train, valid or test.*training .*line 2"),
        ("video_id,split,fold\na/0-0.mp4,train,x\n", r"a fold is a whole number.*line 2"),
        ("video_id,split\na/0-0.mp4,train\na/0-0,test\n", r"once in a fold.*line 3"),
        ("video_id,split,fold\na/0-0.mp4,train,9e99\n", r"a fold is a whole number.*9e99"),
        ("\nvideo_id,split\n\n\nc/1.mp4,train\n", r"c/1.mp4 \(.*own.csv line 5\)"),
        ("video_id,split\n,train\n", r"nothing \(.*own.csv line 2\)"),
        ("video_id,split\na/0-0.mp4\n", r"own.csv line 2: 1 cells"),
        ("video_id,part\na/0-0.mp4,train\n", r"own.csv line 1: missing split"),
        ("name,split\na/0-0.mp4,train\n", r"columns video_id and split.*own.csv line 1"),
        ("", "is a table"),
    ],
)
def test_mistakes_in_a_file_are_told_with_their_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises((UserError, UserErrors), match=told):
        read_split_file(path, MANIFEST)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda rows: rows[rows["split"] != "test"], "fold 0: no test"),
        (lambda rows: rows[rows["split"] != "train"], "fold 0: no train"),
        (
            lambda rows: pd.concat([rows, rows.assign(fold=1)]),
            "test in one fold only.*8 are test in several",
        ),
        (lambda rows: rows[:0], "usable videos"),
        (
            lambda rows: rows[~rows["video_id"].str.startswith("b") | (rows["split"] == "test")],
            "class b is not in train",
        ),
    ],
)
def test_folds_that_cannot_be_used_are_told(change, told: str) -> None:
    names = halves()
    rows = pd.DataFrame({"video_id": list(names), "fold": 0, "split": list(names.values())})
    with pytest.raises(UserErrors, match=told):
        complete(change(rows))


@pytest.mark.parametrize("name", ["splits.txt", "splits"])
def test_only_csv_and_parquet_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"\.csv or \.parquet"):
        write_split_file(tmp_path / name, make_splits(MANIFEST, folds=None, **SHARES), MANIFEST)


def test_lists_of_names_in_the_form_of_ucf101(tmp_path: Path) -> None:
    names = halves()
    for split in ("train", "test"):
        chosen = [name for name, value in names.items() if value == split]
        (tmp_path / split).write_text("\n".join(f"{name} 3" for name in chosen) + "\n")
    manifest = split_by_lists(MANIFEST, {s: tmp_path / s for s in ("train", "test")})
    assert "valid" not in set(manifest["split"]) and len(manifest) == 28  # valid is in no list
    splits = make_splits(manifest, folds=None, **SHARES)
    tested = set(splits.loc[splits["split"] == "test", "video_id"])
    assert tested == {name for name, value in names.items() if value == "test"}


def test_without_a_list_for_train_the_rest_is_train(tmp_path: Path) -> None:
    path = tmp_path / "test"
    path.write_text("6-0\n".replace("6-0", "a/6-0") + "\nb/7-1.mp4\n")
    manifest = split_by_lists(MANIFEST, {"test": path})
    assert manifest["split"].value_counts().to_dict() == {"train": 30, "test": 2}


def test_a_name_in_two_lists_or_in_none_of_the_videos_is_told(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a/0-0.mp4\na/99-0.mp4\n")
    (tmp_path / "test").write_text("a/0-0.mp4\n")
    with pytest.raises(UserErrors, match="also in train") as error:
        split_by_lists(MANIFEST, {s: tmp_path / s for s in ("train", "test")})
    assert "a/99-0.mp4" in str(error.value) and "line 2" in str(error.value)


ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252"]
STEMS = st.lists(
    st.sampled_from(["NA", "nan", "null", "None", "über", "a b", "1", "x, y", 'say "z"', "kick/ä"]),
    min_size=1,
    unique=True,
)


@settings(max_examples=25, deadline=None)
@given(
    stems=STEMS,
    encoding=st.sampled_from(ENCODINGS),
    separator=st.sampled_from([",", ";", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
    blanks=st.lists(st.integers(0, 2), min_size=11, max_size=11),
    wrong=st.integers(0, 10),
)
def test_any_usual_table_or_list_is_read_and_its_mistakes_have_their_line(
    stems: list[str], encoding: str, separator: str, end: str, blanks: list[int], wrong: int
) -> None:
    ids = [f"{stem}.mp4" for stem in stems]
    manifest = pd.DataFrame({"video_id": ids})
    cells = [[stem, "train"] for stem in stems]
    lines = [separator.join(["video", "split"])]
    lines += [separator.join('"' + c.replace('"', '""') + '"' for c in row) for row in cells]
    spaced, line_of = [], []
    for text, blank in zip(lines, blanks, strict=False):
        spaced += [""] * blank + [text]
        line_of.append(len(spaced))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.csv"
        path.write_bytes(end.join([*spaced, ""]).encode(encoding))
        read = read_split_file(path, manifest)
        assert sorted(read["video_id"]) == sorted(ids) and set(read["split"]) == {"train"}
        odd = wrong % len(stems)  # one video is not in the data set: its line is told
        line = line_of[odd + 1]
        with pytest.raises(UserErrors, match=rf"own.csv line {line}\)"):
            read_split_file(path, manifest.drop(index=odd))
        names = Path(folder) / "names.txt"
        spaced = [text if n + 1 in line_of[1:] else "" for n, text in enumerate(spaced)]
        for stem, line in zip(stems, line_of[1:], strict=True):
            spaced[line - 1] = f"{stem}{separator}3"
        names.write_bytes(end.join([*spaced, ""]).encode(encoding))
        assert sorted(split_by_lists(manifest, {"train": names})["video_id"]) == sorted(ids)
        with pytest.raises(UserErrors, match=rf"names.txt line {line_of[odd + 1]}\)"):
            split_by_lists(manifest.drop(index=odd), {"train": names})


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.from_regex(r"[a-z]{1,3}/[a-zä0-9_ ]{1,6}\.(mp4|avi)", fullmatch=True),
        min_size=1,
        max_size=12,
        unique=True,
    )
)
def test_a_name_never_means_two_videos(video_ids: list[str]) -> None:
    assert match_names(video_ids, video_ids) == video_ids
    for form in (lambda v: v.rsplit(".", 1)[0], lambda v: v.rsplit("/", 1)[-1]):
        found = match_names([form(video_id) for video_id in video_ids], video_ids)
        for video_id, meant in zip(video_ids, found, strict=True):
            alike = [other for other in video_ids if form(other) == form(video_id)]
            assert meant in (video_id, None) if len(alike) == 1 else meant is None


def test_numbers_after_names_are_no_part_of_them() -> None:
    assert match_names(["b/0-0.mp4 12", "b\\0-0.mp4", "./b/0-0", "b/0-0.mp4 x"], ["b/0-0.mp4"]) == [
        "b/0-0.mp4",
        "b/0-0.mp4",
        "b/0-0.mp4",
        None,
    ]


def test_an_array_of_numbers_as_ids_is_no_reason_to_fail(tmp_path: Path) -> None:
    manifest = manifest_of({"a": [1] * 5, "b": [1] * 5})
    manifest["video_id"] = [f"{n:03d}" for n in range(10)]
    path = tmp_path / "own.csv"
    split = np.where(
        np.arange(10) % 5 < 3, "train", np.where(np.arange(10) % 5 == 3, "valid", "test")
    )
    path.write_text(rows_of(dict(zip(manifest["video_id"], split, strict=True))))
    assert len(complete(read_split_file(path, manifest), manifest)) == 10


def overlapping() -> pd.DataFrame:
    """Two classes of nine groups; as in HMDB51, group 0 is test in both published splits."""
    manifest = manifest_of({"a": [1] * 9, "b": [1] * 9})
    group = manifest["group"].str[1:].astype(int)
    for number in (1, 2):
        tested = group.isin([0, number])
        manifest[f"split_{number}"] = pd.Series(np.where(tested, "test", "train"), dtype=object)
    return manifest


def test_published_splits_that_test_a_video_twice_are_written_and_taken(tmp_path: Path) -> None:
    manifest = overlapping()
    splits = published_splits(manifest, "all", seed=0)
    assert splits.loc[splits["split"] == "test", "video_id"].duplicated().sum() == 2
    path = tmp_path / "splits.csv"
    write_split_file(path, splits, manifest)
    again = complete(read_split_file(path, manifest), manifest)
    assert split_hash(again) == split_hash(splits)
    own = read_split_file(path, manifest)
    own.loc[(own["fold"] == 1) & (own["video_id"] == "a/4-0"), "split"] = "test"
    with pytest.raises(UserErrors, match="test in one fold only.*2 are test in several"):
        complete(own, manifest)
