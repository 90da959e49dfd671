"""Which frames a clip shows, and how it is cut."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.clip_choice import ClipChoice
from vidclass.data.crops import PAD_VALUE, CropOptions
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


def numbers(store, train=True, epoch=0, clips_B=None, **options):
    data = clips(store, **options)
    every = np.arange(data.num_clips(train)) if clips_B is None else clips_B
    return data.frame_numbers(every, epoch=epoch, train=train)


KINDS = ("random", "uniform", "dense", "segment", "even", "scattered", "first", "last", "fixed")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("train", [True, False])
def test_every_choice_stays_in_its_share_and_depends_on_the_clip_alone(make_store, kind, train):
    store = make_store([(1, 16, 16), (7, 16, 16), (40, 16, 16), (200, 16, 16)])
    choice = ClipChoice(kind=kind, from_share=0.25, to_share=0.75)
    data = clips(store, choice=choice, input_size=16)
    every = np.arange(4)
    shown = data.frame_numbers(every, epoch=3, train=train)
    assert (np.diff(shown, axis=1) >= 0).all()
    for row, (first, last) in enumerate([(0, 0), (1, 5), (10, 29), (50, 149)]):
        assert first <= shown[row, 0] and shown[row, -1] <= last
    again = pickle.loads(pickle.dumps(data))
    single = [again.frame_numbers(np.array([n]), epoch=3, train=train)[0] for n in (3, 2, 1, 0)]
    np.testing.assert_array_equal(shown, single[::-1])


@pytest.mark.parametrize(
    ("choice", "train", "expected"),
    [
        ({"kind": "even"}, True, [0, 4, 9, 13, 17, 22, 26, 30, 35, 39]),
        ({"kind": "even"}, False, [0, 4, 9, 13, 17, 22, 26, 30, 35, 39]),
        ({"kind": "segment"}, False, [2, 6, 10, 14, 18, 22, 26, 30, 34, 38]),
        ({"kind": "first"}, True, list(range(10))),
        ({"kind": "last"}, False, list(range(30, 40))),
        ({"kind": "fixed", "start_s": 1.2}, True, list(range(12, 22))),
        ({"kind": "dense", "stride": 3}, False, list(range(6, 36, 3))),
        ({"kind": "dense", "stride": 9}, False, [0, 9, 18, 27, 36, 39, 39, 39, 39, 39]),
        ({"kind": "random", "from_share": 0.5}, False, list(range(25, 35))),
    ],
)
def test_choices_that_are_not_drawn(make_store, choice, train, expected):
    shown = numbers(make_store([(40, 32, 32)]), train, choice=ClipChoice(**choice))
    assert shown.tolist() == [expected]


def test_uniform_training_goes_through_all_of_the_footage(make_store):
    store = make_store([(45, 32, 32)] * 3)
    choice = ClipChoice(kind="uniform")
    seen = [numbers(store, epoch=epoch, choice=choice) for epoch in range(4)]
    for video in range(3):
        starts = [shown[video, 0] for shown in seen]
        assert sorted(starts) == [0, 10, 20, 30]
    assert len({tuple(shown[:, 0]) for shown in seen}) == 4
    same_again = numbers(store, epoch=4, choice=choice)
    np.testing.assert_array_equal(same_again, seen[0])


def test_segments_are_drawn_anew_in_each_epoch(make_store):
    store = make_store([(40, 32, 32)] * 50)
    first, second = (numbers(store, epoch=e, choice=ClipChoice(kind="segment")) for e in (0, 1))
    for shown in (first, second):
        np.testing.assert_array_equal(shown // 4, np.tile(np.arange(10), (50, 1)))
    assert (first != second).mean() > 0.5


def test_views_of_segments_and_of_scattered_frames_differ(make_store):
    store = make_store([(40, 32, 32)])
    shown = numbers(store, False, choice=ClipChoice(kind="segment"), views=2)
    assert shown[:, 0].tolist() == [1, 3]
    scattered = numbers(store, False, choice=ClipChoice(kind="scattered"), views=3)
    assert len({tuple(row) for row in scattered}) == 3
    other_seed = numbers(store, False, choice=ClipChoice(kind="scattered"), views=3, seed=9)
    np.testing.assert_array_equal(scattered, other_seed)


@pytest.mark.parametrize("kind", ["even", "first", "last", "fixed"])
def test_views_that_show_the_same_are_refused(make_store, kind):
    with pytest.raises(UserError, match="in which they differ"):
        clips(make_store([(40, 32, 32)]), choice=ClipChoice(kind=kind), views=2)


def test_views_times_cuts_are_scored(make_store):
    store = make_store([(12, 32, 48), (12, 48, 32)])
    data = clips(store, views=3, crop=CropOptions(test="three"))
    assert data.views == 9
    x_BTHWC = data.read(np.arange(18), epoch=0, train=False).numpy()
    for video, along in ((0, 2), (1, 1)):
        frames = store.frames(f"v{video}")
        for window in range(3):
            for number, begin in enumerate([0, 8, 16]):
                cut = frames[window : window + 10].take(range(begin, begin + 32), axis=along)
                shown = x_BTHWC[video * 9 + window * 3 + number]
                np.testing.assert_array_equal(shown, cut)


def test_training_may_cut_in_the_middle(make_store):
    store = make_store([(10, 32, 48)])
    data = clips(store, crop=CropOptions(train="centre"))
    for epoch in range(5):
        shown = data.read(np.array([0]), epoch=epoch, train=True)[0].numpy()
        np.testing.assert_array_equal(shown, store.frames("v0")[:, :, 8:40])


def test_a_corner_is_shown_in_training_and_evaluation(make_store):
    store = make_store([(10, 32, 48)])
    data = clips(store, crop=CropOptions(corner="bottom_right", corner_share=0.5), input_size=16)
    assert data.views == 1
    for train in (True, False):
        shown = data.read(np.array([0]), epoch=0, train=train)[0].numpy()
        np.testing.assert_array_equal(shown, store.frames("v0")[:, 16:, 32:])


def test_the_background_is_the_same_frame_all_over(make_store):
    store = make_store([(30, 32, 32)])
    data = clips(store, order="background")
    shown = data.read(np.array([0, 0]), epoch=0, train=False).numpy()
    median = np.median(store.frames("v0")[np.linspace(0, 29, 25).round().astype(int)], axis=0)
    np.testing.assert_array_equal(shown, np.broadcast_to(median.astype(np.uint8), shown.shape))


def test_jitter_is_for_training_only(make_store):
    store = make_store([(60, 32, 32)] * 40)
    window = Window(span_s=4.0, num_frames=8)
    choice = ClipChoice(jitter=0.5, speed_jitter=0.3)
    options = {"window": window, "positions": FramePositions(tuple(range(8))), "choice": choice}
    plain = {**options, "choice": ClipChoice()}
    trained = numbers(store, **options)
    np.testing.assert_array_equal(numbers(store, False, **options), numbers(store, False, **plain))
    steps = np.diff(trained, axis=1)
    assert (steps >= 0).all() and len(np.unique(steps)) > 5
    lengths = trained[:, -1] - trained[:, 0]
    assert lengths.min() < 30 < 38 < lengths.max()


def test_a_scaled_cut_needs_larger_frames(make_store):
    with pytest.raises(UserError, match=r"times crop.scale 1.5"):
        clips(make_store([(12, 40, 40)]), crop=CropOptions(scale=1.5))
