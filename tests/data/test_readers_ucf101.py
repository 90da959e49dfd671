"""UCF101 in its published form: names, lists with class numbers, three splits."""

from pathlib import Path

import pytest

from vidclass.data.manifest import published_columns
from vidclass.data.readers import read_dataset
from vidclass.errors import UserError, UserErrors

CLASSES = ("ApplyEyeMakeup", "HandstandPushups", "YoYo")
SPELLED = {"HandstandPushups": "HandStandPushups"}  # as UCF101 itself writes these files


def clip(label: str, group: int, number: int) -> str:
    return f"{label}/v_{SPELLED.get(label, label)}_g{group:02d}_c{number:02d}.avi"


def write_lists(folder: Path) -> None:
    """Write lists as published: groups 1-7, 8-14 and 15-21 test; Windows line ends."""
    folder.mkdir(parents=True)
    names = "".join(f"{number} {name}\r\n" for number, name in enumerate(CLASSES, start=1))
    (folder / "classInd.txt").write_bytes(names.encode())
    for split in (1, 2, 3):
        test = range(7 * split - 6, 7 * split + 1)
        lines: dict[str, list[str]] = {"train": [], "test": []}
        for number, label in enumerate(CLASSES, start=1):
            for group in range(1, 26):
                name = clip(label, group, 1)
                kind = "test" if group in test else "train"
                lines[kind].append(name if kind == "test" else f"{name} {number}")
        for kind, rows in lines.items():
            path = folder / f"{kind}list{split:02d}.txt"
            path.write_bytes("".join(f"{row}\r\n" for row in rows).encode())


def write_videos(folder: Path, classes=CLASSES, flat: bool = False, suffix: str = ".avi") -> None:
    for label in classes:
        for group in range(1, 26):
            name = clip(label, group, 1).removesuffix(".avi") + suffix
            path = folder / (name.rsplit("/", 1)[-1] if flat else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")


@pytest.fixture
def root(tmp_path) -> Path:
    """As the two archives unpack: UCF-101/CLASS/ and ucfTrainTestlist/."""
    write_lists(tmp_path / "ucf" / "ucfTrainTestlist")
    write_videos(tmp_path / "ucf" / "UCF-101")
    return tmp_path / "ucf"


def read(source, tmp_path, **options):
    return read_dataset(str(source), home=tmp_path / "home", **options)


def test_the_published_form(root, tmp_path):
    dataset = read(root, tmp_path)
    manifest = dataset.manifest.set_index("video_id")
    assert len(manifest) == 75 and dataset.groups_known and dataset.warnings == ()
    assert dataset.class_names == CLASSES
    row = manifest.loc["UCF-101/HandstandPushups/v_HandStandPushups_g07_c01.avi"]
    assert (row["label"], row["group"]) == ("HandstandPushups", "HandstandPushups/g07")
    assert (row["split_1"], row["split_2"], row["split_3"]) == ("test", "train", "train")
    assert published_columns(dataset.manifest) == {1: "split_1", 2: "split_2", 3: "split_3"}
    for column in ("split_1", "split_2", "split_3"):
        assert manifest[column].value_counts().to_dict() == {"train": 54, "test": 21}
        both = manifest.groupby("group")[column].nunique()
        assert (both == 1).all()


@pytest.mark.parametrize(
    ("flat", "suffix"), [(True, ".avi"), (False, ".mp4")], ids=["flat folder", "converted"]
)
def test_other_ways_to_keep_it(tmp_path, flat, suffix):
    write_lists(tmp_path / "ucfTrainTestlist")
    write_videos(tmp_path, flat=flat, suffix=suffix)
    manifest = read(f"ucf101:{tmp_path}", tmp_path).manifest
    assert sorted(manifest["label"].unique()) == list(CLASSES)
    assert manifest["split_1"].notna().all()


def test_a_part_of_the_classes_is_told(tmp_path):
    write_lists(tmp_path / "ucfTrainTestlist")
    write_videos(tmp_path / "UCF-101", classes=CLASSES[:2])
    (tmp_path / "UCF-101" / clip("ApplyEyeMakeup", 9, 1)).unlink()
    dataset = read(tmp_path, tmp_path)
    assert dataset.class_names == CLASSES[:2]
    told = "\n".join(dataset.warnings)
    assert "1 classes of the lists are not in the folder: YoYo" in told
    assert "1 videos of the lists are not in the folder, first ApplyEyeMakeup/v_" in told


def test_videos_without_lists_have_groups_but_no_splits(tmp_path):
    write_videos(tmp_path / "UCF-101")
    dataset = read(f"ucf101:{tmp_path}", tmp_path, group_pattern="(x)")
    assert dataset.manifest["group"].nunique() == 75
    assert published_columns(dataset.manifest) == {}
    assert "published splits are not known" in "\n".join(dataset.warnings)
    assert "group_pattern is not used" in "\n".join(dataset.warnings)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("trainlist01.txt", "YoYo/yoyo.avi 3\n", "trainlist01.txt line 1: YoYo/yoyo.avi"),
        (
            "testlist01.txt",
            "YoYo/v_YoYo_g09_c01.avi\n",
            "trainlist01.txt line .*already in test of split_1",
        ),
        ("classInd.txt", "ApplyEyeMakeup 1\n\nYoYo\n", r"classInd.txt line 1: .* line 3\)"),
    ],
)
def test_mistakes_in_lists_name_their_line(root, tmp_path, name, text, told):
    (root / "ucfTrainTestlist" / name).write_text(text)
    with pytest.raises(UserErrors, match=told):
        read(root, tmp_path)


def test_a_folder_of_other_names_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.avi").write_bytes(b"x")
    with pytest.raises(UserError, match="v_CLASS_gNN_cNN.*first a/1.avi"):
        read(f"ucf101:{tmp_path}", tmp_path)


def test_the_real_clip_of_the_shared_folder(shared_data, tmp_path):
    dataset = read(
        f"ucf101:{shared_data / 'decode_fixtures' / 'ucf101'}", tmp_path, labels_needed=False
    )
    row = dataset.manifest.iloc[0]
    assert row["group"].startswith(f"{row['label']}/g")


def test_files_of_one_clip_are_told(root, tmp_path):
    (root / "UCF-101" / "YoYo" / "v_YoYo_g03_c01.mp4").write_bytes(b"y")
    dataset = read(root, tmp_path)
    told = "can't tell UCF-101/YoYo/v_YoYo_g03_c01.mp4 from UCF-101/YoYo/v_YoYo_g03_c01.avi"
    assert any(told in warning for warning in dataset.warnings)
    splits = dataset.manifest.set_index("video_id")["split_1"]
    assert splits["UCF-101/YoYo/v_YoYo_g03_c01.avi"] == "test"
    assert splits["UCF-101/YoYo/v_YoYo_g03_c01.mp4"] is None
