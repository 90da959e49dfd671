"""What a study would do: trials, folds, time, bytes and what its test could resolve at best."""

from dataclasses import dataclass

import pandas as pd

from vidclass.data.splits import make_splits
from vidclass.errors import UserErrors
from vidclass.models import model_entry
from vidclass.sweep.points import sampler_name
from vidclass.sweep.policy import DEPLOY_FOLD
from vidclass.sweep.progress import planned_trials
from vidclass.sweep.spec import StudySpec

__all__ = ["Plan", "plan_of"]

RESOLVED_AT_BEST_POINTS = 10.0
"""A study that cannot resolve this many points is told so before it starts (measurement.md 3)."""


@dataclass(frozen=True)
class Plan:
    """A study before it starts."""

    trials: dict[str, int]
    num_folds: int
    num_videos: int
    num_groups: int
    classes: list[str]
    sampler: str
    num_comparisons: int
    smallest_p: float
    resolvable_points: tuple[float, float]
    checkpoint_bytes: int

    @property
    def num_trials(self) -> int:
        """All trainings."""
        return sum(self.trials.values())


def plan_of(spec: StudySpec, videos: pd.DataFrame) -> Plan:
    """Return the plan of ``spec`` on ``videos`` (a manifest, not probed).

    Raises:
        UserErrors: when the videos can't be divided as the study asks.
    """
    splits = make_splits(
        videos,
        valid_share=spec.data.split.valid_share,
        test_share=spec.data.split.test_share,
        folds=spec.data.split.folds,
        seed=spec.data.split.seed,
    )
    outer = splits[splits["fold"] != DEPLOY_FOLD]
    tested = outer[outer["split"] == "test"].merge(videos, on="video_id")
    num_folds, num_groups = outer["fold"].nunique(), tested["group"].nunique()
    uses_order = {arm.name: model_entry(arm.model).uses_order for arm in spec.arms}
    trials = planned_trials(spec, num_folds, uses_order)
    return Plan(
        trials=trials,
        num_folds=num_folds,
        num_videos=len(videos),
        num_groups=int(videos["group"].nunique()),
        classes=sorted(videos["label"].unique()),
        sampler=sampler_name(spec),
        num_comparisons=_num_comparisons(spec),
        smallest_p=smallest_attainable_p(num_groups),
        resolvable_points=tuple(
            100 * resolvable_difference(num_groups, discordance) for discordance in (0.05, 0.3)
        ),
        checkpoint_bytes=_checkpoint_bytes(spec, trials),
    )
