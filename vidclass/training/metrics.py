"""Classification metrics as pure functions of labels and predictions.

A class that the labels lack has no recall and no AUC (NaN there), and is left out of their means.

Legend: N samples, K classes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = [
    "SMALLEST_PROBABILITY",
    "Spread",
    "accuracy",
    "auc_of_class",
    "auc_spread",
    "confusion",
    "is_collapsed",
    "log_loss",
    "macro_f1",
    "macro_recall",
    "macro_recall_spread",
    "per_class",
    "top_k_accuracy",
]

Int64 = npt.NDArray[np.int64]
Float = npt.NDArray[np.floating]

SMALLEST_PROBABILITY = 1e-7  # float32 softmax underflows to 0, whose log would be infinite
Z_95 = 1.96


class Spread(NamedTuple):
    """A value and its standard deviation if the model told no class from another."""

    value: float
    chance: float
    deviation: float

    @property
    def is_chance(self) -> bool:
        """Whether the value lies in the 95 % interval around chance."""
        return abs(self.value - self.chance) <= Z_95 * self.deviation


def accuracy(label_N: Int64, prob_NK: Float) -> float:
    """Return the share of samples whose most probable class is their label."""
    return float(np.mean(prob_NK.argmax(axis=1) == label_N))


def top_k_accuracy(label_N: Int64, prob_NK: Float, k: int) -> float:
    """Return the share of samples whose label is among the ``k`` most probable classes.

    Among equal probabilities the class with the lower index is taken first.
    """
    order_NK = np.argsort(-prob_NK, axis=1, kind="stable")
    return float(np.mean((order_NK[:, :k] == label_N[:, None]).any(axis=1)))


def log_loss(label_N: Int64, prob_NK: Float) -> float:
    """Return the mean negative log probability of the labels, in nats."""
    prob_N = prob_NK[np.arange(len(label_N)), label_N].astype(np.float64)
    return float(-np.log(np.clip(prob_N, SMALLEST_PROBABILITY, 1.0)).mean())


def confusion(label_N: Int64, predicted_N: Int64, num_classes: int) -> Int64:
    """Return counts ``[K, K]``; rows are labels, columns are predictions."""
    cells = np.bincount(label_N * num_classes + predicted_N, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes).astype(np.int64)


def per_class(confusion_KK: Int64, classes: list[str]) -> pd.DataFrame:
    """Return ``class, precision, recall, f1, support``, one row a class.

    A precision without predictions is 0; a recall without support is NaN.
    """
    right_K = np.diag(confusion_KK).astype(np.float64)
    support_K = confusion_KK.sum(axis=1)
    predicted_K = confusion_KK.sum(axis=0)
    return pd.DataFrame(
        {
            "class": classes,
            "precision": right_K / np.maximum(predicted_K, 1),
            "recall": np.where(support_K > 0, right_K / np.maximum(support_K, 1), np.nan),
            "f1": 2 * right_K / np.maximum(support_K + predicted_K, 1),
            "support": support_K,
        }
    )


def macro_f1(label_N: Int64, predicted_N: Int64, num_classes: int) -> float:
    """Return the mean F1 over the classes that occur as label or prediction."""
    counts_KK = confusion(label_N, predicted_N, num_classes)
    occurs_K = counts_KK.sum(axis=0) + counts_KK.sum(axis=1)
    f1_K = 2 * np.diag(counts_KK) / np.maximum(occurs_K, 1)
    return float(f1_K[occurs_K > 0].mean())


def macro_recall(label_N: Int64, predicted_N: Int64, num_classes: int) -> float:
    """Return the mean recall over the classes that occur as label (balanced accuracy)."""
    return macro_recall_spread(label_N, predicted_N, num_classes).value


def macro_recall_spread(label_N: Int64, predicted_N: Int64, num_classes: int) -> Spread:
    """Return the macro recall with its binomial deviation around one over the classes present."""
    counts_KK = confusion(label_N, predicted_N, num_classes)
    support_K = counts_KK.sum(axis=1)
    present = support_K > 0
    num_present = int(present.sum())
    recall = float((np.diag(counts_KK)[present] / support_K[present]).mean())
    chance = 1.0 / num_present
    variance = (chance * (1 - chance) / support_K[present]).sum() / num_present**2
    return Spread(recall, chance, float(np.sqrt(variance)))


def auc_spread(label_N: Int64, prob_NK: Float) -> Spread:
    """Return the AUC with its deviation around 0.5 (Mann and Whitney, 1947).

    The classes' areas are correlated in an unknown way, so the deviation of the mean is taken as
    the mean of the deviations, the largest that it can be.
    """
    found = [auc_of_class(label_N == k, prob_NK[:, k]) for k in np.unique(label_N)]
    known = [each for each in found if each is not None]
    if not known:
        return Spread(float("nan"), 0.5, float("nan"))
    area, deviation = np.mean(np.array(known), axis=0)
    return Spread(float(area), 0.5, float(deviation))


def auc_of_class(positive_N: npt.NDArray[np.bool_], score_N: Float) -> tuple[float, float] | None:
    """Return the AUC of one class and its deviation around 0.5; None when all samples are alike."""
    num_positive = int(positive_N.sum())
    pairs = num_positive * (len(positive_N) - num_positive)
    if not pairs:
        return None
    wins = _mean_ranks(score_N)[positive_N].sum() - num_positive * (num_positive + 1) / 2
    return float(wins / pairs), float(np.sqrt((len(positive_N) + 1) / (12 * pairs)))


def is_collapsed(label_N: Int64, prob_NK: Float) -> bool:
    """Say whether predictions tell no class from another.

    Both the macro recall and the AUC must lie in their 95 % interval around chance: a loss floor
    would move with class shares, weights and smoothing, and a low recall alone may only be a
    matter of thresholds.
    """
    recall = macro_recall_spread(label_N, prob_NK.argmax(axis=1), prob_NK.shape[1])
    area = auc_spread(label_N, prob_NK)
    return recall.is_chance and area.is_chance


def _mean_ranks(score_N: Float) -> npt.NDArray[np.float64]:
    """Return ranks from 1, equal scores sharing the mean of theirs."""
    _, index_N, count_U = np.unique(score_N, return_inverse=True, return_counts=True)
    last_U = np.cumsum(count_U)
    ranks: npt.NDArray[np.float64] = (last_U - (count_U - 1) / 2)[index_N]
    return ranks
