"""What is done against unequal classes: weights of the loss, or how often a class is drawn.

Legend: N videos, C clips of an epoch, K classes, P classes that are present.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Balance", "class_draws", "class_weights", "positive_weights", "strata"]

Balance = Literal["none", "weights", "effective_number", "resample", "oversample", "undersample"]
Int64 = npt.NDArray[np.int64]


def class_weights(
    label_N: Int64,
    num_classes: int,
    *,
    effective_beta: float | None = None,
    exponent: float = 1.0,
) -> npt.NDArray[np.float32]:
    """Return a weight for each class, ``[K]``, whose mean over the videos is 1.

    Args:
        label_N: the class of each video.
        num_classes: K; a class without videos has weight 0.
        effective_beta: weigh by the inverse of the effective number of videos,
            ``(1 - beta^n) / (1 - beta)`` (Cui et al. 2019); None weighs by the inverse frequency,
            to which it tends for beta towards 1.
        exponent: of the weights; 0 makes them all 1.
    """
    count_K = np.bincount(label_N, minlength=num_classes)
    number_K = np.maximum(count_K, 1).astype(np.float64)
    if effective_beta is not None:
        number_K = (1 - effective_beta**number_K) / (1 - effective_beta)
    weight_K = np.where(count_K > 0, number_K**-exponent, 0.0)
    scaled_K = weight_K * len(label_N) / (weight_K * count_K).sum()
    return np.asarray(scaled_K, dtype=np.float32)


def positive_weights(
    label_NK: npt.NDArray[np.floating] | Int64,
    *,
    effective_beta: float | None = None,
    exponent: float = 1.0,
) -> npt.NDArray[np.float32]:
    """Return by how much each class counts more where it holds than where it does not, ``[K]``.

    At exponent 1 both sides of each class have the same weight in all; where a class always or
    never holds there is nothing to even out, and the weight is 1.

    Args:
        label_NK: 1 where a class holds.
        effective_beta: as for ``class_weights``.
        exponent: of the weights; 0 makes them all 1.
    """
    holds_K = (label_NK > 0).sum(axis=0).astype(np.float64)
    number_2K = np.stack([len(label_NK) - holds_K, holds_K])
    if effective_beta is not None:
        number_2K = (1 - effective_beta**number_2K) / (1 - effective_beta)
    both_K = (number_2K > 0).all(axis=0)
    ratio_K = np.where(both_K, number_2K[0] / np.where(both_K, number_2K[1], 1.0), 1.0)
    return np.asarray(ratio_K**exponent, dtype=np.float32)


def strata(labels: npt.NDArray[np.floating] | Int64) -> Int64:
    """Return as what class each sample counts when classes are drawn by number, ``[N]``.

    Of several labels the rarest counts; samples without any are a class of their own, -1.
    """
    if labels.ndim == 1:
        return labels.astype(np.int64)
    holds_NK = labels > 0
    count_K = holds_NK.sum(axis=0)
    rarest_N = np.where(holds_NK, count_K, len(labels) + 1).argmin(axis=1)
    return np.where(holds_NK.any(axis=1), rarest_N, -1).astype(np.int64)


def class_draws(count_P: Int64, balance: Balance, exponent: float = 1.0) -> Int64:
    """Return how many clips of each class an epoch draws, ``[P]``; what is left over is not given.

    Args:
        count_P: videos of each class, none empty.
        balance: ``resample`` keeps the clips of an epoch as they are (short of those left over by
            rounding down), ``oversample`` draws the most frequent class as often as it is,
            ``undersample`` the rarest.
        exponent: 1 draws all classes equally often, 0 as often as they are, 0.5 by the square root.
    """
    share_P = count_P.astype(np.float64) ** (1 - exponent)
    if balance == "resample":
        return np.asarray(count_P.sum() * share_P / share_P.sum() + 1e-9, dtype=np.int64)
    base = count_P.argmax() if balance == "oversample" else count_P.argmin()
    return np.asarray(np.round(share_P * (count_P[base] / share_P[base])), dtype=np.int64)
