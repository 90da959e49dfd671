"""Kinetics lists beside cut clips and whole uploads."""

from pathlib import Path

import numpy as np
import pytest

from vidclass.data.readers import read_dataset
from vidclass.errors import UserError, UserErrors

HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def row(label: str, upload: str, start: int, split: str) -> str:
    return f"{label},{upload},{start},{start + 10},{split},0\n"


def write(root: Path, lists: dict[str, str], videos: list[str]) -> Path:
    for name, text in lists.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in videos:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


@pytest.fixture
def root(tmp_path) -> Path:
    """As CVDF unpacks: annotations/, and cut clips below train/ and val/."""
    train = "".join(
        row(label, f"{label[:2]}{n}-_{n}", 7 * n, "train")
        for label in ("abseiling", "air drumming")
        for n in range(3)
    )
    val = row("abseiling", "---QUuC4vJs", 84, "val") + row("air drumming", "Xy_Z", 0, "val")
    test = "youtube_id,time_start,time_end,split\n-0Ihsd,0,10,test\n"
    videos = [
        "train/ab0-_0_000000_000010.mp4",
        "train/ab1-_1_000007_000017.mp4",
        "train/ai0-_0_000000_000010.mp4",
        "train/ai2-_2_000014_000024.mp4",
        "val/---QUuC4vJs_000084_000094.mp4",
        "val/Xy_Z_000000_000010.mp4",
        "test/-0Ihsd_000000_000010.mp4",
    ]
    lists = {
        "annotations/train.csv": HEADER + train,
        "annotations/val.csv": HEADER + val,
        "annotations/test.csv": test,
    }
    return write(tmp_path / "k400", lists, videos)


def read(source, tmp_path, **options):
    return read_dataset(str(source), home=tmp_path / "home", **options)


def test_cut_clips_are_whole_videos(root, tmp_path):
    dataset = read(root, tmp_path)
    manifest = dataset.manifest.set_index("video_id")
    assert "start_s" not in manifest.columns and len(manifest) == 7
    one = manifest.loc["val/---QUuC4vJs_000084_000094.mp4"]
    assert (one["label"], one["group"], one["split"]) == ("abseiling", "---QUuC4vJs", "test")
    assert manifest.loc["test/-0Ihsd_000000_000010.mp4", "label"] is None
    assert manifest["split_1"].equals(manifest["split"])  # the publishers', whom nobody mends
    told = "\n".join(dataset.warnings)
    assert "the validation list is scored as test" in told
    lost = (
        "2 videos of the lists are not in the folder, first ab2-_2 (annotations/train.csv line 4)"
    )
    assert lost in told


def test_of_a_whole_upload_only_the_named_part_is_the_video(tmp_path):
    rows = [
        ("a", "upload_a", 5, "train"),
        ("b", "upload_b", 8, "train"),
        ("a", "upload_a", 40, "test"),
    ]
    rows += [("b", "upload_c", 0, "test")]
    write(
        tmp_path / "k",
        {"train.csv": HEADER + "".join(row(*one) for one in rows)},
        ["videos/upload_a.mp4", "videos/upload_b.webm", "videos/upload_c_000000_000010.mp4"],
    )
    manifest = read(tmp_path / "k", tmp_path).manifest.set_index("video_id")
    one = manifest.loc["videos/upload_a.mp4#t=40,50"]
    assert (one["start_s"], one["end_s"], one["group"]) == (40.0, 50.0, "upload_a")
    assert one["path"].endswith("videos/upload_a.mp4")
    assert np.isnan(manifest.loc["videos/upload_c_000000_000010.mp4", "start_s"])
    assert sorted(manifest["split"]) == ["test", "test", "train", "train"]


def test_one_list_is_a_source_too(root, tmp_path):
    dataset = read(root / "annotations" / "train.csv", tmp_path)
    assert len(dataset.manifest) == 4 and dataset.manifest["split"].isna().all()
    assert "only videos of the train list have labels" in "\n".join(dataset.warnings)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + "a,u,ten,20,train,0\n", r"time_start is a time.*t.csv line 2: ten"),
        (HEADER + "a,u,20,10,train,0\n", r"ends after it starts.*t.csv line 2: 20 s to 10 s"),
        (HEADER + "a,u,0,10,train,0\n" * 2, r"names a clip once.*line 3: u at 0"),
        (HEADER + "a,,0,10,train,0\n", r"has its id.*t.csv line 2"),
        (HEADER + "a,u,0,,train,0\n", r"time_end is a time.*line 2: no time_end"),
        (HEADER + "a,u,0,10,half,0\n", r"a split is one of train.*line 2: half"),
        (HEADER + "a,u,0,10\n", r"a cell for each column.*line 2: 4 cells under 6"),
    ],
)
def test_mistakes_name_their_line(tmp_path, text, told):
    write(tmp_path / "k", {"t.csv": text}, ["u_000000_000010.mp4"])
    with pytest.raises(UserErrors, match=told):
        read(tmp_path / "k", tmp_path)


def test_lists_without_any_of_their_videos_are_refused(tmp_path):
    write(tmp_path / "k", {"train.csv": HEADER + row("a", "u", 0, "train")}, ["other.mp4"])
    with pytest.raises(UserError, match=r"none is there, first u \(train.csv line 2\)"):
        read(tmp_path / "k", tmp_path)


def test_a_clip_in_two_lists_is_told_with_both_places(root, tmp_path):
    val = (root / "annotations" / "val.csv").read_text() + row("abseiling", "ab1-_1", 7, "val")
    (root / "annotations" / "val.csv").write_text(val)
    places = r"ab1-_1 \(annotations/val.csv line 4\), also ab1-_1 \(annotations/train.csv line 3\)"
    with pytest.raises(UserErrors, match=f"in one list of Kinetics.*{places}"):
        read(root, tmp_path)


def test_files_of_one_clip_are_told(root, tmp_path):
    (root / "val" / "ab1-_1_000007_000017.webm").write_bytes(b"y")
    told = "can't tell val/ab1-_1_000007_000017.webm from train/ab1-_1_000007_000017.mp4"
    assert any(told in warning for warning in read(root, tmp_path).warnings)
