"""Sample tables: videos, stretches of videos, one label or several."""

import numpy as np
import pandas as pd
import pytest

from vidclass.data.samples import multi_hot, read_samples
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.errors import UserError

PLAIN = pd.DataFrame({"video_id": ["a", "b"], "label_id": [1, 0], "group": ["g", "h"]})


def stretches(**columns):
    return PLAIN.assign(video_id="a", sample_id=["a#0", "a#6"], **columns)


def test_a_plain_table_is_whole_videos():
    samples = read_samples(PLAIN, np.array([7, 9]))
    assert samples.sample_ids == samples.video_ids == ["a", "b"]
    assert samples.labels.tolist() == [1, 0] and samples.labels.dtype == np.int64
    assert samples.first_N.tolist() == [0, 0] and samples.last_N.tolist() == [6, 8]


@pytest.mark.parametrize(
    ("label_ids", "expected"),
    [
        ([(0, 2), ()], [[1, 0, 1], [0, 0, 0]]),
        ([[1], np.array([2, 1])], [[0, 1, 0], [0, 1, 1]]),
    ],
)
def test_several_labels_become_rows_of_0_and_1(label_ids, expected):
    table = PLAIN.drop(columns="label_id").assign(label_ids=label_ids)
    labels = read_samples(table, np.array([7, 9]), 3).labels
    assert labels.tolist() == expected and labels.dtype == np.float32


@pytest.mark.parametrize("ids", [(3,), (-1,), (0, 7)])
def test_a_label_that_is_no_class_is_refused(ids):
    with pytest.raises(UserError, match="numbers from 0 to 2"):
        multi_hot([(0,), ids], 3)


def test_two_rows_of_one_video_need_names():
    with pytest.raises(UserError, match="a twice"):
        read_samples(PLAIN.assign(video_id="a"), np.array([7, 7]))


@pytest.mark.parametrize("stretch", [(0, 7), (-1, 3), (4, 3)])
def test_a_stretch_lies_in_its_video(stretch):
    table = stretches(first_frame=[0, stretch[0]], last_frame=[6, stretch[1]])
    with pytest.raises(UserError, match="1 are not, first a#6"):
        read_samples(table, np.array([7, 7]))


@pytest.mark.parametrize("train", [True, False])
def test_clips_stay_inside_their_stretch(make_store, train):
    store = make_store([(40, 32, 32)])
    firsts, lasts = [0, 6, 20, 39], [9, 15, 35, 39]
    table = pd.DataFrame({"video_id": "v0", "label_id": 0, "group": "g"}, index=range(4))
    table = table.assign(sample_id=list("abcd"), first_frame=firsts, last_frame=lasts)
    data = ClipDataset(
        store,
        table,
        window=Window(span_s=1.0, num_frames=10),
        positions=FramePositions(tuple(range(10))),
        input_size=32,
    )
    seen = [data.frame_numbers(np.arange(4), epoch=e, train=train) for e in range(20)]
    for row, (first, last) in enumerate(zip(firsts, lasts, strict=True)):
        frames = np.concatenate([numbers[row] for numbers in seen])
        assert frames.min() >= first and frames.max() <= last
    assert seen[0][0].tolist() == list(range(10)) and seen[0][3].tolist() == [39] * 10
    if train:
        assert len({numbers[2, 0] for numbers in seen}) > 3
    clips = data.read(np.arange(4), epoch=0, train=train).numpy()
    np.testing.assert_array_equal(clips[1], store.frames("v0")[6:16])
