"""What else tells the label: its association with every column that is known of a video.

Where a column fixes the label (all of the injured were filmed on one day), no split and no model
can tell the two apart: the table says "not identifiable".

Association is Cramer's V for a column of few values and the correlation ratio of ranks for a
number, with the group as the unit: a jackknife that leaves out one group at a time (with over 100
groups, one of 100 sets of groups) takes off the bias that chance gives, and gives an interval. That
interval is too narrow where there is little association, so it is widened to the one of a
noncentral chi squared, whose number of independent rows follows from the bias.

Legend: N videos, B blocks of groups, R values of a column, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import optimize, stats

from vidclass.data.manifest import PROBE_COLUMNS, group_columns

__all__ = [
    "CONFOUND_COLUMNS",
    "Association",
    "association",
    "confound_facts",
    "confound_table",
    "confounding_columns",
]

CONFOUND_COLUMNS = ("column", "kind", "values", "association", "low", "high", "verdict", "fixed")
MOST_BLOCKS = 100
FEWEST_GROUPS, GROUPS_A_CLASS = 5, 2
"""With fewer groups, in all or for each class, no interval is estimable (measurement.md 5)."""
FEW_VALUES = 10
"""A number that takes no more values than these is treated as names (frame rates, sizes)."""
MOST_CELLS = 20_000_000  # of the table that leaves out a block at a time
STRONG, WEAK = 0.5, 0.1
LEVEL = 0.95

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Association:
    """How much a column tells of the label: 0 nothing, 1 everything; bounds may be unknown."""

    estimate: float
    low: float | None
    high: float | None


def confounding_columns(videos: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of each video beside its pixels: probed figures, file type, columns."""
    known = videos[[*PROBE_COLUMNS, *group_columns(videos)]].copy()
    known.insert(0, "file_type", [PurePath(path).suffix.lower() for path in videos["path"]])
    return known


def confound_table(videos: pd.DataFrame) -> pd.DataFrame:
    """Return a row a column of `confounding_columns`: how far it tells the label.

    Args:
        videos: labelled, probed rows of a manifest; several rows for a video of several labels.

    Returns:
        ``CONFOUND_COLUMNS``, the strongest association first. ``fixed`` lists the classes that
        cannot be told from the column's values; ``verdict`` is ``not identifiable``, ``in part not
        identifiable``, ``strong``, ``some``, ``weak``, or why nothing can be said.
    """
    known = confounding_columns(videos)
    label_N, classes = pd.factorize(videos["label"].astype(str), sort=True)
    group_N = pd.factorize(videos["group"].astype(str), sort=True)[0]
    rows = [
        _row(name, known[name], label_N, group_N, [str(each) for each in classes])
        for name in known.columns
    ]
    table = pd.DataFrame(rows, columns=list(CONFOUND_COLUMNS))
    order = table["association"].fillna(-1.0)
    return table.iloc[np.argsort(-order, kind="stable")].reset_index(drop=True)


def confound_facts(videos: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of `confound_table` as plain values; figures that are not known are None."""
    table = confound_table(videos)
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def association(values: pd.Series, label_N: Int64, group_N: Int64) -> Association:
    """Return the association of one column with the label.

    Args:
        values: numbers or names; rows without a value are left out.
        label_N: class of each row.
        group_N: group of each row.
    """
    given = values.notna().to_numpy()
    kept, label_N = values[given], pd.factorize(label_N[given])[0]
    group_N = pd.factorize(group_N[given])[0]
    blocks, num_classes = group_N % MOST_BLOCKS, int(label_N.max()) + 1
    if _is_number(kept):
        share_B1 = _correlation_ratios(stats.rankdata(kept.astype("float64")), label_N, blocks)
        freedom, smaller = num_classes - 1, 1
    else:
        value_N, names = pd.factorize(kept.astype(str))
        share_B1 = _cramers(value_N, label_N, blocks)
        freedom = (num_classes - 1) * (len(names) - 1)
        smaller = min(num_classes, len(names)) - 1
    num_groups = int(group_N.max()) + 1
    bounds = _bounds(share_B1, freedom, smaller, num_groups, len(kept))
    unknown = num_groups < max(FEWEST_GROUPS, GROUPS_A_CLASS * num_classes)
    low, mid, high = np.sqrt(np.clip(bounds, 0.0, 1.0)).tolist()
    return Association(mid, None if unknown else low, None if unknown else high)


def _row(
    name: str, values: pd.Series, label_N: Int64, group_N: Int64, classes: Sequence[str]
) -> tuple[object, ...]:
    kind = "number" if _is_number(values.dropna()) else "names"
    num_values = int(values.nunique())
    nothing = (name, kind, num_values, np.nan, np.nan, np.nan)
    if num_values < 2:
        return (*nothing, "one value only" if num_values else "unknown", "")
    told = pd.factorize(values)[0]
    groups_of = pd.DataFrame({"value": told, "group": group_N})[told >= 0].drop_duplicates()
    if kind == "names" and not groups_of["value"].duplicated().any():
        return (*nothing, "each value in one group only", "")
    found = association(values, label_N, group_N)
    low = np.nan if found.low is None else found.low
    high = np.nan if found.high is None else found.high
    fixed = [] if kind == "number" else _fixed(told, label_N)
    if len(fixed) == len(classes):
        verdict = "not identifiable"
    elif fixed:
        verdict = "in part not identifiable"
    else:
        verdict = "strong" if found.estimate >= STRONG else "some"
        verdict = "weak" if found.estimate < WEAK else verdict
    names = ", ".join(classes[k] for k in fixed) if len(fixed) < len(classes) else "all classes"
    return (name, kind, num_values, found.estimate, low, high, verdict, names if fixed else "")


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and values.nunique() > FEW_VALUES


def _fixed(value_N: Int64, label_N: Int64) -> list[int]:
    """Return the classes whose values no other class has: the column tells them for certain."""
    pairs = pd.DataFrame({"value": value_N, "label": label_N})[value_N >= 0].drop_duplicates()
    alone = ~pairs["value"].duplicated(keep=False)
    certain = alone.groupby(pairs["label"]).all()
    return [int(str(label)) for label in certain.index[certain]]


def _cramers(value_N: Int64, label_N: Int64, block_N: Int64) -> Float64:
    """Return V squared of all rows, then of all but each block, ``[1 + B]``."""
    num_blocks = int(block_N.max()) + 1
    shape = (num_blocks, int(value_N.max()) + 1, int(label_N.max()) + 1)
    if np.prod(shape, dtype=np.float64) > MOST_CELLS:
        num_blocks = max(2, int(MOST_CELLS / (shape[1] * shape[2])))
        shape, block_N = (num_blocks, *shape[1:]), block_N % num_blocks
    table_BRK = np.zeros(shape)
    np.add.at(table_BRK, (block_N, value_N, label_N), 1)
    whole_RK = table_BRK.sum(axis=0)
    return np.array([_v_squared(whole_RK), *(_v_squared(whole_RK - part) for part in table_BRK)])


def _v_squared(table_RK: Float64) -> float:
    """Return Cramer's V squared of a table of counts."""
    table = table_RK[table_RK.sum(axis=1) > 0][:, table_RK.sum(axis=0) > 0]
    smaller = min(table.shape) - 1
    if smaller < 1:
        return 0.0
    total = table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / total
    return float(((table - expected) ** 2 / expected).sum() / total / smaller)


def _correlation_ratios(value_N: Float64, label_N: Int64, block_N: Int64) -> Float64:
    """Return the correlation ratio squared of all rows, then of all but each block."""
    shape = (int(block_N.max()) + 1, int(label_N.max()) + 1)
    sums = np.zeros((3, *shape))  # rows, values, squares
    for place, power in enumerate((0, 1, 2)):
        np.add.at(sums[place], (block_N, label_N), value_N**power)
    whole = sums.sum(axis=1)
    parts = [whole, *(whole - sums[:, block] for block in range(shape[0]))]
    return np.array([_ratio(*part) for part in parts])


def _ratio(count_K: Float64, sum_K: Float64, square_K: Float64) -> float:
    """Return the share of the variance that lies between classes."""
    seen = count_K > 0
    count_K, sum_K, square_K = count_K[seen], sum_K[seen], square_K[seen]
    centre = sum_K.sum() ** 2 / count_K.sum()
    total = square_K.sum() - centre
    return float(((sum_K**2 / count_K).sum() - centre) / total) if total > 0 else 0.0


def _bounds(
    share_B1: Float64, freedom: int, smaller: int, num_groups: int, num_rows: int
) -> tuple[float, float, float]:
    """Return the lower bound, estimate and upper bound of a share.

    Args:
        share_B1: the share of all rows, then without each block.
        freedom: degrees of freedom of chi squared.
        smaller: what chi squared over the number of rows is divided by to be the share.
        num_groups: independent groups.
        num_rows: rows.
    """
    whole, left_B = float(share_B1[0]), share_B1[1:]
    num = len(left_B)
    if num < 2 or freedom < 1:
        return whole, whole, whole
    bias = (num - 1) * (float(left_B.mean()) - whole)
    share = whole - bias
    error = float(np.sqrt((num - 1) / num * ((left_B - left_B.mean()) ** 2).sum()))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, num - 1)) * error
    # Under no association chi squared is freedom on average: so many independent rows there are.
    rows = float(np.clip(freedom / max(bias * smaller, 1e-12), num_groups / 2, num_rows))
    low, high = (found / (rows * smaller) for found in _noncentral(rows * smaller * whole, freedom))
    return min(share - reach, low), share, max(share + reach, high)


def _noncentral(chi2: float, freedom: int) -> tuple[float, float]:
    """Return the bounds of the noncentrality with which ``chi2`` is not unusual."""
    bounds = []
    for tail in ((1 + LEVEL) / 2, (1 - LEVEL) / 2):
        if stats.chi2.cdf(chi2, freedom) <= tail:
            bounds.append(0.0)
            continue
        most = chi2 + 10 * np.sqrt(chi2 + freedom) + 50

        def over(value: float, tail: float = tail) -> float:
            return float(stats.ncx2.cdf(chi2, freedom, value)) - tail

        bounds.append(float(optimize.brentq(over, 1e-9, most)))
    return bounds[0], bounds[1]
