"""Intervals of F1 and average precision by resampling groups."""

import numpy as np
import pytest

from vidclass.report.resampling import resampled_interval, score_interval
from vidclass.report.runs import ArmRuns, SeedVariance, pooled_seed_variance
from vidclass.training.scoring import Metric


def arm(right_SN: np.ndarray, group_N: np.ndarray) -> ArmRuns:
    """Two balanced classes; a wrong answer is the other class."""
    num = right_SN.shape[1]
    label = np.arange(num, dtype=np.int64) % 2
    said = np.where(right_SN == 1, label, 1 - label)
    return ArmRuns("a", np.arange(num), label, said, group_N, np.zeros(num, np.int64))


def arm_of_several(
    num_groups: int, num_seeds: int, seed: int, *, noise: float = 0.5, each: int = 5
) -> ArmRuns:
    """Three classes of 50, 30 and 15 %, more alike within a group than between groups."""
    generator = np.random.default_rng(seed)
    num, groups = num_groups * each, np.repeat(np.arange(num_groups), each)
    lean_NK = 0.5 * generator.random((num_groups, 3))[groups] + 0.5 * generator.random((num, 3))
    labels = (lean_NK < [0.5, 0.38, 0.27]).astype(np.int64)
    prob_SNK = (1 - noise) * labels + noise * generator.random((num_seeds, num, 3))
    return ArmRuns(
        "a",
        np.arange(num),
        labels,
        (prob_SNK > 0.5).astype(np.int64),
        groups,
        np.zeros(num, np.int64),
        prob_SNK=prob_SNK,
    )


def test_resampling_keeps_the_mix_of_classes_of_pure_groups() -> None:
    """Recall of a class with its share of groups fixed varies only by what is inside the class."""
    groups = np.repeat(np.arange(20), 4)
    label = (groups >= 17).astype(np.int64)
    runs = ArmRuns(
        "a", np.arange(80), label, label[None], groups, np.zeros(80, np.int64), deterministic=True
    )
    supports: list[int] = []

    def support(label_N: np.ndarray, pred_N: np.ndarray) -> float:
        supports.append(int(label_N.sum()))
        return 1.0

    resampled_interval(runs, support)
    assert set(supports) == {12}


def test_resampled_interval_of_f1_covers_it_and_is_wider_with_fewer_groups() -> None:
    generator = np.random.default_rng(4)
    right = (generator.random((3, 240)) < 0.75).astype(int)
    many = score_interval(arm(right, np.repeat(np.arange(60), 4)), "macro_f1")
    few = score_interval(arm(right[:, :24], np.repeat(np.arange(6), 4)), "macro_f1")
    assert many.low and many.high and few.low and few.high
    assert many.low < many.estimate < many.high
    assert few.high - few.low > 2 * (many.high - many.low)


@pytest.mark.parametrize("metric", ["mean_average_precision", "macro_f1", "exact_match"])
def test_the_interval_of_several_labels_holds_its_score(metric: Metric) -> None:
    many, few = (arm_of_several(groups, 3, seed=1, noise=0.9) for groups in (60, 8))
    wide, narrow = score_interval(few, metric), score_interval(many, metric)
    for found in (wide, narrow):
        assert found.low is not None and found.high is not None
        assert found.low < found.estimate < found.high
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_seeds_widen_the_interval_of_several_labels() -> None:
    runs = arm_of_several(20, 2, seed=2, noise=0.9)
    pooled = SeedVariance(0.05**2, 10)
    plain = score_interval(runs, "mean_average_precision", pooled_seed_variance([runs], "macro_f1"))
    noisy = score_interval(runs, "mean_average_precision", pooled)
    assert noisy.high - noisy.low > plain.high - plain.low


def test_under_five_groups_several_labels_have_no_interval() -> None:
    found = score_interval(arm_of_several(4, 2, seed=3), "mean_average_precision")
    assert found.low is None and "4 groups" in found.reason


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["mean_average_precision", "macro_f1"])
@pytest.mark.parametrize("num_groups", [7, 20])
def test_the_interval_of_several_labels_covers(metric: Metric, num_groups: int) -> None:
    """Coverage of the score on very many groups; 0.91 leaves room for 150 draws around 0.95."""
    truth = arm_of_several(4000, 1, seed=9, noise=0.9).score(metric)
    held = 0
    for seed in range(150):
        runs = arm_of_several(num_groups, 1, seed=100 + seed, noise=0.9)
        found = score_interval(runs, metric, SeedVariance(0.0, 100))
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert held / 150 >= 0.91
