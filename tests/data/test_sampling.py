"""Which frames a clip shows, and how it is cut."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.crops import PAD_VALUE
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.errors import UserError

ALL = FramePositions(tuple(range(10)))
SECOND = Window(span_s=1.0, num_frames=10)
FIXTURES_STAY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def clips(store, **options):
    ids = store.index["video_id"]
    table = pd.DataFrame({"video_id": ids, "label_id": np.arange(len(ids)) % 2, "group": ids})
    chosen = {"window": SECOND, "positions": ALL, "input_size": 32, **options}
    return ClipDataset(store, table, **chosen)


@pytest.mark.parametrize(
    ("span_s", "num_frames", "fps", "expected"),
    [
        (1.0, 10, 10.0, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (1.0, 5, 10.0, [0, 2, 4, 6, 8]),
        (1.0, 4, 30.0, [0, 8, 15, 23]),
        (2.0, 4, 29.97, [0, 15, 30, 45]),
        (1.0, 4, 2.0, [0, 1, 1, 2]),
        (0.5, 1, 25.0, [0]),
    ],
)
def test_window_takes_the_nearest_frame(span_s, num_frames, fps, expected):
    offsets = Window(span_s, num_frames).frame_offsets(np.array([fps]))
    assert offsets.tolist() == [expected]


def test_window_refuses_an_empty_span():
    with pytest.raises(UserError, match="span above 0"):
        Window(0.0, 10)


@pytest.mark.parametrize(("views", "starts"), [(1, [1]), (2, [0, 2]), (3, [0, 1, 2])])
def test_evaluation_spreads_its_views(make_store, views, starts):
    data = clips(make_store([(12, 32, 32)]), views=views)
    numbers = data.frame_numbers(np.arange(data.num_clips(train=False)), epoch=0, train=False)
    assert numbers[:, 0].tolist() == starts


def test_training_starts_are_uniform_over_the_slack(make_store):
    data = clips(make_store([(12, 32, 32)] * 600))
    starts = data.frame_numbers(np.arange(600), epoch=0, train=True)[:, 0]
    counts = np.bincount(starts)
    assert len(counts) == 3 and counts.min() > 150


def test_a_short_video_repeats_its_last_frame_and_is_counted(make_store):
    data = clips(make_store([(4, 32, 32), (1, 32, 32), (10, 32, 32)]))
    numbers = data.frame_numbers(np.arange(3), epoch=0, train=True)
    assert numbers.tolist() == [[0, 1, 2, 3] + [3] * 6, [0] * 10, list(range(10))]
    assert data.num_padded_samples == 2


@pytest.mark.parametrize("order", ["kept", "shuffled", "reversed", "frozen"])
def test_read_gives_the_stored_frames(make_store, order):
    store = make_store([(12, 32, 32)] * 5)
    data = clips(store, order=order)
    chosen = np.array([3, 0])
    x_BTHWC = data.read(chosen, epoch=4, train=True).numpy()
    numbers = data.frame_numbers(chosen, epoch=4, train=True)
    for row, video_id in enumerate(["v3", "v0"]):
        np.testing.assert_array_equal(x_BTHWC[row], store.frames(video_id)[numbers[row]])


@FIXTURES_STAY
@given(
    seed=st.integers(0, 2**40),
    epoch=st.integers(0, 1000),
    train=st.booleans(),
    order=st.sampled_from(["kept", "shuffled", "reversed", "frozen"]),
    batch=st.lists(st.integers(0, 19), min_size=1, max_size=20),
)
def test_reading_depends_on_seed_epoch_and_clip_alone(pure_store, seed, epoch, train, order, batch):
    data = clips(pure_store, seed=seed, order=order, input_size=16)
    again = pickle.loads(pickle.dumps(data))
    again.read(np.array([0]), epoch=epoch + 1, train=train)  # what was read before is no matter
    together = data.read(np.array(batch), epoch=epoch, train=train)
    single = [again.read(np.array([clip]), epoch=epoch, train=train) for clip in batch]
    assert torch.equal(together, torch.cat(single))


@pytest.fixture
def pure_store(make_store):
    """Videos of several lengths and sizes."""
    return make_store([(12 + n % 3, 16 + n % 5, 20) for n in range(20)])


def test_epochs_and_seeds_differ(make_store):
    store = make_store([(40, 32, 32)] * 50)
    drawn = [
        clips(store, seed=seed).frame_numbers(np.arange(50), epoch=epoch, train=True)[:, 0]
        for seed, epoch in [(0, 0), (0, 1), (1, 0)]
    ]
    assert all((drawn[a] != drawn[b]).mean() > 0.5 for a, b in [(0, 1), (0, 2), (1, 2)])


def test_orders_permute_the_frames_of_the_same_window(make_store):
    store = make_store([(30, 32, 32)] * 8)
    every = np.arange(8)
    kept, shuffled, turned, frozen = (
        clips(store, order=order).frame_numbers(every, epoch=2, train=True)
        for order in ("kept", "shuffled", "reversed", "frozen")
    )
    np.testing.assert_array_equal(np.sort(shuffled, axis=1), kept)
    assert len({tuple(row) for row in shuffled - kept[:, :1]}) > 4  # a permutation of its own each
    np.testing.assert_array_equal(turned, kept[:, ::-1])
    np.testing.assert_array_equal(frozen, np.repeat(kept[:, 5:6], 10, axis=1))


def test_a_random_frame_is_drawn_a_clip_and_fixed_by_the_video_in_evaluation(make_store):
    store = make_store([(10, 32, 32)] * 200)
    data = clips(store, positions=FramePositions((0,), random=True))
    every = np.arange(200)
    trained = data.frame_numbers(every, epoch=0, train=True)
    scored = data.frame_numbers(every, epoch=0, train=False)
    assert trained.shape == scored.shape == (200, 1)
    assert set(trained[:, 0]) == set(scored[:, 0]) == set(range(10))
    other = clips(store, positions=FramePositions((0,), random=True), seed=9)
    np.testing.assert_array_equal(scored, other.frame_numbers(every, epoch=3, train=False))


@pytest.mark.parametrize("indices", [(), (10,), (-1, 2)])
def test_positions_lie_in_the_window(make_store, indices):
    with pytest.raises(UserError, match="window of 10 frames"):
        clips(make_store([(12, 32, 32)]), positions=FramePositions(indices))


def test_crop_is_central_in_evaluation_and_constant_over_a_training_clip(make_store):
    store = make_store([(12, 32, 48)])
    data = clips(store)
    frames = store.frames("v0")
    central = data.read(np.array([0]), epoch=0, train=False)[0].numpy()
    np.testing.assert_array_equal(central, frames[1:11, :, 8:40])
    lefts = set()
    for epoch in range(20):
        clip = data.read(np.array([0]), epoch=epoch, train=True)[0].numpy()
        first = data.frame_numbers(np.array([0]), epoch=epoch, train=True)[0, 0]
        shown = frames[first : first + 10]
        lefts |= {x for x in range(17) if np.array_equal(clip, shown[:, :, x : x + 32])}
    assert len(lefts) > 5


@pytest.mark.parametrize("geometry", ["crop", "pad", "squash"])
def test_larger_videos_are_scaled_down_with_antialiasing(make_store, geometry):
    data = clips(make_store([(12, 64, 128)]), geometry=geometry)
    clip = data.read(np.array([0]), epoch=0, train=False)[0].float()
    picture = clip[:, 8:24]  # what pad leaves grey lies outside
    # Uniform noise has sd 74; averaging at least 2 x 2 pixels cuts it to less than half.
    assert 10 < picture.std() < 40 and abs(picture.mean() - 127.5) < 3


def test_pad_keeps_the_whole_frame_on_grey(make_store):
    store = make_store([(12, 16, 32)])
    clip = clips(store, geometry="pad").read(np.array([0]), epoch=0, train=False)[0].numpy()
    np.testing.assert_array_equal(clip[:, 8:24], store.frames("v0")[1:11])
    assert (clip[:, :8] == PAD_VALUE).all() and (clip[:, 24:] == PAD_VALUE).all()


@pytest.mark.parametrize(("geometry", "shape"), [("crop", (12, 31, 64)), ("pad", (12, 20, 31))])
def test_frames_are_never_scaled_up(make_store, geometry, shape):
    store = make_store([(12, 64, 64), shape])
    with pytest.raises(UserError, match=f"v1 at {shape[2]}x{shape[1]}") as error:
        clips(store, geometry=geometry)
    assert "input size, 32" in str(error.value)


def test_a_video_that_is_not_stored_is_named(make_store):
    store = make_store([(12, 32, 32)])
    table = pd.DataFrame({"video_id": ["gone"], "label_id": [0], "group": ["g"]})
    with pytest.raises(UserError, match="gone"):
        ClipDataset(store, table, window=SECOND, positions=ALL, input_size=32)
