import numpy as np
import pytest
import sklearn.metrics as reference

from vidclass.training import metrics


def random_case(seed: int, *, missing: bool = False, ties: bool = False):
    """Return labels and probabilities; ``missing`` leaves class 1 of 5 out of the labels."""
    generator = np.random.default_rng(seed)
    label_N = generator.integers(0, 5, 80)
    if missing:
        label_N[label_N == 1] = 2
    prob_NK = generator.dirichlet(np.ones(5), 80)
    prob_NK[np.arange(80), label_N] += generator.random(80)
    if ties:
        prob_NK = np.round(prob_NK, 1) + 0.01
    return label_N, prob_NK / prob_NK.sum(axis=1, keepdims=True)


CASES = [
    pytest.param({"seed": seed, "missing": missing, "ties": ties}, id=f"{seed}-{missing}-{ties}")
    for seed in range(3)
    for missing in (False, True)
    for ties in (False, True)
]


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_scikit_learn(case):
    label_N, prob_NK = random_case(**case)
    predicted_N = prob_NK.argmax(axis=1)
    present = np.unique(label_N)
    areas = [reference.roc_auc_score(label_N == k, prob_NK[:, k]) for k in present]

    assert metrics.accuracy(label_N, prob_NK) == reference.accuracy_score(label_N, predicted_N)
    assert metrics.macro_f1(label_N, predicted_N, 5) == pytest.approx(
        reference.f1_score(label_N, predicted_N, average="macro", zero_division=0)
    )
    expected = reference.recall_score(
        label_N, predicted_N, labels=present, average="macro", zero_division=0
    )
    assert metrics.macro_recall(label_N, predicted_N, 5) == pytest.approx(expected)
    assert metrics.log_loss(label_N, prob_NK) == pytest.approx(
        reference.log_loss(label_N, prob_NK, labels=range(5))
    )
    assert metrics.auc_spread(label_N, prob_NK).value == pytest.approx(np.mean(areas))
    np.testing.assert_array_equal(
        metrics.confusion(label_N, predicted_N, 5),
        reference.confusion_matrix(label_N, predicted_N, labels=range(5)),
    )


@pytest.mark.parametrize("missing", [False, True])
def test_per_class_agrees_with_scikit_learn(missing):
    label_N, prob_NK = random_case(0, missing=missing)
    predicted_N = prob_NK.argmax(axis=1)
    table = metrics.per_class(metrics.confusion(label_N, predicted_N, 5), list("abcde"))
    expected = reference.precision_recall_fscore_support(
        label_N, predicted_N, labels=range(5), zero_division=0
    )
    assert table["class"].tolist() == list("abcde")
    for column, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        np.testing.assert_allclose(table[column].fillna(0.0), values)
    assert table["recall"].isna().tolist() == (table["support"] == 0).tolist()


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_agrees_with_scikit_learn(k):
    label_N, prob_NK = random_case(1)
    # The reference warns, and returns 1, when k is the number of classes.
    expected = 1.0 if k == 5 else reference.top_k_accuracy_score(label_N, prob_NK, k=k)
    assert metrics.top_k_accuracy(label_N, prob_NK, k) == pytest.approx(expected)


def test_accuracy_is_not_element_wise():
    # A model that names one class of 7 scored 0.72 and more in an ancestor of this project.
    label_N = np.arange(70) % 7
    prob_NK = np.tile(np.eye(7)[0], (70, 1))
    assert metrics.accuracy(label_N, prob_NK) == pytest.approx(1 / 7)


def test_log_loss_of_a_sure_mistake_is_finite():
    prob_NK = np.array([[1.0, 0.0]], dtype=np.float32)
    assert metrics.log_loss(np.array([1]), prob_NK) == pytest.approx(-np.log(1e-7))


def test_auc_of_a_single_class_is_undefined():
    assert np.isnan(metrics.auc_spread(np.zeros(4, dtype=np.int64), np.full((4, 2), 0.5)).value)


def constant(label_N):
    return np.tile([0.4, 0.3, 0.2, 0.1], (len(label_N), 1))


def informative(label_N):
    return 0.7 * np.eye(4)[label_N] + 0.075


def one_class_but_ranked(label_N):
    """Names class 0 always, yet its scores order the other classes: a matter of thresholds."""
    return np.array([0.6, 0.1, 0.1, 0.1]) + 0.1 * np.eye(4)[label_N]


def noise(label_N):
    return np.random.default_rng(0).dirichlet(np.ones(4), len(label_N))


@pytest.mark.parametrize(
    ("predict", "collapsed"),
    [(constant, True), (noise, True), (informative, False), (one_class_but_ranked, False)],
)
@pytest.mark.parametrize("shares", [(50, 50, 50, 50), (140, 30, 20, 10)])
def test_collapse_needs_chance_in_recall_and_in_auc(predict, collapsed, shares):
    label_N = np.repeat(np.arange(4), shares)
    assert metrics.is_collapsed(label_N, predict(label_N)) is collapsed


def test_collapse_is_rarely_said_of_an_informed_model_and_mostly_of_noise():
    generator = np.random.default_rng(0)
    label_N = np.arange(200) % 4
    weak = [0.15 * np.eye(4)[label_N] + generator.dirichlet(np.ones(4), 200) for _ in range(50)]
    blind = [generator.dirichlet(np.ones(4), 200) for _ in range(50)]
    assert sum(metrics.is_collapsed(label_N, prob_NK) for prob_NK in weak) <= 5
    assert sum(metrics.is_collapsed(label_N, prob_NK) for prob_NK in blind) >= 40
