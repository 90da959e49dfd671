"""The tables of the comparison: arms and floors, their differences, and what each arm cost."""

from vidclass.report.belief import EQUIVALENCE_MARGIN
from vidclass.report.collect import StudyTables
from vidclass.report.cost import arm_costs, compute_unit
from vidclass.report.intervals import Interval, equivalence
from vidclass.report.scores import Difference, Score, Scores, TimeValue
from vidclass.report.table import (
    Cell,
    Column,
    Table,
    amount,
    count,
    interval,
    missing,
    percent,
    points,
    probability,
    text,
)

__all__ = [
    "arm_table",
    "arms_lead",
    "cost_table",
    "difference_table",
    "differences_lead",
]


def arm_table(tables: StudyTables, scores: Scores) -> Table:
    """Return one row an arm, then one row a floor."""
    metric = tables.spec.primary.metric.replace("_", " ")
    columns = (
        Column("name", "Arm or floor", numeric=False),
        Column("primary", metric.capitalize(), "on test, video level, with its 95 % interval"),
        Column("upper_bound", "Upper bound", "of the interval, against chance and 2.5 points more"),
        Column("macro_f1", "Macro F1", "mean F1 over classes"),
        Column("worst_f1", "Worst class F1", "its class and number of test videos"),
        Column("accuracy_video", "Accuracy, video level"),
        Column("accuracy_clip", "Accuracy, clip level", "single windows, before averaging"),
        Column("frames_seen", "Frames seen", "clips x frames a video in the test"),
        Column("time_value", "Value of time", "minus the same arm trained on shuffled frames"),
        Column("over_bag", "Over bag of frames", "minus the floor that knows no order"),
    )
    rows = [_score_row(tables, scores, score) for score in scores.all_scores]
    return Table(columns, rows)


def _score_row(tables: StudyTables, scores: Scores, score: Score) -> list[Cell]:
    worst = score.worst
    return [
        text(score.name, "floor" if score.is_floor else ""),
        percent(score.estimate, beneath=_bounds(score.interval)),
        _upper_bound(score, scores.chance),
        percent(score.macro_f1),
        missing("no test videos")
        if worst is None
        else percent(worst.f1, beneath=f"{worst.label}, {worst.support:,} videos"),
        percent(score.accuracy),
        missing("scored by video") if score.is_floor else percent(score.clip_accuracy),
        _frames_seen(tables, score),
        _time_value(scores.time_values.get(score.name), score),
        _over_bag(scores.over_bag.get(score.name), score),
    ]


def _bounds(known: Interval | Difference | TimeValue) -> str:
    told = interval(known.low, known.high)
    return f"{told}; {known.reason}" if known.reason else told


def _upper_bound(score: Score, chance: float) -> Cell:
    """Say whether the figure is shown to be chance, by the upper bound of its interval."""
    found = equivalence(score.interval, chance + EQUIVALENCE_MARGIN, score.name)
    if found.holds is None:
        return missing(score.interval.reason)
    bound = f"{100 * found.bound:.1f} %"
    verdict = f"chance: below {bound}" if found.holds else f"not below {bound}"
    return percent(score.interval.high, beneath=verdict)


def _frames_seen(tables: StudyTables, score: Score) -> Cell:
    if score.is_floor:
        return text("–")
    facts = tables.models.get(score.name)
    if facts is None:
        return missing("model not registered here")
    views = tables.spec.data.views
    return Cell(
        f"{views * facts.num_frames:,}", views * facts.num_frames, f"{views} x {facts.num_frames}"
    )


def _time_value(value: TimeValue | None, score: Score) -> Cell:
    if score.is_floor:
        return text("–")
    if value is None:
        return missing("no control was run")
    if value.by_definition:
        return Cell("0 by definition", 0.0, "order cannot change it")
    return points(value.estimate, beneath=_bounds(value))


def _over_bag(value: Difference | None, score: Score) -> Cell:
    if score.is_floor:
        return text("–")
    if value is None:
        return missing("bag of frames not scored")
    return points(value.estimate, beneath=_bounds(value))


def arms_lead(scores: Scores) -> str:
    """Return what the columns of the arm table say."""
    limit = 100 * (scores.chance + EQUIVALENCE_MARGIN)
    return (
        f"Chance is {100 * scores.chance:.1f} %. A score counts as chance when the upper bound of "
        f"its interval lies below {limit:.1f} %; an interval that merely touches chance shows "
        "nothing."
    )


def difference_table(scores: Scores) -> Table:
    """Return the declared and the exploratory paired differences."""
    columns = (
        Column("first", "First", numeric=False),
        Column("second", "minus second", numeric=False),
        Column("difference", "Difference"),
        Column("low", "95 % from"),
        Column("high", "to"),
        Column("p", "p", "probability of so large a difference between equals"),
        Column("p_holm", "Holm's p", "corrected for all comparisons declared beforehand"),
        Column("family", "Declared", "whether it was registered before any final", numeric=False),
        Column("method", "Test", numeric=False),
    )
    rows = [
        [
            text(d.first),
            text(d.second),
            points(d.estimate),
            points(d.low, d.reason),
            points(d.high, d.reason),
            probability(d.p, d.reason),
            probability(d.p_holm, d.reason) if d.declared else text("–"),
            text("yes" if d.declared else "exploratory"),
            text(d.method),
        ]
        for d in scores.differences
    ]
    return Table(columns, rows)


def differences_lead(scores: Scores, tables: StudyTables) -> str:
    """Return how the differences were made and which of them were declared."""
    family = sum(d.declared for d in scores.differences)
    told = "The same test videos, one score minus the other; groups and seeds both vary. "
    declared = tables.spec.comparisons.replace("_", " ")
    told += f"Declared before any final: {declared}; Holm's correction runs over these {family}. "
    return told + "All else is exploratory."


def cost_table(tables: StudyTables) -> Table:
    """Return what each arm is and what it cost."""
    unit = compute_unit(tables)
    columns = (
        Column("name", "Arm", numeric=False),
        Column("gmacs", "GMACs a clip", "10^9 multiply-accumulates, published convention"),
        Column("parameters", "Parameters"),
        Column("ms_per_clip", "ms a clip", "validation time by number of clips, median of epochs"),
        Column("hours", unit, "all trials of the arm: search, re-runs, finals, controls"),
        Column("data_wait", "Data wait", "share of the time spent waiting for clips"),
        Column("trials", "Trials"),
        Column("epochs", "Epochs"),
        Column("collapse_rate", "Collapse rate", "search trials that ended at chance"),
    )
    rows = []
    for arm, row in arm_costs(tables).iterrows():
        facts = tables.models.get(str(arm))
        unknown = "model not registered here"
        ended = f"{int(row['collapsed'])} of {int(row['searched'])}"
        rows.append(
            [
                text(arm),
                amount(facts.gmacs if facts else None, "", unknown),
                count(facts.parameters) if facts else missing(unknown),
                amount(row["ms_per_clip"], "ms", "no epoch yet"),
                amount(row["hours"], "h"),
                percent(row["data_wait"], "no epoch yet"),
                count(int(row["trials"])),
                count(int(row["epochs"])),
                percent(row["collapse_rate"], "no trial ended yet", beneath=ended),
            ]
        )
    note = f"{unit}: wall hours of one slot (one {'GPU' if unit[0] == 'G' else 'core'})."
    return Table(columns, rows, note)
