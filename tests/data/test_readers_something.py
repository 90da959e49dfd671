"""Something-Something and Jester: JSON and ``id;label`` lists beside videos called by their id."""

import json
from pathlib import Path

import pytest

from vidclass.data.readers import read_dataset
from vidclass.errors import UserErrors

PUSH, HOLD = "Pushing [something] off of [something]", "Holding [something]"
NAMES = {"Holding something": "1", "Pushing something off of something": "0"}


def record(number: int, template: str) -> dict:
    label = template.replace("[something]", "a cup").lower()
    return {"id": str(number), "label": label, "template": template, "placeholders": ["a cup"]}


@pytest.fixture
def root(tmp_path) -> Path:
    """As version 2 is published, labels/ and videos apart."""
    root = tmp_path / "ssv2"
    labels = root / "labels"
    labels.mkdir(parents=True)
    train = [record(1, PUSH), record(2, HOLD), record(3, PUSH), record(4, HOLD)]
    (labels / "something-something-v2-train.json").write_text(json.dumps(train, indent=1))
    (labels / "something-something-v2-validation.json").write_text(
        json.dumps([record(5, PUSH), record(6, HOLD)])
    )
    (labels / "something-something-v2-test.json").write_text(json.dumps([{"id": "7"}]))
    (labels / "something-something-v2-labels.json").write_text(json.dumps(NAMES))
    videos = root / "20bn-something-something-v2"
    videos.mkdir()
    for number in range(1, 8):
        (videos / f"{number}.webm").write_bytes(b"x")
    return root


def read(source, tmp_path, **options):
    return read_dataset(str(source), home=tmp_path / "home", **options)


def test_the_class_is_the_template(root, tmp_path):
    dataset = read(root, tmp_path)
    manifest = dataset.manifest.set_index("video_id")
    assert dataset.class_names == ("Pushing something off of something", "Holding something")
    assert not dataset.groups_known and len(manifest) == 7
    row = manifest.loc["20bn-something-something-v2/5.webm"]
    assert (row["label"], row["split"]) == ("Pushing something off of something", "test")
    assert manifest.loc["20bn-something-something-v2/7.webm", "label"] is None
    assert manifest["split_1"].equals(manifest["split"])
    assert "the validation list is scored as test" in "\n".join(dataset.warnings)


def test_answers_give_the_labels_of_the_test_list(root, tmp_path):
    (root / "labels" / "test-answers.csv").write_text("7;Holding something\n")
    dataset = read(root, tmp_path)
    assert dataset.manifest["label"].notna().all() and dataset.warnings == ()
    assert dataset.manifest["split"].value_counts().to_dict() == {"train": 4, "valid": 2, "test": 1}


def test_jester_lists_with_semicolons(tmp_path):
    (tmp_path / "jester-v1-labels.csv").write_text("Swiping Left\nNo gesture\nDrumming Fingers\n")
    (tmp_path / "jester-v1-train.csv").write_text("34870;Drumming Fingers\n56557;Swiping Left\n")
    (tmp_path / "jester-v1-validation.csv").write_text("1;Drumming Fingers\n2;Swiping Left\n")
    for number in (34870, 56557, 1, 2):
        (tmp_path / f"{number}.mp4").write_bytes(b"x")
    dataset = read(tmp_path, tmp_path)
    assert dataset.class_names == ("Swiping Left", "Drumming Fingers")
    assert read(f"jester:{tmp_path}", tmp_path).manifest.equals(dataset.manifest)


def test_folders_of_images_are_videos(tmp_path):
    (tmp_path / "jester-v1-labels.csv").write_text("Swiping Left\nDrumming Fingers\n")
    (tmp_path / "jester-v1-train.csv").write_text("34870;Drumming Fingers\n56557;Swiping Left\n")
    for number in (34870, 56557):
        folder = tmp_path / "20bn-jester-v1" / str(number)
        folder.mkdir(parents=True)
        (folder / "00001.jpg").write_bytes(b"x")
    (folder / "frames.json").write_text('{"fps": 12}')
    dataset = read(tmp_path, tmp_path)
    assert dataset.manifest["video_id"].tolist() == ["20bn-jester-v1/34870", "20bn-jester-v1/56557"]
    assert "1 videos are folders of images without a rate, first 34870" in dataset.warnings[-1]


def test_absent_videos_are_told_with_file_and_line(root, tmp_path):
    (root / "20bn-something-something-v2" / "3.webm").unlink()
    told = "\n".join(read(root, tmp_path).warnings)
    assert (
        "1 videos of the lists are not in the folder, first 3 (labels/something-something-v2-train"
        in told
    )
    assert "json line 18)" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{}", "is a JSON list.*train.json line 1: no list begins"),
        ('[\n{"id": "1", "template": "A"},\n{"id": }]', "train.json line 3"),
        ('[\n{"id": "1", "template": "A"},\n7]', "train.json line 3: 7"),
        ('[{"id": "1", "template": "A"},\n{"id": "1", "template": "A"}]', "line 2: 1 named again"),
        ('[{"template": "A"}]', "has id and label.*train.json line 1: no id"),
        ('[\n\n{"id": "1"}]', "train.json line 3: 1 has no label"),
        ('[{"id": "1", "template": "A"}', "train.json line 1"),
        ("[" * 100_000, "train.json line 1"),
    ],
)
def test_mistakes_name_their_line(root, tmp_path, text, told):
    (root / "labels" / "something-something-v2-train.json").write_text(text)
    with pytest.raises(UserErrors, match=told):
        read(root, tmp_path)


def test_a_wrong_list_of_classes_is_told(root, tmp_path):
    (root / "labels" / "something-something-v2-labels.json").write_text('{"a":\n "one"}')
    with pytest.raises(UserErrors, match="is a JSON object from class to number"):
        read(root, tmp_path)


def test_an_id_in_two_lists_or_with_two_labels_is_told_with_both_places(root, tmp_path):
    path = root / "labels" / "something-something-v2-validation.json"
    path.write_text(json.dumps([record(5, PUSH), record(4, HOLD)], indent=1))
    with pytest.raises(UserErrors, match=r"4 \(.*validation.json line 10\), also 4 \(.*train.json"):
        read(root, tmp_path)
    path.write_text(json.dumps([record(5, PUSH), record(6, HOLD)]))
    (root / "labels" / "x-validation.json").write_text(json.dumps([record(6, PUSH)]))
    with pytest.raises(
        UserErrors, match=r"6 \(labels/x-validation.json line 1\), also 6 \(labels/"
    ):
        read(root, tmp_path)


def test_files_of_one_id_are_told_and_the_first_is_taken(root, tmp_path):
    (root / "other").mkdir()
    (root / "other" / "3.mp4").write_bytes(b"y")
    dataset = read(root, tmp_path)
    assert "other/3.mp4" not in set(dataset.manifest["video_id"])
    told = "can't tell other/3.mp4 from 20bn-something-something-v2/3.webm"
    assert any(told in warning for warning in dataset.warnings)
