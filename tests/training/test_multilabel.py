"""Metrics of several labels a sample, against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from vidclass.training import multilabel


def drawn(seed, num_samples=60, num_classes=4, *, levels=None):
    """Return labels and probabilities that know something of them; ``levels`` makes ties."""
    generator = np.random.default_rng(seed)
    label_NK = (generator.random((num_samples, num_classes)) < 0.3).astype(np.float32)
    prob_NK = np.clip(0.3 * label_NK + 0.7 * generator.random(label_NK.shape), 0, 1)
    if levels:
        prob_NK = np.round(prob_NK * levels) / levels
    return label_NK, prob_NK.astype(np.float32)


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_scikit_learn(seed, levels):
    label_NK, prob_NK = drawn(seed, levels=levels)
    expected = reference.average_precision_score(label_NK, prob_NK, average=None)
    np.testing.assert_allclose(multilabel.average_precisions(label_NK, prob_NK), expected)
    mean = multilabel.mean_average_precision(label_NK, prob_NK)
    assert mean == pytest.approx(expected.mean())


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_answers_are_those_of_scikit_learn(seed):
    label_NK, prob_NK = drawn(seed)
    said_NK = multilabel.decide(prob_NK, [0.5, 0.4, 0.6, 0.2])
    f1_K = reference.f1_score(label_NK, said_NK, average=None)
    np.testing.assert_allclose(multilabel.f1_scores(label_NK, said_NK), f1_K)
    assert multilabel.macro_f1(label_NK, said_NK) == pytest.approx(f1_K.mean())
    exact = reference.accuracy_score(label_NK, said_NK)
    assert multilabel.exact_match(label_NK, said_NK) == pytest.approx(exact)
    hamming = reference.hamming_loss(label_NK, said_NK)
    assert multilabel.hamming_loss(label_NK, said_NK) == pytest.approx(hamming)
    loss = np.mean([reference.log_loss(label_NK[:, k], prob_NK[:, k]) for k in range(4)])
    assert multilabel.log_loss(label_NK, prob_NK) == pytest.approx(loss, rel=1e-5)
    auc = reference.roc_auc_score(label_NK, prob_NK)
    assert multilabel.auc_spread(label_NK, prob_NK).value == pytest.approx(auc)


def test_a_class_without_labels_is_left_out():
    label_NK, prob_NK = drawn(0)
    label_NK[:, 2] = 0
    ap_K = multilabel.average_precisions(label_NK, prob_NK)
    assert np.isnan(ap_K).tolist() == [False, False, True, False]
    assert multilabel.mean_average_precision(label_NK, prob_NK) == pytest.approx(np.nanmean(ap_K))
    said_NK = multilabel.decide(prob_NK, [0.5, 0.5, 2.0, 0.5])
    assert np.isnan(multilabel.f1_scores(label_NK, said_NK)[2])
    assert multilabel.best_thresholds(label_NK, prob_NK)[2] == multilabel.NO_CHOICE
    assert np.isnan(multilabel.mean_average_precision(0 * label_NK, prob_NK))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([None, 3, 10]))
def test_no_threshold_gives_a_better_f1(seed, levels):
    label_NK, prob_NK = drawn(seed, num_samples=15, num_classes=1, levels=levels)
    label_NK[0] = 1
    chosen = multilabel.best_thresholds(label_NK, prob_NK)
    best = multilabel.f1_scores(label_NK, multilabel.decide(prob_NK, chosen))[0]
    for threshold in np.linspace(0, 1, 201):
        other = multilabel.f1_scores(label_NK, multilabel.decide(prob_NK, [threshold]))[0]
        assert not other > best + 1e-9


@pytest.mark.parametrize(
    ("label", "prob", "expected"),
    [
        ([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], 0.5),  # halfway between 0.8 and 0.2
        ([1, 0, 0, 0], [0.9, 0.3, 0.2, 0.1], 0.6),
        ([1, 1, 1, 1], [0.4, 0.3, 0.2, 0.1], 0.05),  # all of them
        ([1, 0], [0.5, 0.5], 0.25),  # a constant: say it always
    ],
)
def test_thresholds_lie_between_probabilities(label, prob, expected):
    label_NK, prob_NK = np.array([label]).T, np.array([prob]).T
    assert multilabel.best_thresholds(label_NK, prob_NK)[0] == pytest.approx(expected)


def test_the_table_of_classes_and_of_pairs():
    label_NK = np.array([[1, 1], [1, 0], [0, 0], [0, 1]])
    prob_NK = np.array([[0.9, 0.8], [0.7, 0.6], [0.6, 0.1], [0.1, 0.2]])
    said_NK = multilabel.decide(prob_NK, [0.5, 0.5])
    table = multilabel.per_class(label_NK, prob_NK, said_NK, ["run", "turn"], [0.5, 0.5])
    assert table.set_index("class").loc["run", ["precision", "recall"]].tolist() == [2 / 3, 1.0]
    assert table["support"].tolist() == [2, 2] and table["said"].tolist() == [3, 2]
    assert multilabel.co_occurrence(label_NK).tolist() == [[2, 1], [1, 2]]
    assert multilabel.co_occurrence(label_NK, said_NK).tolist() == [[2, 2], [1, 1]]
