"""What is wrong with intervals, and how it may be mended: each row that is touched is told.

| problem | what it is | how it is repaired |
|---|---|---|
| reversed | ends before it starts | start and end change places |
| empty | has no length | kept as a point event, which marks the one frame shown then |
| duplicate | the same row again | the later one is dropped |
| outside | reaches beyond the video | cut off where the video ends; dropped when nothing is left |
| overlapping | shares time with another label (multiclass) | the one that starts later holds |
| unlabelled | a row without label | its time counts as not looked at |
| unlabelled | time without a row (multiclass) | the same, or a background label is given to it |
| unreadable | its video does not open | all rows of the video are left out |

Where two start at once, the shorter holds; of equals the later row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vidclass.data.annotations import (
    ROUNDING_S,
    SOURCE_COLUMN,
    Task,
    described_rows,
    new_annotations,
    overlaps,
)
from vidclass.data.tables import told
from vidclass.data.timecodes import format_time_s
from vidclass.errors import UserError

__all__ = ["PROBLEMS", "REPORT_COLUMNS", "Policy", "apply_policy", "refusals", "unreadable_report"]

PROBLEMS = ("reversed", "empty", "duplicate", "outside", "overlapping", "unlabelled", "unreadable")
REPORT_COLUMNS = (
    "source",
    "video",
    "problem",
    "time_start",
    "time_end",
    "label",
    "action",
)
REFUSED = "refused"
_PLACE = ("source", "video", "time_start", "time_end", "label")


@dataclass(frozen=True)
class Policy:
    """Which problems are repaired; all others are refused.

    Args:
        repair: some of ``PROBLEMS``.
        background: the label of time that has none; None leaves it unlabelled.
    """

    repair: frozenset[str] = frozenset()
    background: str | None = None

    @classmethod
    def of(cls, names: Iterable[str], background: str | None) -> "Policy":
        """Return the policy that ``names`` say; ``all`` stands for every problem.

        Raises:
            UserError: when a name is no problem.
        """
        given = set(names)
        unknown = sorted(given - {*PROBLEMS, "all"})
        if unknown:
            raise UserError(
                "what can be repaired is known", ", ".join(unknown), f"{', '.join(PROBLEMS)}, all"
            )
        repaired = frozenset(PROBLEMS if "all" in given else given)
        return cls(repaired | ({"unlabelled"} if background is not None else set()), background)


class _Report:
    """Collects the rows that are touched."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.rows: list[tuple[object, ...]] = []

    def tell(self, problem: str, row: pd.Series, where: str, action: str) -> None:
        done = action if problem in self._policy.repair else REFUSED
        times = [format_time_s(max(row[edge], 0.0)) for edge in ("start_s", "end_s")]
        self.rows.append((where, row["video_id"], problem, *times, row["label"], done))


def apply_policy(
    annotations: pd.DataFrame,
    policy: Policy,
    task: Task,
    durations_s: Mapping[str, float] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the intervals as ``policy`` repairs them, and a report of every row touched.

    Rows of a problem that is not repaired stay as they are and are ``refused`` in the report; see
    :func:`refusals`. Overlaps and time without a row are looked for within one annotator.

    Args:
        annotations: interval table.
        policy: what is repaired.
        task: overlaps and time without a row are problems where one label holds at a time.
        durations_s: of the videos, where they are known.
    """
    report = _Report(policy)
    rows = new_annotations(annotations)
    rows[SOURCE_COLUMN] = described_rows(rows)
    rows = _reversed(rows, policy, report)
    rows = _repeated(rows, policy, report)
    rows = _outside(rows, durations_s or {}, policy, report)
    _empty(rows, report)
    for row in rows[rows["label"].isna()].itertuples(index=False):
        _tell(report, "unlabelled", row, "left out: nobody looked there")
    parts = []
    for _, own in rows.groupby(["video_id", "annotator"], sort=True, dropna=False):
        if task == "multiclass":
            own = _cut(own, policy, report)
        if task == "multiclass" or policy.background is not None:
            own = _filled(own, durations_s or {}, policy, report)
        parts.append(own)
    rows = pd.concat(parts, ignore_index=True) if parts else rows
    told_rows = pd.DataFrame(report.rows, columns=list(REPORT_COLUMNS), dtype=object)
    return new_annotations(rows), told_rows


def unreadable_report(rows: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    """Return the report of intervals whose video does not open.

    Args:
        rows: interval table of such videos.
        policy: what is repaired.
    """
    report = _Report(policy)
    rows = new_annotations(rows)
    rows[SOURCE_COLUMN] = described_rows(rows)
    for row in rows.itertuples(index=False):
        _tell(report, "unreadable", row, "left out: the video does not open")
    return pd.DataFrame(report.rows, columns=list(REPORT_COLUMNS), dtype=object)


def refusals(report: pd.DataFrame) -> list[UserError]:
    """Return one error for each problem that the report refuses, naming its rows."""
    refused = report[report["action"] == REFUSED]
    errors = []
    for problem in PROBLEMS:
        rows = refused[refused["problem"] == problem]
        if rows.empty:
            continue
        places = [
            f"{source} ({video} {start} to {end}{', ' + label if label else ''})"
            for source, video, start, end, label in zip(
                *(rows[name].tolist() for name in _PLACE), strict=True
            )
        ]
        errors.append(
            UserError(f"no interval is {problem}", told(places), f"mend it, or --repair {problem}")
        )
    return errors


def _tell(report: _Report, problem: str, row: object, action: str) -> None:
    values = pd.Series(row._asdict())  # type: ignore[attr-defined]
    report.tell(problem, values, values[SOURCE_COLUMN], action)


def _reversed(rows: pd.DataFrame, policy: Policy, report: _Report) -> pd.DataFrame:
    wrong = rows["start_s"] > rows["end_s"]
    for row in rows[wrong].itertuples(index=False):
        _tell(report, "reversed", row, "start and end changed places")
    if "reversed" in policy.repair:
        edges = rows.loc[wrong, ["end_s", "start_s"]].to_numpy()
        rows.loc[wrong, ["start_s", "end_s"]] = edges
    return rows


def _repeated(rows: pd.DataFrame, policy: Policy, report: _Report) -> pd.DataFrame:
    again = rows.drop(columns=SOURCE_COLUMN).duplicated()
    for row in rows[again].itertuples(index=False):
        _tell(report, "duplicate", row, "dropped")
    return rows[~again] if "duplicate" in policy.repair else rows


def _outside(
    rows: pd.DataFrame, durations_s: Mapping[str, float], policy: Policy, report: _Report
) -> pd.DataFrame:
    limit = rows["video_id"].map(lambda video_id: durations_s.get(video_id, np.inf)).astype(float)
    late = rows["end_s"] > limit + ROUNDING_S
    gone = rows["start_s"] >= limit - ROUNDING_S
    for wrong, action in ((late & ~gone, "cut off where the video ends"), (gone, "dropped")):
        for row in rows[wrong].itertuples(index=False):
            _tell(report, "outside", row, action)
    if "outside" not in policy.repair:
        return rows
    rows = rows.assign(end_s=rows["end_s"].where(~late, limit))
    return rows[~gone]


def _empty(rows: pd.DataFrame, report: _Report) -> None:
    """Tell of rows without length; they are point events already, so there is nothing to mend."""
    for row in rows[rows["start_s"] == rows["end_s"]].itertuples(index=False):
        _tell(report, "empty", row, "kept as a point event: marks one frame")


def _cut(rows: pd.DataFrame, policy: Policy, report: _Report) -> pd.DataFrame:
    """Return the rows of one video and annotator so that one label holds at a time."""
    pairs = overlaps(rows)
    if not pairs:
        return rows
    start, end = rows["start_s"].to_numpy(), rows["end_s"].to_numpy()
    above: dict[int, list[int]] = {}
    for m, n in pairs:
        lower, upper = sorted((m, n), key=lambda k: (start[k], -end[k], k))
        above.setdefault(lower, []).append(upper)
    source = rows[SOURCE_COLUMN].tolist()
    kept: list[tuple[int, float, float]] = []
    for k, row in enumerate(rows.itertuples(index=False)):
        left = [(start[k], end[k])]
        for n in above.get(k, []):
            left = [part for whole in left for part in _minus(whole, (start[n], end[n]))]
        if k in above:
            spans = ", ".join(f"{format_time_s(a)} to {format_time_s(b)}" for a, b in left)
            others = ", ".join(source[n] for n in above[k])
            done = f"cut to {spans}" if left else "dropped"
            _tell(report, "overlapping", row, f"{done}: {others} holds")
        kept += [(k, a, b) for a, b in left]
    if "overlapping" not in policy.repair:
        return rows
    positions, starts, ends = zip(*kept, strict=True)
    return rows.iloc[list(positions)].assign(start_s=starts, end_s=ends)


def _minus(whole: tuple[float, float], other: tuple[float, float]) -> list[tuple[float, float]]:
    before = (whole[0], min(whole[1], other[0]))
    after = (max(whole[0], other[1]), whole[1])
    return [part for part in (before, after) if part[1] - part[0] > ROUNDING_S / 2]


def _filled(
    rows: pd.DataFrame, durations_s: Mapping[str, float], policy: Policy, report: _Report
) -> pd.DataFrame:
    """Tell of time without a row in one video, and give it to the background label."""
    video_id = rows["video_id"].iloc[0]
    # A reversed row that is refused has its time, told already, and leaves no gap.
    spans = np.sort(rows[["start_s", "end_s"]].to_numpy(), axis=1)
    last = float(spans.max())
    begin, gaps = 0.0, []
    for start, end in spans[np.argsort(spans[:, 0], kind="stable")].tolist():
        if start > begin + ROUNDING_S:
            gaps.append((begin, start))
        begin = max(begin, end)
    if durations_s.get(video_id, last) > last + ROUNDING_S:
        gaps.append((last, durations_s[video_id]))
    if not gaps:
        return rows
    what = "left unlabelled" if policy.background is None else f"labelled {policy.background}"
    found = pd.DataFrame(gaps, columns=["start_s", "end_s"])
    found = found.assign(video_id=video_id, label=None, annotator=rows["annotator"].iloc[0])
    found[SOURCE_COLUMN] = "time without a row"
    found = found.reindex(columns=rows.columns).astype({"label": object})
    for row in found.itertuples(index=False):
        _tell(report, "unlabelled", row, what)
    return (
        rows
        if policy.background is None
        else pd.concat([rows, found.assign(label=policy.background)])
    )
