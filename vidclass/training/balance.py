"""What is done against unequal classes: weights of the loss, or how often a class is drawn.

Legend: N videos, C clips of an epoch, K classes, P classes that are present.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["Balance", "class_draws", "class_weights"]

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
