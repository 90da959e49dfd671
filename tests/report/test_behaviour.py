import numpy as np
import pandas as pd
import pytest

from tests.report.conftest import Reported
from vidclass.report.behaviour import Pair, class_scores, perturbed, swap_rates, worst_pairs

CLASSES = ["left", "right", "grow"]


def test_worst_pairs_are_ranked_by_their_share_of_the_label() -> None:
    confusion_KK = np.array([[8, 2, 0], [30, 60, 10], [0, 0, 0]])
    assert worst_pairs(confusion_KK, CLASSES) == [
        Pair("right", "left", 30, 100),
        Pair("left", "right", 2, 10),
        Pair("right", "grow", 10, 100),
    ]


def test_support_counts_a_video_once_however_many_seeds() -> None:
    table = pd.DataFrame(
        {
            "fold": 0,
            "sample_id": ["a", "b", "a", "b"],
            "label_id": [0, 1, 0, 1],
            "pred_id": [0, 1, 0, 0],
        }
    )
    left, right, grow = class_scores(table, CLASSES)
    assert (left.support, right.support, grow.support) == (1, 1, 0)
    assert left.score == pytest.approx(2 * 2 / (2 + 3))


def test_reversed_clips_swap_the_pairs_that_mirror_each_other(one_split: Reported) -> None:
    rates = swap_rates(one_split.tables, "slow")
    pairs = {pair: (turned, kept) for pair, turned, kept in rates}
    assert list(pairs)[:2] and set(list(pairs)[:2]) == {"left / right", "grow / shrink"}
    turned, kept = pairs["left / right"]
    assert turned > 0.8 > 0.2 > kept


def test_perturbations_are_the_mean_of_the_finals(one_split: Reported) -> None:
    tables = one_split.tables
    finals = [f for f in tables.state.finals.values() if f.arm == "early" and f.variant == "kept"]
    wanted = np.mean([final.perturbations["reversed"]["accuracy"] for final in finals])
    assert perturbed(tables, "early")["reversed"] == pytest.approx(wanted)
    assert perturbed(tables, "single") == {}
