"""Scores, differences and the verdict of a study, as the page needs them."""

from dataclasses import dataclass, field

from vidclass.report.behaviour import ClassScore, worst_class
from vidclass.report.collect import StudyTables
from vidclass.report.intervals import Interval, score_interval
from vidclass.report.runs import (
    ArmRuns,
    Metric,
    SeedVariance,
    pooled_seed_variance,
    read_runs,
)

__all__ = ["Difference", "Score", "Scores", "TimeValue", "score_study"]

NAN = float("nan")
BAG = "bag_of_frames"


@dataclass(frozen=True)
class Score:
    """One arm or floor on test.

    Attributes:
        name: of the arm or floor.
        is_floor: whether it is a floor.
        interval: the primary figure, mean over seeds, with its bounds.
        seeds: the primary figure of each seed.
        accuracy: at video level, mean over seeds.
        macro_f1: the same.
        worst: the class with the lowest F1.
        clip_accuracy: accuracy of single windows; None for floors.
    """

    name: str
    is_floor: bool
    interval: Interval
    seeds: tuple[float, ...]
    accuracy: float
    macro_f1: float
    worst: ClassScore | None
    clip_accuracy: float | None

    @property
    def estimate(self) -> float:
        """The primary figure."""
        return self.interval.estimate


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
    arm_runs = read_runs(finals) if len(finals) else {}
    floor_runs = _floor_runs(tables)
    pooled = pooled_seed_variance(arm_runs, metric)
    arms = [_score(tables, arm_runs[arm], metric, pooled) for arm in tables.arms if arm in arm_runs]
    floors = [_score(tables, runs, metric, None) for runs in floor_runs.values()]
    best = max(floors, key=lambda score: score.estimate, default=None)
    return Scores(
        arms=arms,
        floors=floors,
        best_floor=best.name if best else "",
        chance=_chance(tables),
        verdict="Interim.",
        limits=[],
    )


def _floor_runs(tables: StudyTables) -> dict[str, ArmRuns]:
    floors = tables.floors
    return read_runs(floors, deterministic=set(floors["arm"])) if len(floors) else {}


def _chance(tables: StudyTables) -> float:
    """Return what naming the most frequent class of the test videos scores."""
    if not tables.classes:
        return NAN
    if tables.spec.primary.metric == "macro_f1":
        return 1.0 / len(tables.classes)
    tested = tables.splits.loc[tables.splits["split"] == "test", ["video_id"]].drop_duplicates()
    labels = tested.merge(tables.manifest[["video_id", "label"]], on="video_id")["label"]
    return float(labels.value_counts(normalize=True).max())


def _score(
    tables: StudyTables, runs: ArmRuns, metric: Metric, pooled: SeedVariance | None
) -> Score:
    source = tables.floors if runs.deterministic else tables.finals
    rows = source[(source["arm"] == runs.arm) & (source["variant"] == "kept")]
    return Score(
        name=runs.arm,
        is_floor=runs.deterministic,
        interval=score_interval(runs, metric, pooled),
        seeds=tuple(float(score) for score in runs.score_S(metric)),
        accuracy=runs.score("accuracy"),
        macro_f1=runs.score("macro_f1"),
        worst=worst_class(rows, tables.classes),
        clip_accuracy=None if runs.deterministic else _clip_accuracy(tables, runs.arm),
    )


def _clip_accuracy(tables: StudyTables, arm: str) -> float | None:
    """Return the accuracy over all clips of all folds, mean over seeds."""
    videos = tables.finals.groupby(["arm", "kind", "fold", "seed"]).size()
    found = [
        (final.clip_metrics["accuracy"], int(videos.get((arm, "final", final.fold, final.seed), 0)))
        for final in tables.state.finals.values()
        if final.arm == arm and final.variant == "kept"
    ]
    whole = sum(number for _, number in found)
    return sum(value * number for value, number in found) / whole if whole else None
