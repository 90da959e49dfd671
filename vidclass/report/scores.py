"""Scores, differences and the verdict of a study, as the page needs them."""

from dataclasses import dataclass, field

import pandas as pd

from vidclass.report.behaviour import ClassScore, worst_class
from vidclass.report.collect import StudyTables
from vidclass.report.runs import ArmRuns, Metric, read_runs
from vidclass.training import metrics

__all__ = ["Difference", "Score", "Scores", "TimeValue", "score_study"]

NAN = float("nan")
BAG = "bag_of_frames"


@dataclass(frozen=True)
class Score:
    """One arm or floor on test; bounds are NaN, with the ``reason``, where none can be told."""

    name: str
    is_floor: bool
    estimate: float
    low: float
    high: float
    reason: str
    seeds: tuple[float, ...]
    accuracy: float
    macro_f1: float
    worst: ClassScore | None
    clip_accuracy: float | None


@dataclass(frozen=True)
class Difference:
    """A paired difference; ``decided`` where its corrected p is below 0.05."""

    first: str
    second: str
    estimate: float
    low: float
    high: float
    p: float
    p_holm: float
    declared: bool
    decided: bool
    method: str
    reason: str = ""


@dataclass(frozen=True)
class TimeValue:
    """An arm minus itself trained on shuffled frames; 0 by definition where order is not seen."""

    estimate: float
    low: float
    high: float
    by_definition: bool
    reason: str = ""


@dataclass(frozen=True)
class Scores:
    """All statistics of the page."""

    arms: list[Score] = field(default_factory=list)
    floors: list[Score] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    time_values: dict[str, TimeValue] = field(default_factory=dict)
    over_bag: dict[str, Difference] = field(default_factory=dict)
    best_floor: str = ""
    chance: float = NAN
    verdict: str = ""
    limits: list[str] = field(default_factory=list)

    @property
    def all_scores(self) -> list[Score]:
        """Arms, then floors."""
        return [*self.arms, *self.floors]

    @property
    def decided(self) -> bool:
        """Whether any declared difference is beyond doubt."""
        return any(d.decided for d in self.differences if d.declared)


def score_study(tables: StudyTables) -> Scores:
    """Return every statistic that the study's predictions allow so far."""
    metric: Metric = tables.spec.primary.metric
    finals = tables.finals[tables.finals["kind"] == "final"]
    runs = read_runs(finals) if len(finals) else {}
    floor_runs = read_runs(tables.floors, tables.floors["arm"].unique()) if len(tables.floors) else {}
    arms = [_score(tables, runs[a], metric, False) for a in tables.arms if a in runs]
    floors = [_score(tables, r, metric, True) for r in floor_runs.values()]
    best = max(floors, key=lambda s: s.estimate, default=None)
    return Scores(arms=arms, floors=floors, best_floor=best.name if best else "", chance=_chance(tables), verdict="Interim.", limits=[])


def _chance(tables: StudyTables) -> float:
    """Return what naming the most frequent class of the test videos scores."""
    if not tables.classes:
        return NAN
    if tables.spec.primary.metric == "macro_f1":
        return 1.0 / len(tables.classes)
    tested = tables.splits.loc[tables.splits["split"] == "test", ["video_id"]].drop_duplicates()
    labels = tested.merge(tables.manifest[["video_id", "label"]], on="video_id")["label"]
    return float(labels.value_counts(normalize=True).max())


def _score(tables: StudyTables, runs: ArmRuns, metric: Metric, is_floor: bool) -> Score:
    source = tables.floors if is_floor else tables.finals[tables.finals["kind"] == "final"]
    rows = source[source["arm"] == runs.arm]
    return Score(
        name=runs.arm,
        is_floor=is_floor,
        estimate=runs.score(metric),
        low=NAN,
        high=NAN,
        reason="interim",
        seeds=tuple(float(s) for s in runs.score_S(metric)),
        accuracy=runs.score("accuracy"),
        macro_f1=runs.score("macro_f1"),
        worst=worst_class(rows, tables.classes),
        clip_accuracy=_clip_accuracy(tables, runs.arm),
    )


def _clip_accuracy(tables: StudyTables, arm: str) -> float | None:
    return None
