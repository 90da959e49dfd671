"""Scores of several labels a sample: weighted by draws, and linearised."""

import numpy as np
import pytest

from vidclass.report import several
from vidclass.training import multilabel


def drawn(seed, num_samples=40, num_classes=3, num_seeds=2, *, levels=None):
    generator = np.random.default_rng(seed)
    label_NK = generator.random((num_samples, num_classes)) < [0.5, 0.3, 0.1]
    label_NK[0] = True
    prob_SNK = 0.4 * label_NK + 0.6 * generator.random((num_seeds, num_samples, num_classes))
    if levels:
        prob_SNK = np.round(prob_SNK * levels) / levels
    return label_NK, prob_SNK


@pytest.mark.parametrize("levels", [None, 4])
def test_weights_count_samples_several_times(levels):
    label_NK, prob_SNK = drawn(0, levels=levels)
    prob_NK, said_NK = prob_SNK[0], prob_SNK[0] > 0.5
    times_DN = np.random.default_rng(1).integers(0, 3, (5, 40)).astype(float)
    times_DN[4] = np.where(label_NK[:, 2], 0, 1)  # the rare class is missing from this draw
    for times_N, ap, f1, exact in zip(
        times_DN,
        several.weighted_average_precision(label_NK, prob_NK, times_DN),
        several.weighted_macro_f1(label_NK, said_NK, times_DN),
        several.weighted_exact_match(label_NK, said_NK, times_DN),
        strict=True,
    ):
        rows = np.repeat(np.arange(40), times_N.astype(int))
        assert ap == pytest.approx(multilabel.mean_average_precision(label_NK[rows], prob_NK[rows]))
        assert f1 == pytest.approx(multilabel.macro_f1(label_NK[rows], said_NK[rows]))
        assert exact == pytest.approx(multilabel.exact_match(label_NK[rows], said_NK[rows]))


@pytest.mark.parametrize("levels", [None, 4])
@pytest.mark.parametrize("row", [0, 7, 23])
def test_a_linear_value_is_the_derivative_by_the_samples_weight(row, levels):
    label_NK, prob_SNK = drawn(2, num_seeds=1, levels=levels)
    step = 1e-6
    times_DN = np.ones((2, 40))
    times_DN[:, row] += [-step, step]
    low, high = several.weighted_average_precision(label_NK, prob_SNK[0], times_DN)
    linear_SN = several.linear_average_precision(label_NK, prob_SNK)
    assert linear_SN[0, row] == pytest.approx((high - low) / (2 * step), abs=1e-7)
    said_SNK = prob_SNK > 0.5
    low, high = several.weighted_macro_f1(label_NK, said_SNK[0], times_DN)
    linear_SN = several.linear_macro_f1(label_NK, said_SNK)
    assert linear_SN[0, row] == pytest.approx((high - low) / (2 * step), abs=1e-7)


def test_linear_values_of_a_seed_sum_to_its_distance_from_the_mean():
    label_NK, prob_SNK = drawn(3, num_seeds=3)
    scores_S = np.array([multilabel.mean_average_precision(label_NK, p) for p in prob_SNK])
    linear_SN = several.linear_average_precision(label_NK, prob_SNK)
    np.testing.assert_allclose(linear_SN.sum(axis=1), scores_S - scores_S.mean(), atol=1e-12)
    assert several.linear_macro_f1(label_NK, prob_SNK > 0.5).sum() == pytest.approx(0, abs=1e-12)


def test_the_linear_variance_is_that_of_the_score_over_new_samples():
    """Simulated: the spread of the score over data sets, against its linearised estimate."""
    scores, variances = [], []
    for seed in range(200):
        label_NK, prob_SNK = drawn(seed, num_samples=1000, num_seeds=1)
        scores.append(multilabel.mean_average_precision(label_NK, prob_SNK[0]))
        variances.append((several.linear_average_precision(label_NK, prob_SNK) ** 2).sum())
    assert np.mean(variances) == pytest.approx(np.var(scores), rel=0.25)
