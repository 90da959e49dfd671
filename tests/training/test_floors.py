import numpy as np
import pytest

from vidclass.errors import UserError
from vidclass.training.floors import FLOOR_NAMES, run_floor

TRAIN, TEST = np.arange(80), np.arange(80, 120)


def score(name, features, labels):
    prob_NK = run_floor(name, features, TRAIN, TEST, labels, 2, seed=0)
    np.testing.assert_allclose(prob_NK.sum(axis=1), 1.0, rtol=1e-5)
    return float(np.mean(prob_NK.argmax(axis=1) == labels[TEST]))


# What a floor can know of each kind of label, and what it can't. The videos (see conftest) hold a
# bar on the left or right in every frame, flicker or don't, and have a long or a short file.
KNOWS = {
    "side": {"middle_frame", "bag_of_frames", "bag_with_differences"},
    "flicker": {"bag_of_frames", "bag_with_differences"},
    "speed": {"bag_with_differences"},
    "file": {"metadata"},
}


@pytest.mark.parametrize("kind", KNOWS)
@pytest.mark.parametrize("name", FLOOR_NAMES)
def test_each_floor_knows_what_it_is_named_for_and_no_more(floor_data, floor_labels, name, kind):
    accuracy = score(name, floor_data[2], floor_labels[kind])
    if name in KNOWS[kind]:
        assert accuracy > 0.9
    else:
        assert accuracy < 0.75


def test_majority_gives_the_shares_of_the_training_videos(floor_data):
    labels = np.array([0, 0, 1] * 40)
    prob_NK = run_floor("majority", floor_data[2], np.array([0, 1, 2, 3]), TEST, labels, 4)
    np.testing.assert_allclose(prob_NK, np.tile([0.75, 0.25, 0, 0], (40, 1)))


@pytest.mark.parametrize("name", FLOOR_NAMES)
def test_classes_absent_from_training_have_no_probability(floor_data, name):
    labels = np.where(np.arange(120) < 80, np.arange(120) % 2 * 2, 1)
    prob_NK = run_floor(name, floor_data[2], TRAIN, TEST, labels, 4)
    assert prob_NK.shape == (40, 4)
    assert not prob_NK[:, [1, 3]].any()
    np.testing.assert_allclose(prob_NK.sum(axis=1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("name", FLOOR_NAMES)
def test_a_single_training_class_is_predicted(floor_data, name):
    labels = np.where(np.arange(120) < 80, 1, 0)
    prob_NK = run_floor(name, floor_data[2], TRAIN, TEST, labels, 2)
    np.testing.assert_array_equal(prob_NK, np.tile([0.0, 1.0], (40, 1)))


@pytest.mark.parametrize("name", FLOOR_NAMES)
def test_floors_repeat_themselves(floor_data, floor_labels, name):
    runs = [
        run_floor(name, floor_data[2], TRAIN, TEST, floor_labels["side"], 2, seed=3)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*runs)


def test_unknown_name(floor_data):
    with pytest.raises(UserError, match="middle_frame"):
        run_floor("first_frame", floor_data[2], TRAIN, TEST, np.zeros(120, dtype=int), 2)
