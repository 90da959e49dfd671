"""Weights of classes and how often they are drawn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.training.balance import class_draws, class_weights


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 1, 2], [1, 1, 1]),
        ([0, 0, 0, 1], [2 / 3, 2, 0]),
        ([2, 2], [0, 0, 1]),
    ],
)
def test_class_weights_average_to_one_over_the_samples(labels, expected):
    label_N = np.array(labels)
    weight_K = class_weights(label_N, 3)
    np.testing.assert_allclose(weight_K, expected, rtol=1e-6)
    assert weight_K[label_N].mean() == pytest.approx(1.0)


def test_effective_number_is_the_formula_of_cui_et_al():
    label_N = np.repeat([0, 1], [100, 4])
    inverse = (1 - 0.9) / (1 - 0.9 ** np.array([100.0, 4.0]))
    weight_K = class_weights(label_N, 2, effective_beta=0.9)
    np.testing.assert_allclose(weight_K[1] / weight_K[0], inverse[1] / inverse[0], rtol=1e-6)


def test_effective_number_lies_between_no_weights_and_inverse_frequency():
    label_N = np.repeat([0, 1, 2], [60, 9, 3])
    ratios = [
        weight_K[2] / weight_K[0]
        for weight_K in (
            class_weights(label_N, 3, effective_beta=1e-6),
            class_weights(label_N, 3, effective_beta=0.9),
            class_weights(label_N, 3, effective_beta=0.99),
            class_weights(label_N, 3),
        )
    ]
    assert ratios[0] == pytest.approx(1, abs=1e-4)
    assert ratios == sorted(ratios) and ratios[3] == pytest.approx(20)
    close = class_weights(label_N, 3, effective_beta=1 - 1e-9)
    np.testing.assert_allclose(close, class_weights(label_N, 3), rtol=1e-4)


@pytest.mark.parametrize(("exponent", "ratio"), [(0.0, 1.0), (0.5, 3.0), (1.0, 9.0)])
def test_an_exponent_takes_the_weights_back(exponent, ratio):
    weight_K = class_weights(np.repeat([0, 1], [18, 2]), 2, exponent=exponent)
    assert weight_K[1] / weight_K[0] == pytest.approx(ratio)


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=12),
    st.sampled_from(["resample", "oversample", "undersample"]),
    st.floats(0, 1),
)
def test_draws_keep_order_and_never_lose_a_class(counts, balance, exponent):
    count_P = np.array(counts)
    drawn_P = class_draws(count_P, balance, exponent)
    by_size = np.argsort(count_P, kind="stable")
    assert (np.diff(drawn_P[by_size]) >= 0).all()  # a larger class is never drawn less often
    left = count_P.sum() - drawn_P.sum()
    if balance == "resample":
        assert 0 <= left < len(counts)
    elif balance == "oversample":
        assert (drawn_P >= count_P).all() and drawn_P.max() == count_P.max()
    else:
        assert (drawn_P <= count_P).all() and drawn_P.min() == count_P.min()
