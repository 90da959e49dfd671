"""Which videos a job may learn from before its training, and that it does."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vidclass.data.frame_store import write_store
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.errors import UserErrors
from vidclass.home import store_folder, studies_folder
from vidclass.sweep.job_data import pretraining_data
from vidclass.sweep.load import load_study_file

FRAMES, SIDE = 6, 16
# id, label, group, split of fold 0, split of fold 1
VIDEOS = [
    ("a", "x", "g1", "train", "test"),
    ("b", "y", "g2", "train", "train"),
    ("c", "x", "g3", "valid", "train"),
    ("d", "y", "g4", "test", "valid"),
    ("free", None, "g5", None, None),
    ("of_train", None, "g2", None, None),
    ("of_valid", None, "g3", None, None),
    ("of_test", None, "g4", None, None),
    ("broken", None, "g6", None, None),
]


@pytest.fixture
def study(home: Path) -> Path:
    """A study of four labelled videos and five without a label, one of them quarantined."""
    names = [row[0] for row in VIDEOS]
    frames = np.zeros((len(VIDEOS), FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    store = store_folder(home) / "made"
    store.mkdir(parents=True)
    (store / "a.rgb").write_bytes(frames.tobytes())
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb"})
    index["offset"] = np.arange(len(VIDEOS)) * frames[0].nbytes
    index = index.assign(T=FRAMES, H=SIDE, W=SIDE, fps=10.0)
    write_store(store, index, index[["video_id"]], {})

    rows = pd.DataFrame({"video_id": names, "path": names, "split": None})
    rows["label"] = [row[1] for row in VIDEOS]
    rows["group"] = [row[2] for row in VIDEOS]
    manifest = new_manifest(rows)
    manifest.loc[manifest["video_id"] == "broken", "status"] = "quarantined"
    folder = studies_folder(home) / "made"
    folder.mkdir(parents=True)
    write_manifest(manifest, folder / "manifest.parquet")
    splits = [(row[0], fold, row[3 + fold]) for row in VIDEOS for fold in (0, 1) if row[3]]
    pd.DataFrame(splits, columns=["video_id", "fold", "split"]).to_parquet(
        folder / "splits.parquet"
    )
    return home


def job(fold: int, **train: Any) -> dict[str, Any]:
    return {
        "study": "made",
        "store_key": "made",
        "fold": fold,
        "classes": ["x", "y"],
        "variant": "kept",
        "seed": 0,
        "window": {"span_s": 0.4, "num_frames": 4},
        "input_size": SIDE,
        "geometry": "crop",
        "views": 1,
        "sampling": {},
        "crop": {},
        "config": {
            "model": "frame_autoencoder",
            "options": {"input_size": SIDE, "window_frames": 4, "width": 0.125},
            "train": {"pretrain_epochs": 1, "pretrain_on": "train+unlabelled", **train},
        },
    }


@pytest.mark.parametrize(
    ("fold", "seen"),
    [
        # of_valid and of_test share a group with what is held out in fold 0
        (0, {"a", "b", "free", "of_train"}),
        (1, {"b", "c", "free", "of_train", "of_valid"}),
    ],
)
def test_no_video_of_a_held_out_group_is_seen(fold: int, seen: set[str], study: Path) -> None:
    data = pretraining_data(job(fold), study)
    assert data is not None and set(data.samples.video_ids) == seen


@pytest.mark.parametrize("train", [{"pretrain_on": "train"}, {"pretrain_epochs": 0}])
def test_unlabelled_videos_are_read_only_where_asked_for(
    train: dict[str, Any], study: Path
) -> None:
    assert pretraining_data(job(0, **train), study) is None


def test_smoke_shortens_a_pretraining_and_adds_none() -> None:
    arms = load_study_file("mouse_injury", smoke=True).spec.arms
    epochs = {arm.name: arm.fixed.get("pretrain_epochs") for arm in arms}
    assert epochs["autoencoder"] == epochs["masked"] == 2
    assert epochs["convlstm"] is None


def test_an_arm_that_cannot_learn_without_labels_is_told_before_the_start() -> None:
    with pytest.raises(UserErrors, match="one of convlstm_autoencoder, frame_autoencoder, masked"):
        load_study_file("smoke", overrides=("train.pretrain_epochs=2",))
