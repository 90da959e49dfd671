"""Intervals of one arm's score, with the group of videos as the unit of independence.

- ``accuracy_interval``: Korn and Graubard (1998), a Clopper-Pearson interval on the effective
  number of videos; where each group is one video it is Clopper and Pearson's own (1934).
- ``equivalence``: whether a score is shown to lie below a bound (such as chance + 0.025).

Under ``MIN_GROUPS`` groups an interval is "not estimable": ``low`` and ``high`` are None and
``reason`` says why. Scores are shares in 0..1.

Legend: S seeds, N samples (videos, or windows of them), G groups, D draws, K classes.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from vidclass.report.runs import (
    PRIOR_CORRELATION,
    ArmRuns,
    SeedVariance,
    group_variance,
    satterthwaite,
    seed_variance,
)
from vidclass.training.scoring import Metric

__all__ = [
    "LEVEL",
    "MIN_GROUPS",
    "Equivalence",
    "Interval",
    "accuracy_interval",
    "clopper_pearson",
    "equivalence",
    "not_estimable",
    "unknown_seeds",
]

LEVEL = 0.95
"""Confidence of all intervals."""
MIN_GROUPS = 5
"""Under so many groups no interval is estimable (measurement.md 5)."""


@dataclass(frozen=True)
class Interval:
    """A score and what is known of it.

    Attributes:
        estimate: mean over seeds.
        low: lower bound, None where not estimable.
        high: upper bound, None where not estimable.
        method: how the bounds were found, in words.
        num_groups: independent groups behind it.
        num_samples: videos or windows behind it.
        num_seeds: runs of every sample.
        df: degrees of freedom of the variance; None where not estimable.
        reason: why there are no bounds, or what they do not cover; else empty.
    """

    estimate: float
    low: float | None
    high: float | None
    method: str
    num_groups: int
    num_samples: int
    num_seeds: int
    df: float | None = None
    reason: str = ""


def clopper_pearson(right: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact binomial interval (Clopper and Pearson, 1934); counts may be fractional."""
    tail = (1 - level) / 2
    low = special.betaincinv(right, trials - right + 1, tail) if right > 0 else 0.0
    high = special.betaincinv(right + 1, trials - right, 1 - tail) if right < trials else 1.0
    return float(low), float(high)


def not_estimable(runs: ArmRuns, estimate: float, method: str) -> Interval:
    """Return a score of too few groups, without bounds and with the reason."""
    reason = f"{runs.num_groups} groups; an interval needs {MIN_GROUPS}"
    return Interval(
        estimate,
        None,
        None,
        method,
        runs.num_groups,
        runs.num_samples,
        runs.num_seeds,
        None,
        reason,
    )


def unknown_seeds(seeds: SeedVariance | None) -> str:
    """Return what an interval does not cover where nothing tells the spread over seeds."""
    return "" if seeds else "one run: the spread over seeds is not covered"


def accuracy_interval(
    runs: ArmRuns, pooled: SeedVariance | None = None, level: float = LEVEL
) -> Interval:
    """Return the interval of an arm's accuracy (Korn and Graubard, 1998).

    The number of samples is divided by the design effect (variance over groups and seeds, against
    that of independent samples) and shrunk for the few degrees of freedom of that variance; it
    never exceeds the number of samples. The accuracy is the mean over seeds of a sample's
    correctness; where several classes may hold, a sample is right when all of them are.

    Args:
        runs: the arm.
        pooled: seed variance pooled over arms (`pooled_seed_variance`), used under three seeds.
        level: confidence.
    """
    method = "Korn-Graubard"
    metric: Metric = "exact_match" if runs.several else "accuracy"
    mean = runs.score(metric)
    if runs.num_groups < MIN_GROUPS:
        return not_estimable(runs, mean, method)
    seeds = seed_variance(runs, metric, pooled)
    linear_N = runs.linear_SN(metric).mean(axis=0)
    num = runs.num_samples
    simple = mean * (1 - mean) / (num - 1)
    parts: list[tuple[float, float]] = [group_variance(linear_N, runs.group_N, pseudo=0.0)]
    if seeds:
        parts.append((seeds.variance, seeds.df))
    df = satterthwaite(parts)
    df = df if math.isfinite(df) else parts[0][1]
    effect = _effect(runs, sum(v for v, _ in parts), simple)
    if runs.num_groups == num and runs.num_seeds == 1:
        method = "Clopper-Pearson"
    tail = (1 + level) / 2
    shrink = float(special.stdtrit(num - 1, tail) / special.stdtrit(min(df, num - 1), tail))
    effective = min(float(num), num / effect * shrink**2)
    low, high = clopper_pearson(mean * effective, effective, level)
    return Interval(
        mean,
        low,
        high,
        method,
        runs.num_groups,
        num,
        runs.num_seeds,
        df,
        unknown_seeds(seeds),
    )


def _effect(runs: ArmRuns, variance: float, simple: float) -> float:
    """Return the design effect; where nothing varies, that of the correlation to reckon with."""
    if simple > 0:
        return max(1.0, variance / simple)
    size_G = np.unique(runs.group_N, return_counts=True)[1]
    return 1 + (float(size_G @ size_G) / runs.num_samples - 1) * PRIOR_CORRELATION


@dataclass(frozen=True)
class Equivalence:
    """Whether a score was shown to lie below a bound; ``holds`` is None where it can't be told."""

    holds: bool | None
    bound: float
    sentence: str


def equivalence(interval: Interval, bound: float, name: str) -> Equivalence:
    """Return whether the upper bound of ``interval`` lies below ``bound``.

    "Its interval holds chance" would reward small test sets; this asks for evidence of absence.
    """
    if interval.high is None:
        told = f"{name} can't be compared with {100 * bound:.1f} %: {interval.reason}"
        return Equivalence(None, bound, told)
    holds = interval.high < bound
    verb = "is shown to lie below" if holds else "is not shown to lie below"
    told = (
        f"{name} {verb} {100 * bound:.1f} %: {100 * interval.estimate:.1f} %, "
        f"upper bound {100 * interval.high:.1f} %"
    )
    return Equivalence(holds, bound, told)
