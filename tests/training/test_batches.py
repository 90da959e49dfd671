import numpy as np
import pytest
import torch

from vidclass.data.sampling import FramePositions, Window
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
    video_C = order_C % len(label_N)
    drawn_K = np.bincount(label_N[video_C], minlength=3)[np.array(counts) > 0]
    assert len(order_C) == len(label_N)
    assert drawn_K.max() - drawn_K.min() <= 1
    # Within a class, no video comes twice more often than another.
    times_N = np.bincount(video_C, minlength=len(label_N))
    for k, count in enumerate(counts):
        if count:
            assert np.ptp(times_N[label_N == k]) <= 1


@pytest.mark.parametrize(
    ("balance", "exponent", "drawn"),
    [
        ("oversample", 1.0, [40, 40, 40]),
        ("oversample", 0.5, [40, 20, 10]),
        ("oversample", 0.0, [40, 10, 2]),
        ("undersample", 1.0, [2, 2, 2]),
        ("undersample", 0.0, [40, 10, 2]),
        ("resample", 0.0, [40, 10, 2]),
        ("weights", 1.0, [40, 10, 2]),
        ("effective_number", 1.0, [40, 10, 2]),
        ("none", 1.0, [40, 10, 2]),
    ],
)
def test_a_balance_draws_the_classes_as_often_as_it_says(balance, exponent, drawn):
    label_N = np.repeat(np.arange(3), [40, 10, 2])
    orders = [
        epoch_order(label_N, balance=balance, exponent=exponent, seed=0, epoch=epoch)
        for epoch in (1, 2)
    ]
    for order_C in orders:
        counted = np.bincount(label_N[order_C % 52], minlength=3)
        # The square root of 2 / 40 of 40 is 8.9.
        np.testing.assert_allclose(counted, drawn, atol=1.1)
        assert len(set(order_C.tolist())) == len(order_C)  # no clip twice, only videos
    assert len(orders[0]) == len(orders[1]) and orders[0].tolist() != orders[1].tolist()


def test_a_video_that_is_drawn_again_shows_another_clip(clips):
    data = clips(0, 9, window=Window(span_s=0.2, num_frames=2), positions=FramePositions((0, 1)))
    again = np.array([0, 9, 18, 27, 36, 45])
    starts = data.frame_numbers(again, epoch=1, train=True)[:, 0]
    assert len(set(starts.tolist())) > 1
    batch = next(read_batches(data, [again], epoch=1, train=True, ahead=False))
    assert batch.y.tolist() == [0] * 6
    one_by_one = [data.frame_numbers(again[n : n + 1], epoch=1, train=True)[0, 0] for n in range(6)]
    assert one_by_one == starts.tolist()


def test_resampling_shows_other_parts_of_a_frequent_class_over_epochs():
    label_N = np.repeat([0, 1], [40, 4])
    seen = {
        video
        for epoch in range(12)
        for video in epoch_order(label_N, balance="resample", seed=0, epoch=epoch).tolist()
    }
    assert {clip % 44 for clip in seen} == set(range(44))


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
    assert [batch.y.tolist() for batch in read] == [[0, 2], [2]]
    expected = data.read(np.array([5]), epoch=0, train=False)
    assert torch.equal(read[0].x_BTHWC[1:], expected)


def test_a_worker_without_a_batch_reads_nothing_ahead(clips):
    assert list(read_batches(clips(0, 9), [], epoch=0, train=False, ahead=True)) == []
