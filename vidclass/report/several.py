"""Scores where any number of classes may hold, as the page's statistics need them.

Each score has two forms: weighted (what it would be if each sample counted ``times``, for drawing
groups) and linearised (what each sample adds to it, for variances; the derivative by the sample's
weight, as for a ratio: Woodruff, 1971). Linear values of a score sum to 0.

**A class that is missing**: where no label of a draw names a class, average precision leaves it
out; F1 leaves out a class that neither a label nor an answer names.

Legend: S seeds, N samples, D draws, K classes, U different probabilities of a class.
"""

import numpy as np
import numpy.typing as npt

__all__ = [
    "linear_average_precision",
    "linear_macro_f1",
    "weighted_average_precision",
    "weighted_exact_match",
    "weighted_macro_f1",
]

Float64 = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def weighted_average_precision(label_NK: Bool, prob_NK: Float64, times_DN: Float64) -> Float64:
    """Return the mean average precision of each draw, ``[D]``; NaN where nothing is labelled."""
    ap_KD = np.full((label_NK.shape[1], len(times_DN)), np.nan)
    for k in range(label_NK.shape[1]):
        order, last_U = _steps(prob_NK[:, k])
        times = times_DN[:, order]
        said_DU = times.cumsum(axis=1)[:, last_U]
        right_DU = (times * label_NK[order, k]).cumsum(axis=1)[:, last_U]
        gained_DU = np.diff(right_DU, axis=1, prepend=0)
        area_D = (gained_DU * right_DU / np.maximum(said_DU, 1e-300)).sum(axis=1)
        whole_D = right_DU[:, -1]
        ap_KD[k, whole_D > 0] = area_D[whole_D > 0] / whole_D[whole_D > 0]
    return _mean_over_classes(ap_KD)


def weighted_macro_f1(label_NK: Bool, said_NK: Bool, times_DN: Float64) -> Float64:
    """Return the macro F1 of each draw, ``[D]``."""
    right_DK = times_DN @ (label_NK & said_NK)
    occurs_DK = times_DN @ (label_NK.astype(np.float64) + said_NK)
    f1_DK = np.where(occurs_DK > 0, 2 * right_DK / np.maximum(occurs_DK, 1e-300), np.nan)
    return _mean_over_classes(f1_DK.T)


def weighted_exact_match(label_NK: Bool, said_NK: Bool, times_DN: Float64) -> Float64:
    """Return the share of samples that are wholly right in each draw, ``[D]``."""
    right_N = (label_NK == said_NK).all(axis=1)
    return np.asarray((times_DN @ right_N) / times_DN.sum(axis=1), dtype=np.float64)


def linear_average_precision(label_NK: Bool, prob_SNK: Float64) -> Float64:
    """Return what each sample of each seed adds to the mean average precision, ``[S, N]``.

    The samples of a seed sum to how far its score lies from the mean over seeds.
    """
    labelled = np.flatnonzero(label_NK.any(axis=0))
    linear_SN = np.zeros(prob_SNK.shape[:2])
    score_S = np.zeros(len(prob_SNK))
    for s, prob_NK in enumerate(prob_SNK):
        for k in labelled:
            ap, linear_N = _linear_of_class(label_NK[:, k], prob_NK[:, k])
            linear_SN[s] += linear_N / len(labelled)
            score_S[s] += ap / len(labelled)
    linear_SN += (score_S - score_S.mean())[:, None] / prob_SNK.shape[1]
    return linear_SN


def linear_macro_f1(label_NK: Bool, said_SNK: Bool) -> Float64:
    """Return what each sample of each seed adds to the macro F1, ``[S, N]``; all sum to 0.

    As for exclusive classes, the seeds are counted together.
    """
    num_seeds = len(said_SNK)
    right_K = (said_SNK & label_NK).sum(axis=(0, 1)).astype(np.float64)
    occurs_K = (num_seeds * label_NK.sum(axis=0) + said_SNK.sum(axis=(0, 1))).astype(np.float64)
    there = occurs_K > 0
    each_K = np.where(there, num_seeds / np.maximum(occurs_K, 1), 0.0) / max(there.sum(), 1)
    f1_K = 2 * right_K / np.maximum(occurs_K, 1)
    # d F1_k = (2 right - F1_k (label + said)) / (labels + answers of k)
    gained_SNK = 2.0 * (said_SNK & label_NK) - f1_K * (said_SNK.astype(np.float64) + label_NK)
    return np.asarray(gained_SNK @ each_K, dtype=np.float64)


def _linear_of_class(is_label_N: Bool, prob_N: Float64) -> tuple[float, Float64]:
    """Return the average precision of a class and its derivative by each sample's weight.

    With right R and answers B down to each step, and G labels in it, AP = sum G R / B / sum G. A
    sample's weight moves its own G, and R and B of its own step and all after it.
    """
    order, last_U = _steps(prob_N)
    is_label = is_label_N[order].astype(np.float64)
    right_U, said_U = is_label.cumsum()[last_U], last_U + 1.0
    gained_U = np.diff(right_U, prepend=0)
    whole = right_U[-1]
    ap = float(gained_U @ (right_U / said_U) / whole)
    after_U = np.cumsum((gained_U / said_U)[::-1])[::-1]
    after_square_U = np.cumsum((gained_U * right_U / said_U**2)[::-1])[::-1]
    step_N = np.searchsorted(last_U, np.arange(len(order)))
    own_N = is_label * ((right_U / said_U)[step_N] + after_U[step_N] - ap)
    linear_N = np.empty(len(order))
    linear_N[order] = (own_N - after_square_U[step_N]) / whole
    return ap, linear_N


def _steps(prob_N: Float64) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the samples by falling probability, and the last place of each one that occurs."""
    order = np.argsort(-prob_N, kind="stable")
    return order, np.append(np.flatnonzero(np.diff(prob_N[order])), len(order) - 1)


def _mean_over_classes(value_KD: Float64) -> Float64:
    known_KD = np.isfinite(value_KD)
    count_D = known_KD.sum(axis=0)
    total_D = np.where(known_KD, value_KD, 0.0).sum(axis=0)
    return np.where(count_D > 0, total_D / np.maximum(count_D, 1), np.nan)
