"""DeepEthogram projects in the form that DeepEthogram writes."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from vidclass.data.annotations import intervals_to_frames
from vidclass.data.decode import probe
from vidclass.data.frame_label_check import dataset_mismatches
from vidclass.data.readers import read_dataset
from vidclass.errors import UserErrors

CLASSES = ["background", "groom", "rear"]
LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [-1, -1, -1], [1, 0, 0]])


def write_labels(folder, labels=LABELS, columns=CLASSES):
    pd.DataFrame(labels, columns=columns).to_csv(folder / f"{folder.name}_labels.csv")


@pytest.fixture
def root(tmp_path, write_video):
    """A project of a labelled video of 6 frames, an unlabelled one, and a folder of images."""
    root = tmp_path / "mice_deepethogram"
    config = {
        "project": {
            "name": "mice",
            "class_names": CLASSES,
            "data_path": "DATA",
            "model_path": "models",
            "path": "C:\\elsewhere\\mice_deepethogram",
        },
        "augs": {"LR": 0.5},
    }
    for name in ("m1", "m2"):
        folder = root / "DATA" / name
        write_video(folder / f"{name}.avi", num_frames=6, fps=10)
        (folder / f"{name}_outputs.h5").write_bytes(b"x")
        (folder / "record.yaml").write_text("key: m1\n")
    write_labels(root / "DATA" / "m1")
    images = root / "DATA" / "m3" / "m3_images"
    images.mkdir(parents=True)
    for k in range(6):
        Image.new("RGB", (8, 8), (k, k, k)).save(images / f"{k:05d}.png")
    write_labels(root / "DATA" / "m3", np.where(LABELS < 0, 1, LABELS)[:, [0, 1, 2]])
    (root / "project_config.yaml").write_text(yaml.safe_dump(config))
    return root


def read(root, **options):
    return read_dataset(str(root), home=root / "home", **options)


def present(dataset, video_id="DATA/m1/m1.avi", fps=10.0, task="multilabel"):
    rows = dataset.annotations[dataset.annotations["video_id"] == video_id]
    return intervals_to_frames(rows, 6, fps, CLASSES, task)


def test_a_project(root):
    dataset = read(root)
    assert dataset.manifest["video_id"].tolist() == [
        "DATA/m1/m1.avi", "DATA/m2/m2.avi", "DATA/m3/m3_images",
    ]  # fmt: skip
    assert dataset.class_names == tuple(CLASSES)
    assert (present(dataset) == LABELS).all()
    assert (present(dataset, "DATA/m2/m2.avi") == -1).all()
    assert dataset.annotations["source"].iloc[0] == "DATA/m1/m1_labels.csv line 2"
    numbers = [probe(path).num_frames for path in dataset.manifest["path"]]
    assert dataset_mismatches(dataset, dataset.manifest.assign(num_frames=numbers)).empty


def test_a_label_file_of_another_length_is_found(root):
    write_labels(root / "DATA" / "m1", LABELS[:4])
    write_labels(root / "DATA" / "m3", np.tile(LABELS, (2, 1)))
    dataset = read(root)
    numbers = [probe(path).num_frames for path in dataset.manifest["path"]]
    found = dataset_mismatches(dataset, dataset.manifest.assign(num_frames=numbers))
    assert found["difference"].tolist() == [-2, 6]
    assert found["without_label"].tolist() == [("4", "5"), ()]


def test_background_is_where_no_behaviour_is(root):
    contradicting = LABELS.copy()
    contradicting[1, 0] = 1
    contradicting[5] = 0
    write_labels(root / "DATA" / "m1", contradicting)
    dataset = read(root)
    assert (present(dataset) == LABELS).all()
    assert any("m1_labels.csv: background contradicted" in told for told in dataset.warnings)
    assert "in 2 frames" in " ".join(dataset.warnings)


@pytest.mark.parametrize(("columns", "kept"), [(["none", "groom", "rear"], 3), (CLASSES[1:], 2)])
def test_label_files_made_elsewhere(root, columns, kept):
    """DeepEthogram itself renames ``none`` and adds a background where there is none."""
    write_labels(root / "DATA" / "m1", LABELS[:, -kept:], columns)
    dataset = read(root)
    assert (present(dataset) == LABELS).all() and not any("m1" in t for t in dataset.warnings)


def test_frames_labelled_in_part_count_as_unlabelled(root):
    partly = LABELS.copy()
    partly[0] = [1, 0, -1]  # as when a behaviour is added to a project later
    write_labels(root / "DATA" / "m1", partly)
    dataset = read(root)
    assert (present(dataset)[0] == -1).all()
    assert "m1_labels.csv: 1 frames have labels of some behaviours only" in dataset.warnings[0]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("project_config.yaml", "project:\n  a: [\n", r"project_config\.yaml line \d"),
        (
            "project_config.yaml",
            "project: {class_names: null}\n",
            r"project_config\.yaml line 1: None",
        ),
        ("project_config.yaml", "[]\n", "names the behaviours"),
        (
            "project_config.yaml",
            "project:\n  class_names: [a, b]\n  data_path: x",
            "yaml line 3: .*x",
        ),
        ("project_config.yaml", "project:\n  class_names: [a, a, b]", "yaml line 2: a"),
        (
            "DATA/m1/m1_labels.csv",
            ",background,groom\n0,1,0\n",
            r"m1_labels\.csv line 1: missing rear",
        ),
        (
            "DATA/m1/m1_labels.csv",
            ",background,groom,rear,sniff\n0,1,0,0,0\n",
            r"behaviour of the project.*m1_labels\.csv line 1: sniff",
        ),
        (
            "DATA/m1/m1_labels.csv",
            ",background,groom,rear\n0,1,0,0\n1,1,2,0\n2,,0,0\n",
            r"line 3: 2 in column groom .and 1 more, line 4",
        ),
        (
            "DATA/m1/m1_labels.csv",
            ",background,groom,rear\n0,1,0,0\n2,1,0,0\n",
            r"numbered from 0.*line 3: 2 where 1 follows",
        ),
        ("DATA/m1/second.avi", "x", "holds one video"),
        ("DATA/m1/other_label.csv", ",groom,rear\n", None),
    ],
)
def test_mistakes_name_file_and_line(root, name, text, told):
    (root / name).write_text(text)
    if told is None:  # the file that is called like the folder is the one
        assert (present(read(root)) == LABELS).all()
        return
    if name.endswith("second.avi"):
        (root / "DATA" / "m1" / "m1.avi").rename(root / "DATA" / "m1" / "first.avi")
    with pytest.raises(UserErrors, match=told):
        read(root)


def test_labels_in_hdf5_are_told(root):
    (root / "DATA" / "m2" / "m2_labels.h5").write_bytes(b"x")
    assert "m2: labels in HDF5 are not read; export them as CSV" in read(root).warnings


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.sampled_from([(0, 0), (0, 1), (1, 0), (1, 1), (-1, -1)]), max_size=6),
    floats=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1"]),
)
def test_any_labels_come_back(root, rows, floats, encoding):
    full = [(-1, *row) if row[0] < 0 else (int(row == (0, 0)), *row) for row in rows]
    table = pd.DataFrame(full, columns=CLASSES, dtype=float if floats else int)
    table.to_csv(root / "DATA" / "m1" / "m1_labels.csv", encoding=encoding)
    dataset = read(root)
    rows = dataset.annotations[dataset.annotations["video_id"] == "DATA/m1/m1.avi"]
    found = intervals_to_frames(rows, len(full), 10.0, CLASSES, "multilabel")
    assert found.tolist() == [list(row) for row in full]
