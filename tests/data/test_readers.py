"""Folders of videos, their tables, and every mistake in them."""

from pathlib import Path

import pytest

from vidclass.data.readers import list_readers, read_dataset, register_reader
from vidclass.errors import UserError, UserErrors


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two classes of two files; their content is no matter here."""
    for name in ("kick/s1_a.mp4", "kick/s2_b.avi", "push/s1_c.mp4", "push/deep/s2_d.MOV"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "data" / "readme.txt").write_text("not a video")
    (tmp_path / "data" / ".hidden.mp4").write_text("not seen")
    return tmp_path / "data"


def read(folder, **options):
    return read_dataset(str(folder), home=folder / "home", **options)


def columns(dataset, *names):
    return [tuple(row) for row in dataset.manifest[list(names)].itertuples(index=False)]


def test_the_first_folder_is_the_class(folder):
    dataset = read(folder)
    assert columns(dataset, "video_id", "label") == [
        ("kick/s1_a.mp4", "kick"),
        ("kick/s2_b.avi", "kick"),
        ("push/deep/s2_d.MOV", "push"),
        ("push/s1_c.mp4", "push"),
    ]
    assert not dataset.groups_known
    assert dataset.manifest["group"].tolist() == dataset.manifest["video_id"].tolist()
    assert all(Path(path).is_absolute() for path in dataset.manifest["path"])


def test_group_pattern_finds_the_group_in_the_name(folder):
    dataset = read(folder, group_pattern=r"(s\d+)_")
    assert dataset.manifest["group"].tolist() == ["s1", "s2", "s2", "s1"] and dataset.groups_known


def test_tables_override_folders(folder):
    (folder / "groups.csv").write_text(
        "video,group\nkick/s1_a,g1\nkick/s2_b.avi,g1\npush/deep/s2_d,g2\npush/s1_c,g3\n"
    )
    (folder / "labels.csv").write_text(
        "video,label,split\nkick/s1_a.mp4,walk,train\nkick/s2_b.avi,run,test\n"
        "push/deep/s2_d.MOV,,\npush/s1_c.mp4,run,train\n"
    )
    dataset = read(folder)
    assert columns(dataset, "label", "group", "split") == [
        ("walk", "g1", "train"),
        ("run", "g1", "test"),
        (None, "g2", None),
        ("run", "g3", "train"),
    ]
    assert dataset.groups_known


def test_links_to_folders_are_followed(folder, tmp_path):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "w.mp4").write_bytes(b"x")
    (folder / "wave").symlink_to(tmp_path / "wave")
    assert "wave/w.mp4" in read(folder).manifest["video_id"].tolist()


def test_folders_of_images_are_videos_where_no_video_lies_below(folder):
    for name in ("kick/frames1/1.jpg", "kick/frames1/2.jpg", "kick/poster.png", "cover.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    found = set(columns(read(folder), "video_id", "label"))
    assert ("kick/frames1", "kick") in found and len(found) == 5


def test_a_link_back_to_a_folder_above_ends(folder):
    (folder / "kick" / "again").symlink_to(folder)
    assert len(read(folder).manifest) == 4


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "it is empty"),
        ({"a/notes.txt": ""}, r"only \.txt"),
        ({"a/1.mp4": "", "a/2.mp4": ""}, "at least two classes"),
        ({"1.mp4": "", "2.mp4": ""}, "at least two classes.*none"),
    ],
)
def test_folders_that_hold_no_study(tmp_path, files, told):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    with pytest.raises((UserError, UserErrors), match=told):
        read_dataset(str(tmp_path), home=tmp_path / "home")


@pytest.mark.parametrize("source", ["moving_shape", "/nowhere/at/all"])
def test_an_unknown_source_is_told(tmp_path, source):
    with pytest.raises(UserError, match="folder of videos or one of: .*moving_shapes") as error:
        read_dataset(source, home=tmp_path)
    assert ("did you mean moving_shapes" in str(error.value)) == (source == "moving_shape")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "labels.csv",
            "video,label\nkick/gone.mp4,a\n",
            "line 2: kick/gone.mp4: there is no such file",
        ),
        ("labels.csv", "video,lable\nkick/s1_a.mp4,a\n", "missing label.*unknown lable"),
        ("labels.csv", "video,label\nkick/s1_a,a\nkick/s1_a.mp4,b\n", "line 3: .* first in line 2"),
        ("labels.csv", "video,label,split\nkick/s1_a,a,val\n", r"train, valid or test.*'val'"),
        ("labels.csv", "", "labels.csv is a table"),
        ("groups.csv", "video,group\nkick/s1_a,g1\n", "group or none has.*3 of 4 have none"),
    ],
)
def test_mistakes_in_tables(folder, name, text, told):
    (folder / name).write_text(text)
    with pytest.raises(UserErrors, match=told):
        read(folder)


@pytest.mark.parametrize(
    ("pattern", "told"), [("(", "regular expression"), ("s1", "parentheses"), ("(s1)", "not in 2")]
)
def test_mistakes_in_the_group_pattern(folder, pattern, told):
    with pytest.raises(UserErrors, match=told):
        read(folder, group_pattern=pattern)


def test_all_mistakes_are_told_at_once(folder):
    (folder / "groups.csv").write_text("video,grp\n")
    (folder / "labels.csv").write_text("video,label\nkick/gone,a\nkick/s1_a,a\nkick/s1_a,a\n")
    with pytest.raises(UserErrors) as error:
        read(folder)
    assert len(error.value.errors) == 3  # columns, absent, twice


def test_a_registered_reader_is_found_by_its_name(folder):
    name = "test_readers_own"
    if name not in list_readers():
        register_reader(name)(lambda request: read(folder))
    assert len(read_dataset(name, home=folder).manifest) == 4
    with pytest.raises(UserError, match="name is new"):
        register_reader(name)(lambda request: read(folder))


def test_real_folders(shared_data, tmp_path):
    fights = read_dataset(str(shared_data / "surv_fight"), home=tmp_path)
    assert fights.groups_known and len(fights.manifest) == 179
    assert fights.manifest["label"].value_counts().to_dict() == {"fight": 90, "noFight": 89}
    acts = read_dataset(
        str(shared_data / "ut_interaction"), home=tmp_path, group_pattern=r"(seq\d+)"
    )
    assert acts.manifest["group"].nunique() == 20 and acts.manifest["label"].nunique() == 6
