"""Scores of predictions, of either task; the labels' shape says which.

``label_N`` holds one class a sample, and probabilities sum to 1; ``label_NK`` holds a 1 for each
class that is there, and each probability is one of its own. Only the latter needs thresholds.

Legend: N samples, K classes.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from vidclass.data.samples import Labels
from vidclass.training import metrics, multilabel

__all__ = [
    "METRICS_OF_TASK",
    "Metric",
    "Thresholds",
    "decisions",
    "is_collapsed",
    "learned_nothing",
    "log_loss",
    "probabilities",
    "right_samples",
    "scores",
    "thresholds_of",
]

Metric = Literal["accuracy", "macro_f1", "mean_average_precision", "exact_match"]
METRICS_OF_TASK: dict[str, tuple[Metric, ...]] = {
    "multiclass": ("accuracy", "macro_f1"),
    "multilabel": ("mean_average_precision", "macro_f1", "exact_match"),
}
"""What a study can be about; the first is what one gets that names none."""

Float32 = npt.NDArray[np.float32]
Thresholds = tuple[float, ...]
TOP_K = 5


def probabilities(logits_BK: torch.Tensor, *, several: bool) -> torch.Tensor:
    """Return the probability of each class (the last axis): softmax, or sigmoid if several."""
    logits_BK = logits_BK.float()
    return logits_BK.sigmoid() if several else logits_BK.softmax(dim=-1)


def thresholds_of(labels: Labels, prob_NK: Float32) -> Thresholds | None:
    """Return from which probability on each class is said to hold; None where one has to.

    To be found on validation samples, never on those that are scored.
    """
    if labels.ndim == 1:
        return None
    return tuple(float(value) for value in multilabel.best_thresholds(labels, prob_NK))


def decisions(
    prob_NK: Float32, thresholds: Thresholds | None
) -> npt.NDArray[np.int64] | npt.NDArray[np.bool_]:
    """Return what is said: the most probable class ``[N]``, or with thresholds each, ``[N, K]``."""
    if thresholds is None:
        said_N: npt.NDArray[np.int64] = prob_NK.argmax(axis=1)
        return said_N
    return multilabel.decide(prob_NK, thresholds)


def right_samples(
    labels: Labels, prob_NK: Float32, thresholds: Thresholds | None
) -> npt.NDArray[np.bool_]:
    """Return ``right_N``: on which samples the one class is right, or of several each."""
    same = np.asarray(decisions(prob_NK, thresholds) == labels, dtype=np.bool_)
    return same if labels.ndim == 1 else np.asarray(same.all(axis=1), dtype=np.bool_)


def scores(
    labels: Labels, prob_NK: Float32, thresholds: Thresholds | None = None
) -> dict[str, float]:
    """Return all scores of predictions.

    One class a sample: accuracy, top5_accuracy, macro_f1, macro_recall, log_loss. Several:
    mean_average_precision, macro_f1, exact_match, hamming_loss, log_loss.

    Args:
        labels: see the module.
        prob_NK: probabilities.
        thresholds: needed where several labels may hold.
    """
    if labels.ndim == 2:
        assert thresholds is not None, "several labels are decided by thresholds"
        said_NK = multilabel.decide(prob_NK, thresholds)
        return {
            "mean_average_precision": multilabel.mean_average_precision(labels, prob_NK),
            "macro_f1": multilabel.macro_f1(labels, said_NK),
            "exact_match": multilabel.exact_match(labels, said_NK),
            "hamming_loss": multilabel.hamming_loss(labels, said_NK),
            "log_loss": multilabel.log_loss(labels, prob_NK),
        }
    label_N = labels.astype(np.int64)
    predicted_N, num_classes = prob_NK.argmax(axis=1), prob_NK.shape[1]
    return {
        "accuracy": metrics.accuracy(label_N, prob_NK),
        "top5_accuracy": metrics.top_k_accuracy(label_N, prob_NK, min(TOP_K, num_classes)),
        "macro_f1": metrics.macro_f1(label_N, predicted_N, num_classes),
        "macro_recall": metrics.macro_recall(label_N, predicted_N, num_classes),
        "log_loss": metrics.log_loss(label_N, prob_NK),
    }


def log_loss(labels: Labels, prob_NK: Float32) -> float:
    """Return the mean cross-entropy, in nats; of several labels the mean over classes."""
    if labels.ndim == 2:
        return multilabel.log_loss(labels, prob_NK)
    return metrics.log_loss(labels.astype(np.int64), prob_NK)


def is_collapsed(labels: Labels, prob_NK: Float32) -> bool:
    """Say whether predictions tell no class from another, or its presence from its absence."""
    if labels.ndim == 2:
        return multilabel.auc_spread(labels, prob_NK).is_chance
    return metrics.is_collapsed(labels.astype(np.int64), prob_NK)


def learned_nothing(labels: Labels, said: npt.NDArray[np.generic], num_classes: int) -> bool:
    """Say whether what a model said of its own training clips is at chance.

    Args:
        labels: of the clips.
        said: the classes said ``[C]``, or the probabilities of all ``[C, K]``.
        num_classes: K.
    """
    if labels.ndim == 2:
        return multilabel.auc_spread(labels, said.astype(np.float64)).is_chance
    label_C, said_C = labels.astype(np.int64), said.astype(np.int64)
    return metrics.macro_recall_spread(label_C, said_C, num_classes).is_chance
