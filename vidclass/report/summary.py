"""The page as data: pure functions from the tables of a study to everything that is shown.

``summarize`` computes each figure once; HTML, Markdown and CSV only print what it returns.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass import __version__
from vidclass.report import compared, protocol
from vidclass.report.behaviour import confusion_of, worst_pairs
from vidclass.report.belief import Light, lights
from vidclass.report.class_by_class import class_table, said_together
from vidclass.report.collect import StudyTables
from vidclass.report.comparisons import Comparison
from vidclass.report.cost import EqualHours, best_so_far, compute_unit, equal_hours
from vidclass.report.data_lights import confound_rows
from vidclass.report.fewer_videos import VideosPoint, last_doubling, videos_curve
from vidclass.report.figures import Bar, Dot
from vidclass.report.figures_search import (
    Curve,
    Slice,
    importances,
    learning_curves,
    slices,
)
from vidclass.report.intervals import Interval
from vidclass.report.scores import Scores, score_study
from vidclass.report.table import Column, Table, count, percent, plural, text

__all__ = ["Drawn", "Page", "summarize"]

EMPTY = Table(())
VIDEOS_GAIN = 0.02  # a doubling of the videos that brings less has levelled off
FLAT_GAIN = 0.01  # a search whose last third brought less than a point has levelled off


@dataclass(frozen=True)
class Drawn:
    """What the figures show, as numbers."""

    dots: list[Dot] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    chance: float = float("nan")
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    equal: EqualHours | None = None
    confusions: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    together: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    videos_curve: list[VideosPoint] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    importances: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """Everything on the page, in the order of measurement.md 10."""

    name: str
    title: str
    version: str
    partial: bool
    verdict: str
    limits: list[str]
    lights: list[Light]
    scores_lead: str
    differences: Table
    differences_lead: str
    arms: Table
    arms_lead: str
    costs: Table
    champion: str
    confusion_lead: str
    pairs: Table
    classes: Table
    classes_lead: str
    videos_lead: str
    hours_lead: str
    next_step: str
    protocol: list[tuple[str, str]]
    perturbations: Table
    swaps: Table
    folds: Table
    deployment: str
    confounds: Table
    trials: Table
    trials_told: str
    features_note: str
    events_told: str
    drawn: Drawn
    comparisons: list[Comparison]
    winner: str | None


def summarize(tables: StudyTables) -> Page:
    """Return the page of a study, whatever part of it exists yet."""
    scores = score_study(tables)
    curve = best_so_far(tables)
    equal = equal_hours(curve)
    champion = _champion(tables, scores)
    ready = bool(tables.state.data)
    drawn = _drawn(tables, scores, curve, equal)
    confusion_KK = drawn.confusions.get(champion)
    return Page(
        name=tables.name,
        title=tables.spec.title or tables.spec.study.replace("_", " "),
        version=str(tables.state.started.get("version", __version__)),
        partial=tables.partial,
        verdict=scores.verdict,
        limits=scores.limits,
        lights=lights(tables, _metadata(scores), scores.chance) if ready else [],
        scores_lead=_scores_lead(tables, scores),
        differences=compared.difference_table(scores),
        differences_lead=compared.differences_lead(scores, tables),
        arms=compared.arm_table(tables, scores),
        arms_lead=compared.arms_lead(scores),
        costs=compared.cost_table(tables),
        champion=champion,
        confusion_lead=_confusion_lead(tables, champion),
        pairs=EMPTY if confusion_KK is None else _pair_table(confusion_KK, tables.classes),
        classes=_class_table(tables, champion),
        classes_lead=_classes_lead(tables, champion) if tables.several else "",
        videos_lead=_videos_lead(champion, drawn.videos_curve, tables.unit),
        hours_lead=_hours_lead(tables, equal),
        next_step=_next_step(tables, scores, drawn),
        protocol=protocol.protocol_rows(tables, _held_out(tables)) if ready else [],
        perturbations=protocol.perturbation_table(tables),
        swaps=protocol.swap_table(tables),
        folds=protocol.fold_table(tables) if tables.num_folds > 1 else EMPTY,
        deployment=_deployment(tables),
        confounds=confound_rows(tables.state.data),
        trials=protocol.trial_table(tables),
        trials_told=_trials_told(tables),
        features_note=protocol.features_note(tables.spec),
        events_told=f"{tables.state.num_events:,} events",
        drawn=drawn,
        comparisons=compared.shown_differences(scores),
        winner=scores.winner,
    )


def _drawn(
    tables: StudyTables, scores: Scores, curve: pd.DataFrame, equal: EqualHours | None
) -> Drawn:
    finals = tables.finals[tables.finals["kind"] == "final"]
    of_arm = {arm: finals[finals["arm"] == arm] for arm in tables.arms}
    there = {arm: rows for arm, rows in of_arm.items() if len(rows)}
    exclusive = {} if tables.several else there
    return Drawn(
        dots=[
            Dot(s.name, s.is_floor, s.estimate, s.interval.low, s.interval.high, s.seeds)
            for s in scores.shown
        ],
        bars=[
            Bar(f"{c.arm_a} − {c.arm_b}", c.difference, c.low, c.high, c.excludes_zero)
            for c in compared.shown_differences(scores)
        ],
        chance=scores.chance,
        curve=curve,
        equal=equal,
        confusions={
            arm: confusion_of(rows, len(tables.classes)) for arm, rows in exclusive.items()
        },
        together={arm: said_together(rows) for arm, rows in there.items() if tables.several},
        videos_curve=videos_curve(tables),
        curves=learning_curves(tables),
        slices=slices(tables),
        importances=importances(tables),
    )


def _metadata(scores: Scores) -> Interval | None:
    return next((score.interval for score in scores.floors if score.name == "metadata"), None)


def _champion(tables: StudyTables, scores: Scores) -> str:
    """Return the arm chosen on validation, or the best one so far."""
    if tables.state.champion is not None:
        return str(tables.state.champion["arm"])
    best = max(scores.arms, key=lambda score: score.estimate, default=None)
    return best.name if best else ""


def _scores_lead(tables: StudyTables, scores: Scores) -> str:
    metric = tables.spec.primary.metric.replace("_", " ")
    seeds = max((len(score.seeds) for score in scores.arms), default=0)
    told = f"{metric.capitalize()} on test {tables.unit}s"
    told += " out of fold" if tables.num_folds > 1 else ""
    told += f", mean of {plural(seeds, 'seed')}" if seeds else ""
    told += ", with 95 % intervals over groups. No arm is good unless it beats the best floor"
    return told + (f" ({scores.best_floor.replace('_', ' ')})." if scores.best_floor else ".")


def _introduced(tables: StudyTables, champion: str) -> str:
    chosen = tables.state.champion is not None
    how = "the champion, chosen on validation" if chosen else "the best arm so far"
    return f"{champion} is {how}."


def _confusion_lead(tables: StudyTables, champion: str) -> str:
    return (
        f"{_introduced(tables, champion)} Shares of each label's answers in per cent, all seeds "
        f"{'and folds ' if tables.num_folds > 1 else ''}together."
    )


def _class_table(tables: StudyTables, champion: str) -> Table:
    finals = tables.finals[(tables.finals["kind"] == "final") & (tables.finals["arm"] == champion)]
    if not tables.several or finals.empty:
        return EMPTY
    return class_table(finals, tables.classes, tables.unit)


def _classes_lead(tables: StudyTables, champion: str) -> str:
    return (
        f"{_introduced(tables, champion)} Each class is a question of its own; from which "
        "probability on it is said to hold was chosen on validation, for each class and training."
    )


def _pair_table(confusion_KK: npt.NDArray[np.int64], classes: list[str]) -> Table:
    columns = (
        Column("label", "Label", numeric=False),
        Column("said", "Called", numeric=False),
        Column("share", "Share of the label's answers"),
        Column("count", "Answers"),
    )
    rows = [
        [
            text(pair.label),
            text(pair.said),
            percent(pair.share),
            count(pair.count, f"of {pair.support:,}"),
        ]
        for pair in worst_pairs(confusion_KK, classes)
    ]
    return Table(columns, rows, "The worst pairs first; an answer is one sample by one seed.")


def _videos_lead(champion: str, points: list[VideosPoint], unit: str) -> str:
    gain = last_doubling(points)
    if gain is None:
        return ""
    fewest, last = points[0].num_videos, points[-1].num_videos
    told = f"{champion} with the settings of its finals, trained on {fewest:,.0f} to {last:,.0f} "
    told += f"{unit}s, whole groups, fewer by chance; every point is scored on the same test "
    told += f"{unit}s. "
    return told + f"The last doubling brought {100 * gain:+.1f} points."


def _hours_lead(tables: StudyTables, equal: EqualHours | None) -> str:
    if equal is None:
        return ""
    unit = compute_unit(tables)
    told = f"Arms had equal trials, not equal hours. With all their hours {equal.at_full} leads on "
    told += f"validation; at {equal.hours:.2g} {unit}, what the cheapest arm took, "
    if equal.differs:
        return told + f"{equal.at_equal} leads: at equal hours the winner differs."
    return told + "it leads as well: equal hours would choose the same arm."


def _next_step(tables: StudyTables, scores: Scores, drawn: Drawn) -> str:
    """Return the one thing that would most improve what the page can say."""
    metadata = _metadata(scores)
    if not scores.arms:
        return f"Let the study end: {protocol.reproduce_command(tables)} goes on where it stopped."
    if metadata is not None and (metadata.low or 0.0) > scores.chance:
        return (
            "Remove what lets the file tell the class (sizes, lengths or rates that differ by "
            "class), or read the scores as those of a shortcut."
        )
    if not scores.decided:
        return (
            "Score more independent groups first: the intervals here are as wide as the groups are "
            "few; then more seeds (--profile full)."
        )
    gain = last_doubling(drawn.videos_curve)
    if gain is not None and gain > VIDEOS_GAIN:
        return (
            f"Label more videos: the last doubling of the training videos brought "
            f"{100 * gain:.1f} points."
        )
    equal = drawn.equal
    if equal is not None and _still_rising(drawn.curve, equal.at_full):
        return (
            f"Give the search more trials: {equal.at_full} still gained in the last third of its "
            "hours."
        )
    if tables.spec.profile == "laptop":
        return (
            "Repeat with --profile full: more trials and seeds turn a statement on these "
            "configurations into a firmer one."
        )
    return "Repeat the search itself, or test on other recordings, to speak of the architecture."


def _still_rising(curve: pd.DataFrame, arm: str) -> bool:
    rows = curve[curve["arm"] == arm]
    early = rows[rows["hours"] <= rows["hours"].max() * 2 / 3]
    return len(early) > 0 and float(rows["value"].max() - early["value"].max()) > FLAT_GAIN


def _held_out(tables: StudyTables) -> str:
    spec = tables.spec.data.split
    published = tables.state.data.get("published")
    if published is not None:
        which = "splits" if published == "all" else f"split {published}"
        return (
            f"the published {which}, tuned on inner validation: train groups drawn by class, "
            f"seed {spec.seed}"
        )
    if tables.num_folds > 1:
        return (
            f"{tables.num_folds} outer folds by group, every video scored out of fold once, "
            f"seed {spec.seed}"
        )
    counts = tables.splits[tables.splits["fold"] == 0]["split"].value_counts()
    parts = ", ".join(f"{int(counts.get(name, 0)):,} {name}" for name in ("train", "valid", "test"))
    told = f"one split by group ({parts} videos), seed {spec.seed}"
    if tables.spec.data.windows is None:
        return told
    sizes = {name: len(tables.samples_of(name)) for name in ("train", "valid", "test")}
    return f"{told}; windows: " + ", ".join(f"{n:,} {name}" for name, n in sizes.items())


def _deployment(tables: StudyTables) -> str:
    if tables.num_folds == 1:
        return ""
    deployed = [t for t in tables.state.trials.values() if t.kind == "deploy" and t.ended_well]
    told = "The deployment model is searched and trained on all data; it carries the out-of-fold "
    told += "estimate of its arm and is never scored itself. "
    if not deployed:
        return told + "It has not been trained yet."
    return told + f"Here it is {deployed[-1].arm}, trial {deployed[-1].trial}."


def _trials_told(tables: StudyTables) -> str:
    trials = tables.trials
    kinds = trials["kind"].value_counts()
    parts = ", ".join(f"{number} {str(kind).replace('_', ' ')}" for kind, number in kinds.items())
    return f"{plural(len(trials), 'trial')}: {parts}"
