"""The tables of the comparison: arms and floors, their differences, and what each arm cost."""

from vidclass.report.belief import EQUIVALENCE_MARGIN
from vidclass.report.collect import StudyTables
from vidclass.report.comparisons import Comparison
from vidclass.report.cost import arm_costs, compute_unit
from vidclass.report.intervals import Interval, equivalence
from vidclass.report.scores import Score, Scores
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
from vidclass.training.scoring import METRICS_OF_TASK

__all__ = [
    "arm_table",
    "arms_lead",
    "cost_table",
    "difference_table",
    "differences_lead",
    "shown_differences",
]


def arm_table(tables: StudyTables, scores: Scores) -> Table:
    """Return one row an arm, the average of the arms, then one row a floor."""
    metric, unit = tables.spec.primary.metric.replace("_", " "), tables.unit
    columns = (
        Column("name", "Arm or floor", numeric=False),
        Column("primary", metric.capitalize(), f"on test, {unit} level, with its 95 % interval"),
        Column("upper_bound", "Upper bound", "of the interval, against chance and 2.5 points more"),
        Column("macro_f1", "Macro F1", "mean F1 over classes"),
        *(_several_columns(unit) if tables.several else _exclusive_columns(unit)),
        Column("frames_seen", "Frames seen", f"clips x frames a {unit} in the test"),
        Column("time_value", "Value of time", "minus the same arm trained on shuffled frames"),
        Column("over_bag", "Over bag of frames", "minus the floor that knows no order"),
    )
    rows = [_score_row(tables, scores, score) for score in scores.shown]
    return Table(columns, rows)


def _exclusive_columns(unit: str) -> tuple[Column, ...]:
    return (
        Column("worst_f1", "Worst class F1", f"its class and number of test {unit}s"),
        Column(f"accuracy_{unit}", f"Accuracy, {unit} level"),
        Column("accuracy_clip", "Accuracy, clip level", "single windows, before averaging"),
    )


def _several_columns(unit: str) -> tuple[Column, ...]:
    return (
        Column("worst_ap", "Worst class AP", f"its class and number of test {unit}s"),
        Column("mean_average_precision", f"Mean AP, {unit} level", "mean over classes"),
        Column("exact_match", "Exact match", f"share of {unit}s with every class right"),
        Column("map_clip", "Mean AP, clip level", "single clips, before averaging"),
    )


def _score_row(tables: StudyTables, scores: Scores, score: Score) -> list[Cell]:
    worst = score.worst
    return [
        text(score.name, _kind(score)),
        percent(score.estimate, beneath=_bounds(score.interval)),
        _upper_bound(score, scores.chance),
        percent(score.measured["macro_f1"]),
        missing("an average" if score.exploratory else f"no test {tables.unit}s")
        if worst is None
        else percent(worst.score, beneath=f"{worst.label}, {worst.support:,} {tables.unit}s"),
        *(percent(score.measured[name]) for name in _other_metrics(tables)),
        text("–") if score.is_floor or score.exploratory else percent(score.clip),
        _frames_seen(tables, score),
        _time_value(tables, scores, score),
        _over_bag(scores, score),
    ]


def _kind(score: Score) -> str:
    if score.exploratory:
        return "exploratory: declared by nobody"
    return "floor" if score.is_floor else ""


def _other_metrics(tables: StudyTables) -> list[str]:
    """Return what is shown beside macro F1, in the order of the columns."""
    return [name for name in METRICS_OF_TASK[tables.spec.data.task] if name != "macro_f1"]


def _bounds(known: Interval) -> str:
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
    if score.is_floor or score.exploratory:
        return text("–")
    facts = tables.models.get(score.name)
    if facts is None:
        return missing("model not registered here")
    views = tables.spec.data.clips_per_video
    return Cell(
        f"{views * facts.num_frames:,}", views * facts.num_frames, f"{views} x {facts.num_frames}"
    )


def _time_value(tables: StudyTables, scores: Scores, score: Score) -> Cell:
    if score.is_floor or score.exploratory:
        return text("–")
    facts = tables.models.get(score.name)
    if facts is not None and not facts.uses_order:
        return Cell("0 by definition", 0.0, "order cannot change it")
    found = scores.time_values[score.name].minus_shuffled
    return _difference(found, "no control was run")


def _over_bag(scores: Scores, score: Score) -> Cell:
    if score.is_floor or score.exploratory:
        return text("–")
    return _difference(scores.time_values[score.name].minus_bag, "bag of frames not scored")


def _difference(found: Comparison | None, reason: str) -> Cell:
    if found is None:
        return missing(reason)
    return points(found.difference, beneath=interval(found.low, found.high))


def arms_lead(scores: Scores) -> str:
    """Return what the columns of the arm table say."""
    limit = 100 * (scores.chance + EQUIVALENCE_MARGIN)
    return (
        f"Chance is {100 * scores.chance:.1f} %. A score counts as chance when the upper bound of "
        f"its interval lies below {limit:.1f} %; an interval that merely touches chance shows "
        "nothing."
    )


def shown_differences(scores: Scores) -> list[Comparison]:
    """Return the declared comparisons, then the gate where it was not declared."""
    declared = {(c.arm_a, c.arm_b) for c in scores.family}
    return [*scores.family, *(c for c in scores.gate if (c.arm_a, c.arm_b) not in declared)]


def difference_table(scores: Scores) -> Table:
    """Return the declared paired differences and those to the best floor."""
    columns = (
        Column("first", "First", numeric=False),
        Column("second", "minus second", numeric=False),
        Column("difference", "Difference"),
        Column("p", "p", "probability of so large a difference between equals"),
        Column("p_holm", "Holm's p", "corrected for the comparisons of the same kind"),
        Column("kind", "Kind", numeric=False),
        Column("resolvable", "Resolves", "difference that this test detects with 80 % power"),
    )
    rows = [
        [
            text(c.arm_a),
            text(c.arm_b),
            points(c.difference, beneath=f"95 %: {interval(c.low, c.high)}"),
            probability(c.p),
            probability(c.p_holm),
            text("declared" if c.primary else "gate"),
            missing("too few groups")
            if c.resolvable is None
            else Cell(f"{100 * c.resolvable:.1f} points", c.resolvable),
        ]
        for c in shown_differences(scores)
    ]
    methods = dict.fromkeys(c.method for c in shown_differences(scores))
    return Table(columns, rows, f"Test: {'; '.join(methods)}." if methods else "")


def differences_lead(scores: Scores, tables: StudyTables) -> str:
    """Return how the differences were made and which of them were declared."""
    declared = tables.spec.comparisons.replace("_", " ")
    told = f"The same test {tables.unit}s, one score minus the other; groups and seeds both vary. "
    told += f"Declared in the study file: {declared} ({len(scores.family)}). "
    return told + (
        "Every arm is also held against the best floor, the gate before it may be called good; "
        "Holm's correction runs within each kind."
    )


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
