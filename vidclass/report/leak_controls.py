"""Scores of the leak controls beside the champion's: does it need the behaviour at all?"""

from dataclasses import dataclass

from vidclass.report.collect import StudyTables
from vidclass.report.intervals import Interval
from vidclass.report.resampling import score_interval
from vidclass.report.runs import pooled_seed_variance, read_runs
from vidclass.sweep.leak_controls import LEAK_CONTROL

__all__ = ["ControlScore", "champion_and_controls", "overlaps"]


@dataclass(frozen=True)
class ControlScore:
    """What the champion, or a control of it, scored on test."""

    name: str
    interval: Interval


def champion_and_controls(
    tables: StudyTables,
) -> tuple[ControlScore, list[ControlScore]] | None:
    """Return the champion's score and those of the controls scored in all folds.

    None before the champion is known and scored.
    """
    if tables.state.champion is None:
        return None
    arm = str(tables.state.champion["arm"])
    metric = tables.spec.primary.metric
    finals = tables.finals[tables.finals["kind"] == "final"]
    runs = read_runs(finals) if len(finals) else {}
    if arm not in runs:
        return None
    pooled = pooled_seed_variance(runs, metric)
    controls = tables.finals[tables.finals["kind"] == LEAK_CONTROL]
    scores = [
        ControlScore(str(variant), score_interval(read_runs(rows)[arm], metric, pooled))
        for variant, rows in controls.groupby("variant", sort=True)
        if rows["fold"].nunique() == tables.num_folds
    ]
    return ControlScore(arm, score_interval(runs[arm], metric, pooled)), scores


def overlaps(control: Interval, real: Interval) -> bool:
    """Say whether a control comes close to the real score: intervals that touch, or no error.

    Without intervals the control is close when it reaches the real score itself.
    """
    if control.estimate >= 1.0:
        return True
    if control.high is None or real.low is None:
        return control.estimate >= real.estimate
    return control.high >= real.low
