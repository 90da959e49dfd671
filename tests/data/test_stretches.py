from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from vidclass.data.feature_store import FeatureStore
from vidclass.data.frame_store import FrameStore, write_store
from vidclass.data.sampling import FramePositions, Window
from vidclass.data.stretches import NO_LABEL, StretchDataset, labelling_frames

FRAMES = {"a": 40, "b": 9, "c": 61}
LENGTH, STRIDE = 5, 2


def stores(folder: Path) -> tuple[FrameStore, FeatureStore]:
    """Videos of one pixel, and features that say which video and frame they are of."""
    names, counts = list(FRAMES), np.array(list(FRAMES.values()))
    folder.mkdir(exist_ok=True)
    (folder / "a.rgb").write_bytes(bytes(int(counts.sum()) * 16 * 16 * 3))
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb", "T": counts, "H": 16, "W": 16})
    index = index.assign(offset=(counts.cumsum() - counts) * 16 * 16 * 3, fps=10.0)
    write_store(folder, index, pd.DataFrame(), {})
    parts = pd.DataFrame(
        {"video_id": names, "part": "a.f32", "first_row": counts.cumsum() - counts}
    )
    told = [(n, t) for n, count in enumerate(counts) for t in range(count)]
    np.array(told, dtype=np.float32).tofile(folder / "a.f32")
    (folder / "features.json").write_text('{"num_features": 2}')
    features = FeatureStore(folder, parts.assign(T=counts), 2)
    return FrameStore.open(folder), features


def table(*, several: bool = False) -> pd.DataFrame:
    rows = []
    for number, (video_id, count) in enumerate(FRAMES.items()):
        for first in range(0, count - LENGTH + 1, STRIDE):
            if video_id == "c" and 20 <= first < 30:
                continue  # a part that nobody labelled
            rows.append((f"{video_id}#{first}", video_id, first, first + LENGTH - 1, number))
    made = pd.DataFrame(
        rows, columns=["sample_id", "video_id", "first_frame", "last_frame", "label_id"]
    )
    if several:
        made["label_ids"] = [(k, 3) for k in made.pop("label_id")]
    return made.assign(group=made["video_id"]).sample(frac=1, random_state=0, ignore_index=True)


def dataset(folder: Path, several: bool = False, **settings: Any) -> StretchDataset:
    frames, features = stores(folder)
    return StretchDataset(
        frames,
        features,
        table(several=several),
        num_steps=settings.pop("num_steps", 8),
        label_from=settings.pop("label_from", "last"),
        window=Window(0.5, 5),
        positions=FramePositions((2,)),
        input_size=16,
        num_classes=4,
        **settings,
    )


@pytest.mark.parametrize("order", ["kept", "reversed", "shuffled"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_steps_show_the_frame_that_labels_their_sample(
    tmp_path: Path, order: Any, train: bool, epoch: int
) -> None:
    data = dataset(tmp_path, order=order)
    clips = np.arange(data.num_clips(train))
    f_BSD = data.read(clips, epoch=epoch, train=train).numpy()
    sample_BS = data.step_samples(clips, epoch=epoch, train=train)
    known = sample_BS >= 0
    rows = table().iloc[sample_BS[known]]
    np.testing.assert_array_equal(f_BSD[known][:, 1], rows["last_frame"])
    np.testing.assert_array_equal(f_BSD[known][:, 0], rows["label_id"])
    y_BS = data.labels_of(clips, epoch=epoch, train=train)
    np.testing.assert_array_equal(y_BS[known], rows["label_id"])
    assert (y_BS[~known] == NO_LABEL).all() and (~known).any()
    counts = np.bincount(sample_BS[known], minlength=data.num_samples)
    assert counts.min() >= 1
    if train:  # every sample exactly once an epoch
        assert counts.max() == 1


def test_training_stretches_move_between_epochs_and_not_within_one(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    clips = np.arange(data.num_clips(True))
    read = [data.read(clips, epoch=epoch, train=True) for epoch in (1, 2, 3, 1)]
    assert torch.equal(read[0], read[3]) and not torch.equal(read[0], read[1])
    assert torch.equal(data.read(clips[2:3], epoch=2, train=True), read[1][2:3])


@pytest.mark.parametrize("order", ["kept", "shuffled"])
@pytest.mark.parametrize("several", [False, True])
def test_each_sample_gets_the_answer_at_its_own_frame(
    tmp_path: Path, several: bool, order: Any
) -> None:
    data = dataset(tmp_path, several=several, order=order)
    clips = np.arange(data.num_clips(False))
    answers_CSK = data.read(clips, epoch=0, train=False).numpy()
    answers_NK = data.of_samples(answers_CSK)
    rows = table()
    np.testing.assert_array_equal(answers_NK[:, 1], rows["last_frame"])
    np.testing.assert_array_equal(answers_NK[:, 0], rows["label_id"])
    y = data.labels_of(clips, epoch=0, train=False)
    assert y.shape == (len(clips), 8, 4) if several else (len(clips), 8)


def test_the_answer_is_of_the_stretch_in_which_a_step_is_most_inside(tmp_path: Path) -> None:
    data = dataset(tmp_path)
    clips = np.arange(data.num_clips(False))
    inside_S = np.minimum(np.arange(8), np.arange(8)[::-1]).astype(np.float32)
    answers = data.of_samples(np.broadcast_to(inside_S[None, :, None], (len(clips), 8, 1)))
    # Stretches overlap by half, so only the ends of recordings are answered from an outer quarter.
    rows = table().assign(inside=answers[:, 0])
    middle = rows[(rows["video_id"] == "a") & rows["first_frame"].between(8, 26)]
    assert middle["inside"].min() >= 2


def test_the_frame_that_labels_a_window() -> None:
    first_N, last_N = np.array([0, 10]), np.array([4, 13])
    assert labelling_frames(first_N, last_N, "last").tolist() == [4, 13]
    assert labelling_frames(first_N, last_N, "centre").tolist() == [2, 12]
    assert labelling_frames(first_N, last_N, "majority").tolist() == [2, 12]


def test_a_recording_of_one_window_and_a_long_stretch(tmp_path: Path) -> None:
    data = dataset(tmp_path, num_steps=100)
    assert data.num_clips(True) == data.num_clips(False) == len(FRAMES)
    only = StretchDataset(
        *stores(tmp_path),
        table().iloc[:1],
        num_steps=4,
        label_from="centre",
        window=Window(0.5, 5),
        positions=FramePositions((2,)),
        input_size=16,
    )
    assert only.read(np.array([0]), epoch=1, train=True).shape == (1, 4, 2)
    assert (only.labels_of(np.array([0]), epoch=1, train=True) >= 0).sum() == 1
