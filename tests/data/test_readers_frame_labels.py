"""Labels of single frames: folders of images or video files with ``labels.csv``."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vidclass.data.annotations import intervals_to_frames
from vidclass.data.decode import probe
from vidclass.data.frame_label_check import (
    dataset_mismatches,
    frame_label_mismatches,
    refuse_mismatches,
)
from vidclass.data.readers import read_dataset
from vidclass.errors import UserErrors

LABELS = "aabb"


def write_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for k in range(count):
        Image.fromarray(np.full((8, 8, 3), k, np.uint8)).save(folder / f"{folder.name}-{k:05d}.png")


@pytest.fixture
def root(tmp_path):
    """Two folders of four images in the ancestor's form; the second one lies below ``data``."""
    root = tmp_path / "set"
    write_images(root / "s1", 4)
    write_images(root / "data" / "s2", 4)
    rows = [
        f"{v},{v}-{k:05d}.png,{x},{s}"
        for v, s in (("s1", "train"), ("s2", "test"))
        for k, x in enumerate(LABELS)
    ]
    (root / "labels.csv").write_text("video,frame,label,split\n" + "\n".join(rows) + "\n")
    return root


def read(root, **options):
    return read_dataset(str(root), home=root / "home", **options)


def probed(dataset):
    return dataset.manifest.assign(
        num_frames=[probe(path).num_frames for path in dataset.manifest["path"]]
    )


def frames_of(dataset, video_id, num_frames=4, fps=1.0, task="multiclass"):
    rows = dataset.annotations[dataset.annotations["video_id"] == video_id]
    present = intervals_to_frames(rows, num_frames, fps, ("a", "b"), task)
    return "".join(
        "?" if (row < 0).any() else next((n for n, x in zip("ab", row, strict=True) if x), ".")
        for row in present
    )


def test_folders_of_images(root):
    dataset = read(root)
    assert dataset.manifest["video_id"].tolist() == ["data/s2", "s1"]
    assert dataset.manifest["split"].tolist() == ["test", "train"]
    assert dataset.manifest["label"].tolist() == [None, None]
    assert frames_of(dataset, "s1") == frames_of(dataset, "data/s2") == "aabb"
    assert len(dataset.frame_rows) == 8 and not dataset.groups_known
    manifest = probed(dataset)
    assert manifest["num_frames"].tolist() == [4, 4]
    assert dataset_mismatches(dataset, manifest).empty
    refuse_mismatches(dataset, manifest)


def test_the_rate_of_the_images_places_the_labels(root):
    (root / "s1" / "frames.json").write_text(json.dumps({"fps": 2.0}))
    dataset = read(root)
    rows = dataset.annotations[dataset.annotations["video_id"] == "s1"]
    assert rows["end_s"].tolist() == [0.75, 1.75]  # between two frames
    assert frames_of(dataset, "s1", fps=2.0) == "aabb"


def test_video_files_have_numbered_frames(tmp_path, write_video):
    write_video(tmp_path / "v.mp4", num_frames=6, fps=10)
    write_video(tmp_path / "unlabelled.mp4", num_frames=6)
    rows = "".join(f"v,{k},{x}\n" for k, x in enumerate("ab?abb".replace("?", " ")))
    (tmp_path / "labels.csv").write_text("video,frame,label\n" + rows)
    dataset = read(tmp_path)
    assert frames_of(dataset, "v.mp4", 6, 10.0) == "ab?abb"
    assert set(dataset.manifest["video_id"]) == {"v.mp4", "unlabelled.mp4"}
    assert frames_of(dataset, "unlabelled.mp4", 6, 10.0) == "??????"
    assert dataset_mismatches(dataset, probed(dataset)).empty


def test_several_labels_of_a_frame(root):
    with (root / "labels.csv").open("a") as file:
        file.write("s1,s1-00000.png,b,train\n")
    dataset = read(root)
    rows = dataset.annotations[dataset.annotations["video_id"] == "s1"]
    present = intervals_to_frames(rows, 4, 1.0, ("a", "b"), "multilabel")
    assert present.tolist() == [[1, 1], [1, 0], [0, 1], [0, 1]]
    with pytest.raises(ValueError, match=r"labels\.csv line 10 \(b\) and labels\.csv line 2 \(a\)"):
        intervals_to_frames(rows, 4, 1.0, ("a", "b"), "multiclass")


def test_frames_without_labels_and_labels_without_frames_are_listed(root):
    text = (root / "labels.csv").read_text()
    text = text.replace("s1,s1-00003.png,b,train\n", "s1,s1-00009.png,b,train\n")
    (root / "labels.csv").write_text(text.replace("s2,s2-00000.png,a,test\n", ""))
    dataset = read(root)
    manifest = probed(dataset)
    found = dataset_mismatches(dataset, manifest).set_index("video_id")
    assert found.loc["s1"].tolist() == [4, 4, 0, ("s1-00003.png",), ("s1-00009.png",)]
    assert found.loc["data/s2"].tolist() == [4, 3, -1, ("s2-00000.png",), ()]
    with pytest.raises(
        UserErrors, match=r"data/s2: 4 frames, 3 labels \(-1\), without label: s2-0"
    ):
        refuse_mismatches(dataset, manifest)


def test_counting_is_pure():
    import pandas as pd

    rows = pd.DataFrame({"video_id": ["v", "v", "v", "w"], "frame": ["0", "1", "1", "0"]})
    assert frame_label_mismatches(rows, {"v": 2, "w": ["0"], "unlabelled": 9}).empty
    found = frame_label_mismatches(rows, {"v": 3})
    assert found["difference"].tolist() == [-1, 1] and found["without_label"][0] == ("2",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("video,frame,label\ns9,a,b\n", r"labels\.csv line 2: s9: there is no such file"),
        ("video,frame,label\ns1,,b\n", r"every row names a frame.*line 2: empty"),
        ("video,frame,label\ns1,1,b\ns1,1,b\n", r"has a label once.*line 3: 1 of s1"),
        (
            "video,frame,label,split\ns1,0,a,train\ns1,1,a,test\n",
            r"same split.*line 3: s1 is test, but train in labels\.csv line 2.*never divided by",
        ),
        ("video,frame,label,split\ns1,0,a,val\n", r"train, valid or test.*line 2: 'val'"),
        (
            "video,frame,label,group\ns1,0,a,g\ndata/s2,0,a,\n",
            r"labels.csv line 3: data/s2 \(1 of 2 have none\)",
        ),
        ('video,frame,label\ns1,0,"a\n', "line 2.*close the quotation mark"),
    ],
)
def test_mistakes_name_file_and_line(root, text, told):
    (root / "labels.csv").write_text(text)
    with pytest.raises(UserErrors, match=told):
        read(root)


def test_frames_of_a_file_are_numbers(tmp_path, write_video):
    write_video(tmp_path / "v.mp4")
    (tmp_path / "labels.csv").write_text("video,frame,label\nv,0,a\nv,one,b\n")
    with pytest.raises(UserErrors, match=r"numbers from 0.*labels\.csv line 3: one"):
        read(tmp_path)


def test_groups_and_group_columns(root):
    (root / "groups.csv").write_text("video,group,animal\ns1,g1,m1\ns2,g2,m2\n")
    dataset = read(root)
    assert dataset.groups_known and dataset.manifest["animal"].tolist() == ["m2", "m1"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    separator=st.sampled_from([",", ";", "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    label=st.sampled_from(["plain", "grüßen", "a, b", "a; b", 'say "hi"', "x|y"]),
    order=st.permutations(["video", "frame", "label", "split"]),
)
def test_tables_as_people_write_them(root, encoding, separator, newline, label, order):
    import csv
    import io

    out = io.StringIO()
    writer = csv.DictWriter(out, order, delimiter=separator, lineterminator=newline)
    writer.writeheader()
    for k in range(4):
        writer.writerow({"video": "s1", "frame": k, "label": label, "split": "train"})
    (root / "labels.csv").write_bytes(out.getvalue().encode(encoding))
    dataset = read(root, labels_needed=False)
    assert dataset.annotations["label"].tolist() == [label]


def test_the_ancestors_form_with_its_sizes(tmp_path):
    """725 frames in 3 videos, as the design restates them; empty files stand for the images."""
    from vidclass.data.windows import window_table

    runs = {"s26": [22, 41, 116, 46, 41], "s27": [13, 33, 55, 50, 23], "s28": [37, 42, 93, 91, 22]}
    rows = ["video,frame,label,split"]
    for (name, lengths), split in zip(runs.items(), ("train", "valid", "test"), strict=True):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        labels = [x for k, n in enumerate(lengths) for x in [("noseal", "seal")[k % 2]] * n]
        for k, label in enumerate(labels, start=1):
            (folder / f"{name}-{k:05d}.jpeg").touch()
            rows.append(f"{name},{name}-{k:05d}.jpeg,{label},{split}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    dataset = read(tmp_path)
    assert len(dataset.frame_rows) == 725
    videos = dataset.manifest.assign(num_frames=[266, 174, 285], fps=1.0)
    table = window_table(
        dataset.annotations, videos, ("noseal", "seal"), "multiclass", length_frames=5
    )
    assert table["video_id"].value_counts().tolist() == [281, 262, 170]
