import numpy as np
import pytest
import torch

from vidclass.training.batches import cut, derived_seed, epoch_order, read_batches


@pytest.mark.parametrize(
    ("num_clips", "sizes"),
    [(2, [2]), (4, [4]), (5, [5]), (6, [4, 2]), (8, [4, 4]), (9, [4, 5]), (11, [4, 4, 3])],
)
def test_no_clip_is_dropped_and_none_is_left_alone(num_clips, sizes):
    batches = cut(np.arange(num_clips), 4)
    assert [len(clips_B) for clips_B in batches] == sizes
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(num_clips))


def test_order_depends_on_seed_and_epoch_alone():
    label_N = np.arange(50) % 3
    order = [
        epoch_order(label_N, seed=seed, epoch=epoch).tolist()
        for seed, epoch in [(0, 1), (0, 1), (0, 2), (1, 1)]
    ]
    assert order[0] == order[1]
    assert order[0] != order[2] != order[3]
    assert all(sorted(videos) == list(range(50)) for videos in order)


@pytest.mark.parametrize("counts", [(40, 8, 2), (30, 30, 1), (5, 5, 5), (7, 0, 3)])
def test_resampling_draws_every_class_equally_often(counts):
    label_N = np.repeat(np.arange(3), counts)
    order_C = epoch_order(label_N, balance="resample", seed=0, epoch=1)
    drawn_K = np.bincount(label_N[order_C], minlength=3)[np.array(counts) > 0]
    assert len(order_C) == len(label_N)
    assert drawn_K.max() - drawn_K.min() <= 1
    # Within a class, no video comes twice more often than another.
    times_N = np.bincount(order_C, minlength=len(label_N))
    for k, count in enumerate(counts):
        if count:
            assert np.ptp(times_N[label_N == k]) <= 1


def test_resampling_shows_other_parts_of_a_frequent_class_over_epochs():
    label_N = np.repeat([0, 1], [40, 4])
    seen = {
        video
        for epoch in range(12)
        for video in epoch_order(label_N, balance="resample", seed=0, epoch=epoch).tolist()
    }
    assert seen == set(range(44))


def test_purposes_have_seeds_of_their_own():
    seeds = {
        derived_seed(seed, epoch, purpose)
        for seed in (0, 1)
        for epoch in (0, 1)
        for purpose in ("order", "model", "augment")
    }
    assert len(seeds) == 12


def test_labels_belong_to_their_clips(clips):
    data = clips(0, 9, views=2)
    batches = [np.array([0, 5]), np.array([17])]
    read = list(read_batches(data, batches, epoch=0, train=False, ahead=False))
    assert [batch.y_B.tolist() for batch in read] == [[0, 2], [2]]
    expected = data.read(np.array([5]), epoch=0, train=False)
    assert torch.equal(read[0].x_BTHWC[1:], expected)
