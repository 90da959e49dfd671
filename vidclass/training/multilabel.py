"""Metrics where any number of classes may hold at a time, as pure functions.

A class that no label names has no average precision, recall or AUC (NaN there), and is left out of
their means; F1 leaves out a class that neither a label nor an answer names.

Legend: N samples, K classes, P classes that are labelled at least once.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.training.metrics import SMALLEST_PROBABILITY, Spread, auc_of_class

__all__ = [
    "NO_CHOICE",
    "auc_spread",
    "average_precisions",
    "best_thresholds",
    "co_occurrence",
    "decide",
    "exact_match",
    "f1_scores",
    "hamming_loss",
    "log_loss",
    "macro_f1",
    "mean_average_precision",
    "per_class",
]

Marks = npt.NDArray[np.floating] | npt.NDArray[np.bool_] | npt.NDArray[np.integer]
Float = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]
Said = npt.NDArray[np.bool_]

NO_CHOICE = 0.5
"""Threshold of a class that validation says nothing of."""


def average_precisions(label_NK: Marks, prob_NK: Float) -> Float64:
    """Return the average precision of each class, ``[K]``; NaN without a label.

    The area under the steps of the precision-recall curve; equal probabilities form one step.
    """
    ap_K = np.full(prob_NK.shape[1], np.nan)
    for k in range(prob_NK.shape[1]):
        precision, right, _ = _curve(label_NK[:, k] > 0, prob_NK[:, k])
        if len(right) and right[-1]:
            ap_K[k] = precision @ np.diff(right, prepend=0) / right[-1]
    return ap_K


def mean_average_precision(label_NK: Marks, prob_NK: Float) -> float:
    """Return the mean over classes of average precision; NaN when nothing is labelled."""
    return _mean(average_precisions(label_NK, prob_NK))


def best_thresholds(label_NK: Marks, prob_NK: Float) -> Float64:
    """Return the probability from which on each class is said to hold, ``[K]``, of the best F1.

    It lies halfway between two probabilities that occur, so that it does not hang on one sample;
    among equally good ones it is that nearest to 0.5. Without a label of the class it is 0.5.
    """
    threshold_K = np.full(prob_NK.shape[1], NO_CHOICE)
    for k in range(prob_NK.shape[1]):
        is_label_N = label_NK[:, k] > 0
        if not is_label_N.any():
            continue
        _, right, said = _curve(is_label_N, prob_NK[:, k])
        steps = np.unique(prob_NK[:, k].astype(np.float64))[::-1]
        between = (steps + np.append(steps[1:], 0.0)) / 2
        f1 = 2 * right / (said + is_label_N.sum())
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        threshold_K[k] = between[best[np.abs(between[best] - NO_CHOICE).argmin()]]
    return threshold_K


def decide(prob_NK: Float, threshold_K: npt.ArrayLike) -> Said:
    """Return which classes are said to hold, ``[N, K]``."""
    said_NK: Said = prob_NK.astype(np.float64) >= np.asarray(threshold_K, dtype=np.float64)
    return said_NK


def f1_scores(label_NK: Marks, said_NK: Said) -> Float64:
    """Return the F1 of each class, ``[K]``; NaN where neither a label nor an answer names it."""
    is_label_NK = label_NK > 0
    occurs_K = is_label_NK.sum(axis=0) + said_NK.sum(axis=0)
    right_K = (is_label_NK & said_NK).sum(axis=0)
    return np.where(occurs_K > 0, 2 * right_K / np.maximum(occurs_K, 1), np.nan)


def macro_f1(label_NK: Marks, said_NK: Said) -> float:
    """Return the mean F1 over the classes that occur as label or answer."""
    return _mean(f1_scores(label_NK, said_NK))


def exact_match(label_NK: Marks, said_NK: Said) -> float:
    """Return the share of samples of which every class is answered right."""
    return float(((label_NK > 0) == said_NK).all(axis=1).mean())


def hamming_loss(label_NK: Marks, said_NK: Said) -> float:
    """Return the share of all answers (one a sample and class) that are wrong."""
    return float(((label_NK > 0) != said_NK).mean())


def log_loss(label_NK: Marks, prob_NK: Float) -> float:
    """Return the mean binary cross-entropy over samples and classes, in nats."""
    prob = np.where(label_NK > 0, prob_NK, 1.0 - prob_NK.astype(np.float64))
    return float(-np.log(np.clip(prob, SMALLEST_PROBABILITY, 1.0)).mean())


def auc_spread(label_NK: Marks, prob_NK: Float) -> Spread:
    """Return the mean area under the ROC curve with its deviation around 0.5.

    As for exclusive classes, the deviation of the mean is taken as the mean of the deviations.
    """
    found = [auc_of_class(label_NK[:, k] > 0, prob_NK[:, k]) for k in range(prob_NK.shape[1])]
    known = [each for each in found if each is not None]
    if not known:
        return Spread(float("nan"), 0.5, float("nan"))
    area, deviation = np.mean(np.array(known), axis=0)
    return Spread(float(area), 0.5, float(deviation))


def per_class(
    label_NK: Marks, prob_NK: Float, said_NK: Said, classes: list[str], threshold_K: npt.ArrayLike
) -> pd.DataFrame:
    """Return ``class, average_precision, precision, recall, f1, threshold, support, said``.

    A precision without answers is 0; a recall and an average precision without labels is NaN.
    """
    is_label_NK = label_NK > 0
    right_K = (is_label_NK & said_NK).sum(axis=0)
    support_K, said_K = is_label_NK.sum(axis=0), said_NK.sum(axis=0)
    return pd.DataFrame(
        {
            "class": classes,
            "average_precision": average_precisions(label_NK, prob_NK),
            "precision": right_K / np.maximum(said_K, 1),
            "recall": np.where(support_K > 0, right_K / np.maximum(support_K, 1), np.nan),
            "f1": f1_scores(label_NK, said_NK),
            "threshold": np.asarray(threshold_K, dtype=np.float64),
            "support": support_K,
            "said": said_K,
        }
    )


def co_occurrence(label_NK: Marks, said_NK: Said | None = None) -> npt.NDArray[np.int64]:
    """Return in how many samples class i is labelled and class j is labelled (or said), ``[K, K]``.

    Args:
        label_NK: the rows.
        said_NK: the columns; None counts labels against labels.
    """
    rows_NK = (label_NK > 0).astype(np.int64)
    columns_NK = rows_NK if said_NK is None else said_NK.astype(np.int64)
    counts_KK: npt.NDArray[np.int64] = rows_NK.T @ columns_NK
    return counts_KK


def _curve(is_label_N: Said, prob_N: Float) -> tuple[Float64, Float64, Float64]:
    """Return precision, right answers and answers at each distinct probability, highest first."""
    order = np.argsort(-prob_N, kind="stable")
    last = np.append(np.flatnonzero(np.diff(prob_N[order])), len(order) - 1)
    right = np.cumsum(is_label_N[order])[last].astype(np.float64)
    said = (last + 1).astype(np.float64)
    return right / said, right, said


def _mean(value_K: Float64) -> float:
    known = value_K[~np.isnan(value_K)]
    return float(known.mean()) if len(known) else float("nan")
