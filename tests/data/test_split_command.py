"""``vidclass data split`` and ``confounds``, and a study that takes the split file."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.data.test_near_duplicates import footage, write
from vidclass.data.__main__ import app
from vidclass.data.readers import read_dataset
from vidclass.data.splits import DEPLOY_FOLD, split_hash
from vidclass.sweep.division import chosen_videos, divide, given_splits
from vidclass.sweep.spec import DataSpec

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """Three classes of six animals with two sessions each; one camera of two saw each session."""
    root, rows = tmp_path / "set", []
    for number in range(36):
        label, animal, session = "abc"[number % 3], number // 3 % 6, number // 18
        name = f"{label}/m{animal}_s{session}.mp4"
        write_video(root / name, num_frames=10 + number % 7, seed=number)
        rows.append((name, label, f"m{animal}", f"m{animal}s{session}", f"c{session}"))
    columns = ["video", "label", "group", "session", "camera"]
    pd.DataFrame(rows, columns=columns).to_csv(root / "labels.csv", index=False)
    return root


def run(verb: str, *words: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, [verb, *map(str, words)])
    return result.exit_code, result.output + str(result.exception or "")


def test_a_published_split_is_what_a_study_takes(folder: Path, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "splits.csv"
    code, told = run("split", folder, "--folds", 3, "--out", out, "--seed", 5)
    assert code == 0, told
    assert "36 videos in 6 groups" in told and "fold 2" in told and "all data" in told
    assert "each session lies within one group" not in told  # group is what is held out by
    assert "session: no value in train and in test" in told
    assert "camera: 2 of 2 values in train and in test" in told
    data = DataSpec.model_validate({"split": {"file": str(out), "seed": 9}})
    dataset = read_dataset(str(folder), home=home)
    splits = divide(dataset.manifest, data, given_splits(dataset, data))
    own = DataSpec.model_validate({"split": {"folds": 3, "seed": 5}})
    assert split_hash(splits) == split_hash(divide(dataset.manifest, own))
    assert DEPLOY_FOLD in set(splits["fold"])


def test_a_split_file_beside_the_videos_is_found_by_its_name(folder: Path, home: Path) -> None:
    assert run("split", folder, "--folds", "none", "--out", folder / "own.csv")[0] == 0
    data = DataSpec.model_validate({"split": {"file": "own.csv"}})
    given = given_splits(read_dataset(str(folder), home=home), data)
    assert given is not None and len(given) == 36


def test_a_study_takes_some_classes_and_a_share(folder: Path, home: Path) -> None:
    dataset = read_dataset(str(folder), home=home)
    fields = {"classes": ["a", "c"], "share": 0.5, "split": {"hold_out_by": "session"}}
    chosen = chosen_videos(dataset, DataSpec.model_validate(fields)).manifest
    assert set(chosen["label"]) == {"a", "c"} and chosen["group"].str.contains("s").all()
    assert chosen["group"].nunique() == 6 and len(chosen) == 12


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--hold-out-by", "session", "--folds", "leave_one_group_out"), "fold 11"),
        (("--classes", "a,b", "--folds", 2), "24 videos in 6 groups"),
        (("--classes", 2, "--folds", 2), "24 videos in 6 groups"),
        (("--share", 0.5, "--folds", "none"), "18 videos in 3 groups"),
        (("--balance", "camera", "--folds", 3), "fold 2"),
    ],
)
def test_ways_to_divide(folder: Path, home: Path, words: tuple[object, ...], told: str) -> None:
    code, output = run("split", folder, *words)
    assert code == 0 and told in output, output


def test_lists_of_names(folder: Path, home: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.txt"
    test.write_text("".join(f"{c}/m5_s{s}.mp4\n" for c in "abc" for s in (0, 1)))
    out = tmp_path / "splits.csv"
    assert run("split", folder, "--test", test, "--out", out)[0] == 0
    table = pd.read_csv(out)
    assert set(table.loc[table["split"] == "test", "group"]) == {"m5"}
    assert table["split"].value_counts()["valid"] == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--folds", "many"), "--folds is auto, none"),
        (("--published", "first"), "number of a split, or all"),
        (("--hold-out-by", "cage"), "there are: group, session, camera"),
        (("--folds", 7), "at least 7 groups"),
        (("--test", "t.txt", "--folds", 3), "--test alone says which videos are test"),
        (("--test", "t.txt", "--published", 1), "--published 1"),
        (("--published", 1), "--published 1; "),
        (("--published", 1, "--test-share", 0.3), "--published alone says"),
        (("--train", "t.txt", "--test", "u.txt", "--test-share", 0.3), "--test-share 0.3"),
    ],
)
def test_what_cannot_be_divided_is_told(
    folder: Path, home: Path, words: tuple[object, ...], told: str
) -> None:
    code, output = run("split", folder, *words)
    assert code != 0 and told in output


def test_a_leak_is_not_published(folder: Path, home: Path, tmp_path: Path) -> None:
    (folder / "a" / "m0_s0.mp4").write_bytes((folder / "b" / "m5_s1.mp4").read_bytes())
    out, test = tmp_path / "splits.csv", tmp_path / "test.txt"
    test.write_text("".join(f"{c}/m5_s{s}.mp4\n" for c in "abc" for s in (0, 1)))
    code, output = run("split", folder, "--test", test, "--out", out)
    assert code != 0 and not out.exists()
    assert "a/m0_s0.mp4 (" in output and "b/m5_s1.mp4 (test, group m5)" in output


@pytest.mark.usefixtures("small_ray")
def test_frame_folders_are_looked_at_for_footage_too(home: Path, tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / "videos" / "ab"[number % 2] / f"g{number // 2}_{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, footage(number)[:40])
    frames = tmp_path / "frames"
    assert run("extract", tmp_path / "videos", "--out", frames)[0] == 0
    words = (frames, "--group-pattern", r"(g\d+)", "--folds", "none")
    code, told = run("split", *words)
    assert code == 0 and "was looked for in 0 of 12 videos" in told, told
    assert run("check", *words[:3])[0] == 0
    code, told = run("split", *words)
    assert code == 0 and "no footage is in two splits" in told, told
    write(tmp_path / "videos" / "b" / "g9_90.mp4", footage(0)[:40, ::2, ::2], crf=30)
    assert run("extract", tmp_path / "videos", "--out", frames)[0] == 0
    assert run("check", *words[:3])[0] == 1
    test = tmp_path / "test.txt"
    test.write_text("b/g9_90\na/g1_2\na/g2_4\nb/g2_5\nb/g1_3\n")
    code, told = run("split", *words[:3], "--test", test)
    assert code != 0 and "files that show the same footage" in told and "b/g9_90 (test" in told


@pytest.mark.usefixtures("small_ray")
def test_unlabelled_files_do_not_count_as_looked_at(
    folder: Path, home: Path, write_video: Callable[..., Path]
) -> None:
    for seed in range(4):
        write_video(folder / "more" / f"{seed}.mp4", seed=100 + seed)
    assert run("check", folder)[0] == 0
    assert "no footage is in two splits" in run("split", folder, "--folds", 2)[1]
    write_video(folder / "a" / "m0_s0.mp4", seed=200)
    told = run("split", folder, "--folds", 2)[1]
    assert "footage that files share was looked for in 35 of 36 videos" in told


@pytest.mark.parametrize(
    ("source", "told"),
    [("unlabelled:{set}", "at least two classes"), ("{poses}", "a data folder holds videos")],
)
def test_what_has_nothing_to_divide_is_refused(
    folder: Path, home: Path, tmp_path: Path, source: str, told: str
) -> None:
    (tmp_path / "poses").mkdir()
    (tmp_path / "poses" / "a.pose.csv").write_text("frame,nose_x,nose_y\n0,1,2\n")
    code, output = run("split", source.format(set=folder, poses=tmp_path / "poses"))
    assert code != 0 and told in output and "instead:" in output


@pytest.mark.usefixtures("small_ray")
def test_confounds_tell_the_column_that_fixes_the_label(folder: Path, home: Path) -> None:
    table = pd.read_csv(folder / "labels.csv")
    table["day"] = "d" + table["label"]
    table.to_csv(folder / "labels.csv", index=False)
    code, told = run("confounds", folder)
    assert code == 0, told
    lines = {line.split()[0]: line for line in told.splitlines()}
    assert "not identifiable: all classes" in lines["day"] and "1.00" in lines["day"]
    assert "weak" in lines["camera"] and "one value only" in lines["fps"]
    assert "metadata alone" in told and "majority class 33.3 %" in told


@pytest.mark.usefixtures("small_ray")
def test_confounds_of_unlabelled_videos_are_refused(folder: Path, home: Path) -> None:
    code, told = run("confounds", f"unlabelled:{folder}")
    assert code != 0 and "confounds are of labels" in told
