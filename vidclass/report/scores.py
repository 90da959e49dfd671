"""Scores, differences and the verdict of a study, as the page needs them."""

from dataclasses import dataclass, field

from vidclass.data.samples import multi_hot
from vidclass.report.averaged import averaged
from vidclass.report.behaviour import ClassScore, worst_class
from vidclass.report.class_by_class import chance_of_several
from vidclass.report.collect import StudyTables
from vidclass.report.comparisons import (
    Comparison,
    TimeValue,
    best_floor,
    compare_family,
    compare_with_floor,
    smallest_attainable_p,
    value_of_time,
)
from vidclass.report.intervals import Interval
from vidclass.report.resampling import score_interval
from vidclass.report.runs import (
    ArmRuns,
    SeedVariance,
    pooled_seed_variance,
    read_runs,
)
from vidclass.report.verdict import VerdictContext, verdict
from vidclass.training.scoring import METRICS_OF_TASK, Metric

__all__ = ["Score", "Scores", "score_study"]

NAN = float("nan")
BAG = "bag_of_frames"


@dataclass(frozen=True)
class Score:
    """One arm or floor on test.

    Attributes:
        name: of the arm or floor.
        is_floor: whether it is a floor.
        interval: the primary figure, mean over seeds, with its bounds.
        seeds: the primary figure of each seed; none for floors.
        measured: what the task is scored by, by name, samples as the unit, mean over seeds.
        worst: the class with the lowest F1, or average precision where several may hold.
        clip: accuracy, or mean average precision, of single clips; None for floors.
        exploratory: whether it is the average of the arms, which nobody declared.
    """

    name: str
    is_floor: bool
    interval: Interval
    seeds: tuple[float, ...]
    measured: dict[str, float]
    worst: ClassScore | None
    clip: float | None
    exploratory: bool = False

    @property
    def estimate(self) -> float:
        """The primary figure."""
        return self.interval.estimate


@dataclass(frozen=True)
class Scores:
    """All statistics of the page.

    Attributes:
        arms: in the order of the study file; those without a final are left out.
        floors: in the order in which they ran.
        average: the mean of the arms' probabilities; None with fewer than two arms.
        family: the declared comparisons, each the larger score minus the smaller.
        gate: every arm minus the best floor.
        time_values: by arm, of arms with a final.
        best_floor: its name, empty before any floor was scored.
        chance: score of a blind guess.
        verdict: one sentence.
        winner: the arm that it names, or None.
        limits: what the page cannot say, a sentence each.
    """

    arms: list[Score] = field(default_factory=list)
    floors: list[Score] = field(default_factory=list)
    average: Score | None = None
    family: list[Comparison] = field(default_factory=list)
    gate: list[Comparison] = field(default_factory=list)
    time_values: dict[str, TimeValue] = field(default_factory=dict)
    best_floor: str = ""
    chance: float = NAN
    verdict: str = ""
    winner: str | None = None
    limits: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[Score]:
        """Arms, their average, floors: the rows of the page."""
        return [*self.arms, *([self.average] if self.average else []), *self.floors]

    @property
    def decided(self) -> bool:
        """Whether any declared difference is told from 0."""
        return any(comparison.excludes_zero for comparison in self.family)


def score_study(tables: StudyTables) -> Scores:
    """Return every statistic that the study's predictions allow so far."""
    metric: Metric = tables.spec.primary.metric
    finals = tables.finals[tables.finals["kind"] == "final"]
    runs = read_runs(finals) if len(finals) else {}
    floors = _floor_runs(tables)
    pooled = pooled_seed_variance(runs, metric)
    there = [arm for arm in tables.arms if arm in runs]
    together = averaged({arm: runs[arm] for arm in there}, tables.state)
    everything, floor_names = {**runs, **floors}, list(floors)
    family = compare_family(
        everything,
        there,
        tables.spec.comparisons,
        metric=metric,
        control=tables.spec.control,
        floors=floor_names,
    )
    gate = compare_with_floor(everything, there, floor_names, metric)
    found = verdict({arm: runs[arm].score(metric) for arm in there}, family, gate, _context(tables))
    return Scores(
        arms=[_score(tables, runs[arm], metric, pooled) for arm in there],
        floors=[_score(tables, found, metric, None) for found in floors.values()],
        average=None if together is None else _average(tables, together, metric, pooled),
        family=[c if c.difference >= 0 else c.swapped() for c in family],
        gate=gate,
        time_values=_time_values(tables, runs, floors.get(BAG), metric, pooled),
        best_floor=best_floor(everything, floor_names, metric) or "",
        chance=_chance(tables),
        verdict=found.sentence,
        winner=found.winner,
        limits=[*found.reasons, *_resolution(family + gate)] if there else [],
    )


WORTH_TELLING_P = 1e-4
"""With a smallest attainable p below this, the number of groups limits no test."""


def _resolution(comparisons: list[Comparison]) -> list[str]:
    """Return what the tests of the page could not have told in any case."""
    if not comparisons:
        return []
    groups = min(comparison.num_groups for comparison in comparisons)
    least = smallest_attainable_p(groups)
    told = []
    if least > WORTH_TELLING_P:
        told.append(f"with {groups} test groups no p can fall below {least:.2g}")
    resolved = [100 * c.resolvable for c in comparisons if c.resolvable is not None]
    if resolved:
        told.append(
            f"differences below {min(resolved):.1f} to {max(resolved):.1f} points (by pair) "
            "are missed more often than one time in five"
        )
    return told


def _context(tables: StudyTables) -> VerdictContext:
    num_groups = 0
    if len(tables.splits):
        tested = tables.splits.loc[tables.splits["split"] == "test", ["video_id"]]
        num_groups = int(tested.merge(tables.manifest, on="video_id")["group"].nunique())
    return VerdictContext(
        num_groups=num_groups,
        num_trials=tables.spec.resolved.trials,
        num_folds=tables.num_folds,
        published=tables.state.data.get("published") is not None,
        refit=tables.spec.finals.refit,
        groups_known=bool(tables.state.data.get("groups_known", True)),
        partial=tables.partial,
        extended=tables.extended_after_test,
    )


def _time_values(
    tables: StudyTables,
    runs: dict[str, ArmRuns],
    bag: ArmRuns | None,
    metric: Metric,
    pooled: SeedVariance | None,
) -> dict[str, TimeValue]:
    controls = tables.finals[tables.finals["variant"] == "shuffled"]
    shuffled = read_runs(controls) if len(controls) else {}
    return {
        arm: value_of_time(kept, shuffled.get(arm), bag, metric, pooled)
        for arm, kept in runs.items()
    }


def _floor_runs(tables: StudyTables) -> dict[str, ArmRuns]:
    floors = tables.floors
    return read_runs(floors, deterministic=set(floors["arm"])) if len(floors) else {}


def _chance(tables: StudyTables) -> float:
    """Return what a blind guess scores: always the most frequent class, or see the glossary."""
    if not tables.classes:
        return NAN
    tested = tables.samples_of("test")
    if tables.several:
        label_NK = multi_hot(tested["label_ids"], len(tables.classes))
        return chance_of_several(label_NK, tables.spec.primary.metric)
    if tables.spec.primary.metric == "macro_f1":
        return 1.0 / len(tables.classes)
    return float(tested["label_id"].value_counts(normalize=True).max())


def _score(
    tables: StudyTables, runs: ArmRuns, metric: Metric, pooled: SeedVariance | None
) -> Score:
    source = tables.floors if runs.deterministic else tables.finals
    rows = source[(source["arm"] == runs.arm) & (source["variant"] == "kept")]
    return Score(
        name=runs.arm,
        is_floor=runs.deterministic,
        interval=score_interval(runs, metric, pooled),
        seeds=() if runs.deterministic else tuple(map(float, runs.score_S(metric))),
        measured={name: runs.score(name) for name in METRICS_OF_TASK[tables.spec.data.task]},
        worst=worst_class(rows, tables.classes),
        clip=None if runs.deterministic else _clip_score(tables, runs.arm),
    )


def _average(
    tables: StudyTables, runs: ArmRuns, metric: Metric, pooled: SeedVariance | None
) -> Score:
    return Score(
        name=runs.arm,
        is_floor=False,
        interval=score_interval(runs, metric, pooled),
        seeds=tuple(map(float, runs.score_S(metric))),
        measured={name: runs.score(name) for name in METRICS_OF_TASK[tables.spec.data.task]},
        worst=None,
        clip=None,
        exploratory=True,
    )


def _clip_score(tables: StudyTables, arm: str) -> float | None:
    """Return the score of the clips of all folds, each fold by its samples, mean over seeds."""
    name = METRICS_OF_TASK[tables.spec.data.task][0]
    samples = tables.finals.groupby(["arm", "kind", "fold", "seed"]).size()
    found = [
        (final.clip_metrics[name], int(samples.get((arm, "final", final.fold, final.seed), 0)))
        for final in tables.state.finals.values()
        if final.arm == arm and final.variant == "kept"
    ]
    whole = sum(number for _, number in found)
    return sum(value * number for value, number in found) / whole if whole else None
