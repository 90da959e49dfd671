"""Manifests as files: written by hand, and by ``vidclass data index`` and read again."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from vidclass.data.annotations import new_annotations
from vidclass.data.dataset_file import write_dataset
from vidclass.data.manifest import group_columns
from vidclass.data.readers import read_dataset
from vidclass.errors import UserError, UserErrors


@pytest.fixture
def root(tmp_path) -> Path:
    """Four files that stand for videos."""
    for name in ("videos/a 1.mp4", "videos/b,2.mp4", "videos/c.mp4", "other/d.mp4"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    return tmp_path / "set"


def read(path, **options):
    return read_dataset(str(path), home=path.parent / "home", **options)


def test_paths_of_every_kind(root):
    table = root / "videos" / "list.csv"
    table.write_text(
        "path;label;animal\n"
        f"a 1.mp4;walk;m1\n./b,2.mp4;rear;m1\n{root}/videos/c.mp4;walk;m2\n..\\other/d.mp4;;m3\n"
    )
    dataset = read(table)
    manifest = dataset.manifest.set_index("video_id")
    assert list(manifest.index) == sorted(
        ["../other/d.mp4", "a 1.mp4", "b,2.mp4", f"{root}/videos/c.mp4"]
    )
    assert all(os.path.exists(path) for path in manifest["path"])
    assert manifest.loc["../other/d.mp4", "label"] is None
    assert group_columns(dataset.manifest) == ["animal"] and not dataset.groups_known


def test_parts_of_a_file_are_videos(root):
    table = root / "m.csv"
    table.write_text(
        "video,label,start_s,end_s\nvideos/c.mp4,a,0,12.5\nvideos/c.mp4,b,00:01:00,\nother/d.mp4,b,,\n"
    )
    manifest = read(table).manifest.set_index("video_id")
    assert list(manifest.index) == ["other/d.mp4", "videos/c.mp4#t=0,12.5", "videos/c.mp4#t=60"]
    assert manifest["start_s"].fillna(-1).tolist() == [-1, 0, 60]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_data_set_comes_back_as_it_was_written(root, tmp_path, suffix):
    (root / "groups.csv").write_text("video,group,day\nvideos/a 1,7,1\nvideos/b,7,1\n")
    (root / "groups.csv").write_text(
        "video,group,day,camera\nvideos/a 1,007,1,\n"
        '"videos/b,2",007,1,top\nvideos/c,8,2,top\nother/d,8,2,\n'
    )
    found = read(root)
    annotations = new_annotations(
        pd.DataFrame(
            {
                "video_id": ["other/d.mp4"] * 2,
                "start_s": [0, 1.25],
                "end_s": [1.25, 1.25],
                "label": ["x", None],
            }
        )
    )
    frames = pd.DataFrame({"video_id": ["other/d.mp4"], "frame": ["3"]})
    dataset = replace(
        found, annotations=annotations, frame_rows=frames, class_names=("videos", "other", "x")
    )
    for path in (root / f"index{suffix}", tmp_path / "elsewhere" / f"index{suffix}"):
        write_dataset(dataset, path)
        again = read(path)
        pd.testing.assert_frame_equal(again.manifest, dataset.manifest)
        pd.testing.assert_frame_equal(again.annotations, annotations)
        assert again.frame_rows.to_numpy().tolist() == frames.to_numpy().tolist()
        assert again.class_names == dataset.class_names and again.groups_known
    write_dataset(found, root / f"index{suffix}")  # nothing of the set before is left beside it
    assert read(root / f"index{suffix}").annotations is None


def test_groups_that_nobody_knows_stay_unknown(root):
    write_dataset(read(root), root / "m.csv")
    assert not read(root / "m.csv").groups_known
    assert read(root / "m.csv", group_pattern="([abcd])").manifest["group"].tolist() == list("dabc")


def test_the_file_and_the_folder_move_together(root, tmp_path):
    write_dataset(read(root), root / "m.csv")
    root.rename(tmp_path / "moved")
    manifest = read(tmp_path / "moved" / "m.csv").manifest
    assert all(path.startswith(f"{tmp_path}/moved/") for path in manifest["path"])


def test_absent_files_are_a_warning_all_absent_a_mistake(root):
    (root / "m.csv").write_text("path,label\nother/d.mp4,a\ngone.mp4,b\n")
    assert "gone.mp4 (m.csv line 3)" in read(root / "m.csv").warnings[0]
    (root / "m.csv").write_text("path,label\ngone/d.mp4,a\ngone.mp4,b\n")
    with pytest.raises(UserErrors, match=r"videos of a manifest exist.*m.csv line 2.*line 3\)"):
        read(root / "m.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,label\nvideos/c.mp4,a\nvideos/../videos/c.mp4,b\n", "line 3: .* first in line 2"),
        ("path,label\n,a\n", "every row names a video.*m.csv line 2"),
        ("path,label,split\nvideos/c.mp4,a,val\n", "split is train, valid or test.*line 2: val"),
        (
            "path,label,split\nvideos/c.mp4,a,test\nother/d.mp4,b,\n",
            "labelled video has a split.*line 3",
        ),
        ("path,label,split_1\nvideos/c.mp4,a,x\n", "split_1 is train, valid or test.*line 2: x"),
        ("path,label,group\nvideos/c.mp4,a,\nother/d.mp4,b,g\n", "video has a group.*line 2"),
        (
            "path,label,start_s,end_s\nvideos/c.mp4,a,3,2\n",
            "ends after it starts.*line 2: 3 s to 2 s",
        ),
        ("path,label,start_s\nvideos/c.mp4,a,soon\n", "start of a video is a time.*line 2: soon"),
        ("path,label,gruop\nvideos/c.mp4,a,1\n", "gruop.*did you mean group"),
        ("path,label,fps\nvideos/c.mp4,a,fast\n", "fps is a number.*line 2: fast"),
        ("path,label,status\nvideos/c.mp4,a,fine\n", "status is ok or quarantined.*line 2: fine"),
        ("path,path\nvideos/c.mp4,a\n", "each column once.*m.csv line 1: path"),
        ('path,label\nvideos/c.mp4,"a\nother/d.mp4,b\n', "is a table.*m.csv line 2"),
        ("path,label\n", "at least two classes"),
    ],
)
def test_mistakes_name_file_and_line(root, text, told):
    (root / "m.csv").write_text(text)
    with pytest.raises((UserError, UserErrors), match=told):
        read(root / "m.csv")


def test_a_part_beside_the_manifest_that_does_not_fit_is_told(root):
    (root / "m.csv").write_text("path,label\nvideos/c.mp4,a\nother/d.mp4,b\n")
    (root / "m.annotations.csv").write_text("video_id,start_s,end_s,label\nother/x.mp4,0,1,a\n")
    with pytest.raises(UserErrors, match="is in m.csv.*m.annotations.csv line 2: other/x.mp4"):
        read(root / "m.csv")


def test_a_file_that_is_no_table_is_told(root, tmp_path):
    (tmp_path / "m.parquet").write_bytes(b"PAR1nothing")
    with pytest.raises(UserErrors, match="m.parquet is a Parquet file"):
        read(tmp_path / "m.parquet")
    (tmp_path / "notes.md").write_text("path")
    with pytest.raises(UserError, match="is a table that a format recognises"):
        read(tmp_path / "notes.md")
    with pytest.raises(UserError, match=r"is .csv or .parquet"):
        write_dataset(read(root), tmp_path / "m.json")
