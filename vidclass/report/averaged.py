"""The mean of the arms' test probabilities as a further row: what the arms know together.

It was declared by nobody before the finals and takes part in no comparison: it is exploratory, and
the page says so. Nothing is trained or scored for it; the stored predictions are averaged.

Legend: A arms, S seeds, N samples, K classes, F folds.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vidclass.report.runs import ArmRuns, Int64
from vidclass.sweep.state import State

__all__ = ["AVERAGE", "averaged"]

AVERAGE = "average_of_arms"
"""Its name in tables; no arm has it, since it has no model."""


def averaged(runs: Mapping[str, ArmRuns], state: State) -> ArmRuns | None:
    """Return the mean of the arms' probabilities, seed by seed; None with fewer than two arms.

    The n-th seeds of all arms are averaged, as many as every arm has, over the samples that all
    have scored. Where several classes may hold, the thresholds are the mean of the arms' own.

    Args:
        runs: of the arms' finals.
        state: of the study, where the thresholds are.
    """
    arms = [one for one in runs.values() if one.prob_SNK is not None]
    if len(arms) < 2:
        return None
    shared = set.intersection(*(set(one.sample_id_N) for one in arms))
    arms = [one.only(np.array([name in shared for name in one.sample_id_N])) for one in arms]
    if not shared or len({one.prob_SNK.shape[2] for one in arms if one.prob_SNK is not None}) > 1:
        return None
    num_seeds = min(one.num_seeds for one in arms)
    probs = [one.prob_SNK[:num_seeds] for one in arms if one.prob_SNK is not None]
    prob_SNK = np.mean(probs, axis=0)
    said: Int64 = prob_SNK.argmax(axis=2).astype(np.int64)
    if arms[0].several:
        said = (prob_SNK >= _thresholds_NK(state, list(runs), arms[0].fold_N)).astype(np.int64)
    return replace(arms[0], arm=AVERAGE, said=said, prob_SNK=prob_SNK, deterministic=False)


def _thresholds_NK(state: State, arms: list[str], fold_N: Int64) -> npt.NDArray[np.float64]:
    """Return for each sample the thresholds of its fold, mean over arms and seeds."""
    of_fold: dict[int, list[tuple[float, ...]]] = {}
    for final in state.finals.values():
        if final.arm in arms and final.variant == "kept" and final.thresholds:
            of_fold.setdefault(final.fold, []).append(tuple(final.thresholds))
    means = {fold: np.mean(found, axis=0) for fold, found in of_fold.items()}
    return np.stack([means[int(fold)] for fold in fold_N])
