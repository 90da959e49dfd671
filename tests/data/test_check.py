"""A planted leak, copy, near copy and corrupt file are each found and named, in real files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.data.manifests import manifest_of
from tests.data.test_near_duplicates import footage, write
from vidclass.data.__main__ import app
from vidclass.data.check import (
    describe_classes,
    describe_splits,
    examine,
    families,
    footage_conflicts,
    label_conflicts,
    same_contents,
)
from vidclass.data.splits import make_splits

RUNNER = CliRunner()
NO_COPIES = pd.DataFrame(columns=["video_a", "video_b", "correlation", "told"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of six groups of one video each; a video's group is in its name."""
    root = tmp_path_factory.mktemp("set")
    for number in range(12):
        label = ("walk", "run")[number % 2]
        (root / label).mkdir(exist_ok=True)
        write(root / label / f"g{number:02d}_1.mp4", footage(number)[:40])
    return root


def run(*words: str) -> tuple[int, str]:
    result = RUNNER.invoke(app, ["check", *words, "--group-pattern", r"(g\d+)"])
    return result.exit_code, result.output


@pytest.mark.usefixtures("small_ray")
def test_what_is_planted_is_found_and_named(folder: Path, home: Path, tmp_path: Path) -> None:
    code, told = run(str(folder))
    assert code == 0 and "clean      nothing has to be mended" in told
    assert "decoded    12 of 12 files" in told

    splits = tmp_path / "splits.csv"
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mp4"))
    rows = [f"{name},{('train', 'train', 'valid', 'test')[n % 4]}" for n, name in enumerate(names)]
    places = dict(row.split(",") for row in rows)
    train = [name for name in names if places[name] == "train"]
    test = [name for name in names if places[name] == "test"]

    def plant(name: str, data: bytes, split: str) -> str:
        (folder / name).write_bytes(data)
        rows.append(f"{name},{split}")
        return name

    content = (folder / train[0]).read_bytes()
    copy = plant("walk/g90_1.mp4", content, "test")
    seed = int(train[1].split("/g")[1][:2])
    near = plant("run/g91_1.mp4", b"", "test")
    write(folder / near, footage(seed)[:40, ::2, ::2], crf=30)
    group = test[0].split("/g")[1][:2]
    leak = plant(f"walk/g{group}_2.mp4", b"", "train")
    write(folder / leak, footage(77)[:40])
    corrupt = plant("run/g92_1.mp4", content[: len(content) // 2], "train")
    splits.write_text("video_id,split\n" + "\n".join(rows) + "\n")

    out = tmp_path / "found.json"
    code, told = run(str(folder), "--splits", str(splits), "--out", str(out))
    assert code == 1
    lines = {line[:10].strip() for line in told.splitlines()}
    assert {"unreadable", "same file", "same look", "LEAK", "mend"} <= lines
    found = json.loads(out.read_text())
    assert [row["video_id"] for row in found["unreadable"]] == [corrupt]
    assert "truncated" in found["unreadable"][0]["reason"]
    assert {row["video_id"] for row in found["same_content"]} == {train[0], copy}
    assert {found["same_footage"][0][key] for key in ("video_a", "video_b")} == {train[1], near}
    leaks = pd.DataFrame(found["leaks"]).groupby("kind")["video_id"].agg(set).to_dict()
    assert leaks == {
        "group": {test[0], leak},
        "content": {train[0], copy},
        "near_duplicate": {train[1], near},
    }
    (leak_line,) = [line for line in told.splitlines() if near in line and "LEAK" in line]
    assert f"{near} (test, group g91)" in leak_line and "(train, group g" in leak_line


@pytest.mark.usefixtures("small_ray")
def test_unlabelled_files_are_checked_too(
    home: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    for seed in range(3):
        write_video(tmp_path / "set" / f"{seed}.mp4", seed=seed)
    result = RUNNER.invoke(app, ["check", str(tmp_path / "set")])
    assert result.exit_code == 0, result.output
    assert "undivided  no video is labelled" in result.output


@pytest.mark.usefixtures("small_ray")
def test_a_bad_file_that_was_replaced_is_counted_no_more(
    home: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    for seed in range(2):
        write_video(tmp_path / "set" / f"{seed}.mp4", seed=seed)
    bad = tmp_path / "set" / "2.mp4"
    bad.write_bytes((tmp_path / "set" / "1.mp4").read_bytes()[:400])
    result = RUNNER.invoke(app, ["check", str(tmp_path / "set")])
    assert result.exit_code == 1 and "decoded    2 of 3 files" in result.output, result.output
    write_video(bad, seed=2)
    result = RUNNER.invoke(app, ["check", str(tmp_path / "set")])
    assert result.exit_code == 0 and "decoded    3 of 3 files" in result.output, result.output


@pytest.mark.usefixtures("small_ray")
def test_frames_without_a_label_are_listed(
    home: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    rows = []
    for seed in range(4):
        write_video(tmp_path / "set" / f"v{seed}.mp4", num_frames=6, seed=seed)
        rows += [f"v{seed},{k},{'ab'[k % 2]}" for k in range(6) if (seed, k) != (2, 4)]
    rows.append("v3,9,a")
    (tmp_path / "set" / "labels.csv").write_text("\n".join(["video,frame,label", *rows]) + "\n")
    result = RUNNER.invoke(app, ["check", str(tmp_path / "set")])
    assert result.exit_code == 1, result.output
    assert "mismatch   v2.mp4: 6 frames, 5 labels (-1), without label: 4\n" in result.output
    assert "mismatch   v3.mp4: 6 frames, 7 labels (+1), without frame: 9\n" in result.output


@pytest.mark.usefixtures("small_ray")
def test_the_command_tells_the_division_of_real_clips(shared_data: Path, home: Path) -> None:
    source = str(shared_data / "ut_interaction")
    result = RUNNER.invoke(app, ["check", source, "--group-pattern", r"(seq\d+)"])
    assert result.exit_code == 0, result.output
    assert "120 videos" in result.output and "groups given" in result.output
    assert "5 folds, every video test once" in result.output
    assert "unreadable" not in result.output and "same look" not in result.output


def test_frames_that_do_not_agree_with_labels_have_to_be_mended() -> None:
    manifest = manifest_of({"a": [1] * 5, "b": [1] * 5})
    mismatches = pd.DataFrame({"video_id": ["a/0-0"], "difference": [-3]})
    assert examine(manifest, NO_COPIES, None).clean
    found = examine(manifest, NO_COPIES, None, mismatches=mismatches)
    assert not found.clean and found.as_json()["label_mismatches"][0]["difference"] == -3
    assert not examine(manifest, NO_COPIES, None, undivided="too few groups").clean


def test_copies_with_different_labels_have_to_be_mended() -> None:
    manifest = manifest_of({"a": [1] * 3, "b": [1] * 3})
    manifest["content_hash"] = ["same", *"xyz", "same", "same"]  # a/0, b/1 and b/2
    found = examine(manifest, NO_COPIES, None)
    assert not found.clean
    assert found.as_json()["label_conflicts"] == [
        {"content_hash": "same", "video_id": video_id, "label": video_id[0]}
        for video_id in manifest["video_id"].iloc[[0, 4, 5]]
    ]
    one_label = manifest.assign(label=manifest["label"].where(manifest["label"] == "a"))
    assert examine(one_label, NO_COPIES, None).clean
    parts = manifest.assign(start_s=range(6), end_s=range(1, 7))
    assert label_conflicts(parts).empty
    assert len(label_conflicts(parts.assign(start_s=0.0, end_s=None))) == 3


def test_equal_footage_with_different_labels_is_a_conflict() -> None:
    manifest = manifest_of({"a": [1] * 3, "b": [1] * 3})
    pairs = [("a/0-0", "b/1-0", 0.9), ("a/0-0", "a/1-0", 0.95)]
    copies = pd.DataFrame(pairs, columns=["video_a", "video_b", "correlation"])
    found = examine(manifest, copies.assign(told="the same footage"), None)
    assert not found.clean
    assert found.as_json()["footage_label_conflicts"] == [
        {"video_a": "a/0-0", "label_a": "a", "video_b": "b/1-0", "label_b": "b", "correlation": 0.9}
    ]
    unlabelled = manifest.assign(label=manifest["label"].where(manifest["label"] == "a"))
    assert examine(unlabelled, copies.assign(told="the same footage"), None).clean
    assert footage_conflicts(copies, manifest.assign(start_s=range(6), end_s=range(1, 7))).empty


def test_parts_of_one_file_are_no_equal_footage() -> None:
    manifest = manifest_of({"a": [1] * 3, "b": [1] * 3}).assign(
        path="one.mp4", content_hash="same", start_s=range(6), end_s=range(1, 7)
    )
    copies = pd.DataFrame([("a/0-0", "b/1-0", 1.0)], columns=["video_a", "video_b", "correlation"])
    found = examine(manifest, copies.assign(told="the same footage"), None)
    assert found.clean and found.copies.empty


@pytest.mark.usefixtures("small_ray")
def test_equal_footage_in_two_class_folders_is_named(home: Path, tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / "set" / "ab"[number % 2] / f"g{number // 2}_{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, footage(number)[:40])
    write(tmp_path / "set" / "b" / "g0_90.mp4", footage(0)[:40, ::2, ::2], crf=30)
    code, told = run(str(tmp_path / "set"))
    (line,) = [line for line in told.splitlines() if line.startswith("conflict")]
    assert code == 1 and "a/g0_0.mp4 (a) = b/g0_90.mp4 (b), correlation 0." in line


@pytest.mark.usefixtures("small_ray")
@pytest.mark.parametrize("published", ["hmdb51", "kinetics"])
def test_copies_that_a_published_split_has_are_told_as_such(
    home: Path, tmp_path: Path, write_video: Callable[..., Path], published: str
) -> None:
    """A file of train and one of test are equal: by the publishers' lists, and by a file of own."""
    root = tmp_path / "set"
    parts = ["train", "train", "test"]
    names = {
        "hmdb51": lambda label, n: f"{label}/m{n}_{label}_f_nm_np1_fr_bad_{n}.avi",
        "kinetics": lambda label, n: f"{label}{n}_000000_000010.mp4",
    }[published]
    for seed in range(12):
        write_video(root / names("ab"[seed % 2], seed), seed=seed)
    rows = [("ab"[n % 2], n, parts[n // 2 % 3]) for n in range(12)]
    if published == "hmdb51":
        for label in "ab":
            lines = [
                f"{Path(names(label, n)).name} {1 if split == 'train' else 2}\n"
                for own, n, split in rows
                if own == label
            ]
            (root / f"{label}_test_split1.txt").write_text("".join(lines))
    else:
        lines = [f"{label},{label}{n},0,10,{split},0\n" for label, n, split in rows]
        header = "label,youtube_id,time_start,time_end,split,is_cc\n"
        (root / "k400.csv").write_text(header + "".join(lines))
    (root / names("a", 4)).write_bytes((root / names("a", 0)).read_bytes())  # test and train
    result = RUNNER.invoke(app, ["check", str(root), "--out", str(tmp_path / "found.json")])
    assert result.exit_code == 0 and "LEAK" not in result.output, result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("official")]
    assert "itself has 1 contents in two parts (2 files)" in line
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["leaks"] == [] and len(found["official_leaks"]) == 2

    own = tmp_path / "own.csv"
    splits = [f"{names(label, n)},{('test', 'train', 'train')[n // 2 % 3]}" for label, n, _ in rows]
    own.write_text("video,split\n" + "\n".join(splits) + "\n")
    result = RUNNER.invoke(app, ["check", str(root), "--splits", str(own)])
    assert result.exit_code == 1 and "LEAK       content" in result.output, result.output
    assert "official" not in result.output


@pytest.mark.usefixtures("small_ray")
def test_the_same_file_in_two_class_folders_is_named(
    home: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    for seed in range(12):
        write_video(tmp_path / "set" / "ab"[seed % 2] / f"g{seed // 2}_{seed}.mp4", seed=seed)
    copy = tmp_path / "set" / "b" / "g0_copy.mp4"
    copy.write_bytes((tmp_path / "set" / "a" / "g0_0.mp4").read_bytes())
    code, told = run(str(tmp_path / "set"))
    assert code == 1 and "LEAK" not in told, told
    assert "conflict   one file, several labels: a/g0_0.mp4 (a) = b/g0_copy.mp4 (b)\n" in told


def test_parts_of_one_file_are_no_copies() -> None:
    manifest = manifest_of({"a": [2] * 2, "b": [2] * 2}).assign(content_hash="same")
    assert len(same_contents(manifest)) == 8
    assert same_contents(manifest.assign(path="one.mp4")).empty


def test_families_join_what_pairs_join() -> None:
    pairs = [("a", "b", 0.9), ("b", "c", 0.95), ("x", "y", 0.99)]
    copies = pd.DataFrame(pairs, columns=["video_a", "video_b", "correlation"])
    assert families(copies) == [(["a", "b", "c"], 0.9), (["x", "y"], 0.99)]
    assert families(NO_COPIES) == []


def test_classes_and_splits_are_described() -> None:
    manifest = manifest_of({"a": [2] * 6, "b": [1] * 6})
    figures = {"num_frames": np.arange(18.0) + 3, "fps": 10.0, "duration_s": 2.0}
    classes = describe_classes(manifest.assign(**figures))
    assert classes["videos"].to_dict() == {"a": 12, "b": 6}
    assert classes["groups"].tolist() == [6, 6] and classes["seconds"].tolist() == [24.0, 12.0]
    shares = {"valid_share": 0.2, "test_share": 0.2, "seed": 0}
    assert "one split: train" in describe_splits(make_splits(manifest, folds=None, **shares))
    told = describe_splits(make_splits(manifest, folds=3, **shares))
    assert told.startswith("3 folds, every video test once")
