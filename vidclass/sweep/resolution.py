"""How small a difference a study's test will resolve, as its validation videos tell.

Before anything ran only a range is known (``plan``). Once every arm has its winners, the share of
validation samples on which exactly one of two arms is right stands for that of test samples (the
discordance of paired answers, McNemar 1947). No final is needed, and test is not seen.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.manifest import read_manifest
from vidclass.report.comparisons import resolvable_difference
from vidclass.sweep.policy import DEPLOY_FOLD, folds
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State
from vidclass.training.checkpoints import CheckpointError, CheckpointFolder

__all__ = ["Resolution", "resolution_line", "resolution_of"]


@dataclass(frozen=True)
class Resolution:
    """What the test detects with 80 % power, over all pairs of arms that are to be compared.

    Attributes:
        discordance: smallest and largest share of validation samples on which one of a pair is
            right and the other is not, in 0..1.
        difference: smallest and largest resolvable difference, in 0..1: of the smallest share,
            samples of a group taken for independent, and of the largest, a group taken for one.
        num_groups: of all test videos.
    """

    discordance: tuple[float, float]
    difference: tuple[float, float]
    num_groups: int


def resolution_of(state: State, spec: StudySpec, folder: Path) -> Resolution | None:
    """Return what the study will resolve.

    Args:
        state: the study so far.
        spec: its file.
        folder: the study's, with manifest, splits and the checkpoints of winners.

    Returns:
        None as long as an arm lacks its winner in a fold, and where no pair of arms is compared or
        the winners' answers are not known: weights that were cleaned away, or an older study's.
    """
    if not state.data:
        return None
    wanted = {(arm.name, fold) for arm in spec.arms for fold in folds(state)}
    if not wanted <= state.winners.keys():
        return None
    right = {
        (arm, fold): _right(state, folder, state.winners[arm, fold]["trial"])
        for arm, fold in wanted
    }
    shares = [share for pair in _pairs(spec) if (share := _discordance(right, *pair)) is not None]
    if not shares:
        return None
    splits = pd.read_parquet(folder / state.data["splits"])
    tested = splits[(splits["fold"] != DEPLOY_FOLD) & (splits["split"] == "test")]
    manifest = read_manifest(folder / state.data["manifest"])
    groups = manifest.loc[manifest["video_id"].isin(tested["video_id"]), "group"]
    num_groups, size = groups.nunique(), len(groups) / max(groups.nunique(), 1)
    low, high = (
        resolvable_difference(num_groups, share, videos_per_group=size, correlation=correlation)
        for share, correlation in ((min(shares), 0.0), (max(shares), 1.0))
    )
    return Resolution((min(shares), max(shares)), (low, high), num_groups)


def resolution_line(found: Resolution) -> str:
    """Return a resolution as people say it."""
    low, high = (100 * share for share in found.discordance)
    least, most = (100 * difference for difference in found.difference)
    return (
        f"{found.num_groups:,} test groups resolve {least:.1f} to {most:.1f} points, as two arms "
        f"answer {low:.0f} to {high:.0f} % of the validation samples differently"
    )


def _pairs(spec: StudySpec) -> list[tuple[str, str]]:
    names = [arm.name for arm in spec.arms]
    if spec.comparisons == "all_pairs":
        return list(combinations(names, 2))
    if spec.comparisons == "vs_control" and spec.control is not None:
        return [(name, spec.control) for name in names if name != spec.control]
    return []  # a floor is not asked about validation videos


def _right(state: State, folder: Path, trial: str | None) -> str:
    """Return on which validation samples of its fold a winner is right; empty if not known."""
    best = state.trials[trial].best_checkpoint if trial is not None else None
    if best is None:
        return ""
    try:
        return CheckpointFolder(folder / "checkpoints" / str(trial)).sidecar(best).right
    except CheckpointError:
        return ""


def _discordance(right: dict[tuple[str, int], str], first: str, second: str) -> float | None:
    """Return the share of samples, over all folds, on which exactly one of two arms is right."""
    unequal_N: list[npt.NDArray[np.bool_]] = []
    for fold in {fold for _, fold in right}:
        one, other = right[first, fold], right[second, fold]
        if one and len(one) == len(other):
            unequal_N.append(np.array(list(one)) != np.array(list(other)))
    return float(np.concatenate(unequal_N).mean()) if unequal_N else None
