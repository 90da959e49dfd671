"""Fields of augmentation, and what a mirror or a reversal makes of labels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vidclass.data.augment import Augment, Exchange, check_classes

CLASSES = ("left", "right", "rest", "sit", "stand")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"flip_pairs": [["left", "right"]]}, "flip_pairs need flip"),
        ({"flip": True, "flip_pairs": [["a", "b"], ["b", "c"]]}, "received b in several"),
        ({"reverse_pairs": [["a", "a"], ["a", "b"]]}, "received a in several"),
        ({"reverse_pairs": [["a"]]}, "required"),
        ({"resized_crop": 0.0}, "greater than 0"),
        ({"hue": 0.6}, "less than or equal to 0.5"),
        ({"blur": 1}, "not permitted"),
    ],
)
def test_what_does_not_fit_together_is_refused(wrong, told):
    with pytest.raises(ValidationError, match=told):
        Augment(**wrong)


@pytest.mark.parametrize(
    ("fields", "changes"),
    [
        ({}, False),
        ({"flip": True, "rotation_degrees": 10}, False),
        ({"flip": True, "flip_pairs": [["a", "b"]]}, True),
        ({"reverse_pairs": [["a", "a"]]}, True),
        ({"mixup_alpha": 0.2}, True),
    ],
)
def test_it_is_known_whether_labels_change(fields, changes):
    assert Augment(**fields).changes_labels == changes


def test_unknown_classes_are_named_with_those_there_are():
    augment = Augment(flip=True, flip_pairs=[["left", "rigth"]], reverse_pairs=[["jump", "rest"]])
    told = [str(mistake) for mistake in check_classes(augment, CLASSES)]
    assert len(told) == 2
    assert "rigth" in told[0] and "jump" in told[1] and "left, right" in told[0]
    assert not check_classes(Augment(flip=True, flip_pairs=[["left", "right"]]), CLASSES)


def test_pairs_are_exchanged_and_nothing_else():
    exchange = Exchange([("left", "right"), ("rest", "rest")], CLASSES)
    y_B = torch.arange(5)
    assert exchange(y_B, torch.tensor([True] * 5)).tolist() == [1, 0, 2, 3, 4]
    assert exchange(y_B, torch.tensor([False, True, True, False, True])).tolist() == [0, 0, 2, 3, 4]
    assert exchange.named(y_B).tolist() == [True, True, True, False, False]


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_several_labels_are_exchanged_class_by_class(rows):
    exchange = Exchange([("left", "right"), ("sit", "stand")], CLASSES)
    y_BK = torch.tensor(rows, dtype=torch.float32)
    everywhere = torch.ones(len(rows), dtype=torch.bool)
    exchanged = exchange(y_BK, everywhere)
    for row, new in zip(rows, exchanged.tolist(), strict=True):
        assert new == [row[1], row[0], row[2], row[4], row[3]]
    assert torch.equal(exchange(exchanged, everywhere), y_BK)
    only_named = [any(row) and not row[2] for row in rows]
    assert exchange.named(y_BK).tolist() == only_named
