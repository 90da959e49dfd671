import numpy as np
import pytest

from vidclass.data.synthetic import PRESETS
from vidclass.data.synthetic_oracle import NUM_CLASSES, RATE, oracle_ceiling, sense_ceiling
from vidclass.data.synthetic_render import MOTIONS


@pytest.mark.parametrize(
    ("indices", "ceiling"),
    [
        ((4,), 1 / 8),
        ((4, 4, 4), 1 / 8),
        (tuple(range(10)), 1.0),
        ((2, 6), 1.0),
        ((0, 6), 1.0),
        ((0, 7), 0.79),
        ((0, 8), 0.56),
        ((0, 9), 0.61),
        ((0, 8, 9), 1.0),
    ],
)
def test_ceiling_of_frames_in_order(indices, ceiling):
    assert oracle_ceiling(indices) == pytest.approx(ceiling, abs=0.005)


def test_frames_without_their_order_show_the_axis_only():
    assert oracle_ceiling((0, 3, 6, 9), uses_order=False) == 0.5
    assert oracle_ceiling(range(10), order="shuffled") == 0.5


def test_reversed_frames_show_as_much_as_kept_and_frozen_ones_nothing():
    assert oracle_ceiling(range(10), order="reversed") == 1.0
    assert oracle_ceiling(range(10), order="frozen") == 1 / 8


def test_unevenly_spaced_frames_may_betray_their_order():
    assert oracle_ceiling((0, 1, 5), order="shuffled") == 1.0


@pytest.mark.parametrize("frame_distance", [1, 5, 7, 8, 9, 12, 30])
def test_ceiling_agrees_with_a_classifier_that_counts(frame_distance):
    rng = np.random.default_rng(0)
    phase = rng.uniform(*RATE, 400_000) * frame_distance % 1.0
    forward, _ = np.histogram(phase, bins=200, range=(0, 1))
    backward = forward[::-1]
    counted = np.maximum(forward, backward).sum() / (2 * len(phase))
    assert sense_ceiling(frame_distance) == pytest.approx(counted, abs=0.01)


def test_oracle_speaks_of_the_classes_and_rates_of_all_presets():
    assert len(MOTIONS) == NUM_CLASSES
    assert {preset.rate for preset in PRESETS.values()} == {RATE}
