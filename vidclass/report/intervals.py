"""Intervals of one arm's score, with the group of videos as the unit of independence.

- ``accuracy_interval``: Korn and Graubard (1998), a Clopper-Pearson interval on the effective
  number of videos; where each group is one video it is Clopper and Pearson's own (1934).
- ``resampled_interval``: F1, macro F1, average precision, by resampling groups.
- ``equivalence``: whether a score is shown to lie below a bound (such as chance + 0.025).

Under ``MIN_GROUPS`` groups an interval is "not estimable": ``low`` and ``high`` are None and
``reason`` says why. Scores are shares in 0..1.

Legend: S seeds, N videos, G groups, K classes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from vidclass.report.runs import (
    PRIOR_CORRELATION,
    ArmRuns,
    Float64,
    Int64,
    Metric,
    SeedVariance,
    group_variance,
    satterthwaite,
    seed_variance,
)

__all__ = [
    "LEVEL",
    "MIN_GROUPS",
    "Equivalence",
    "Interval",
    "accuracy_interval",
    "average_precision",
    "class_f1",
    "clopper_pearson",
    "equivalence",
    "resampled_interval",
    "score_interval",
]

LEVEL = 0.95
"""Confidence of all intervals."""
MIN_GROUPS = 5
"""Under so many groups no interval is estimable (measurement.md 5)."""
NUM_DRAWS = 1000

Statistic = Callable[[Int64, Int64, Float64 | None], float]
"""(label_N, pred_N, prob_NK or None) -> score; NaN where it is not defined."""


@dataclass(frozen=True)
class Interval:
    """A score and what is known of it.

    Attributes:
        estimate: mean over seeds.
        low: lower bound, None where not estimable.
        high: upper bound, None where not estimable.
        method: how the bounds were found, in words.
        num_groups: independent groups behind it.
        num_videos: videos behind it.
        num_seeds: runs of every video.
        df: degrees of freedom of the variance; None where not estimable.
        reason: why there are no bounds, or what they do not cover; else empty.
    """

    estimate: float
    low: float | None
    high: float | None
    method: str
    num_groups: int
    num_videos: int
    num_seeds: int
    df: float | None = None
    reason: str = ""


def clopper_pearson(right: float, trials: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact binomial interval (Clopper and Pearson, 1934); counts may be fractional."""
    tail = (1 - level) / 2
    low = special.betaincinv(right, trials - right + 1, tail) if right > 0 else 0.0
    high = special.betaincinv(right + 1, trials - right, 1 - tail) if right < trials else 1.0
    return float(low), float(high)


def _not_estimable(runs: ArmRuns, estimate: float, method: str) -> Interval:
    reason = f"{runs.num_groups} groups; an interval needs {MIN_GROUPS}"
    return Interval(
        estimate, None, None, method, runs.num_groups, runs.num_videos, runs.num_seeds, None, reason
    )


def _unknown_seeds(runs: ArmRuns, seeds: SeedVariance | None) -> str:
    return "" if seeds else "one run: the spread over seeds is not covered"


def accuracy_interval(
    runs: ArmRuns, pooled: SeedVariance | None = None, level: float = LEVEL
) -> Interval:
    """Return the interval of an arm's accuracy (Korn and Graubard, 1998).

    The number of videos is divided by the design effect (variance over groups and seeds, against
    that of independent videos) and shrunk for the few degrees of freedom of that variance; it never
    exceeds the number of videos. The accuracy is the mean over seeds of a video's correctness.

    Args:
        runs: the arm.
        pooled: seed variance pooled over arms (`pooled_seed_variance`), used under three seeds.
        level: confidence.
    """
    method = "Korn-Graubard"
    mean = runs.score("accuracy")
    if runs.num_groups < MIN_GROUPS:
        return _not_estimable(runs, mean, method)
    seeds = seed_variance(runs, "accuracy", pooled)
    linear_N = runs.linear_SN("accuracy").mean(axis=0)
    num = runs.num_videos
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
        _unknown_seeds(runs, seeds),
    )


def _effect(runs: ArmRuns, variance: float, simple: float) -> float:
    """Return the design effect; where nothing varies, that of the correlation to reckon with."""
    if simple > 0:
        return max(1.0, variance / simple)
    size_G = np.unique(runs.group_N, return_counts=True)[1]
    return 1 + (float(size_G @ size_G) / runs.num_videos - 1) * PRIOR_CORRELATION


def class_f1(target: int) -> Statistic:
    """Return the F1 of one class; NaN where a draw has neither its label nor its prediction."""

    def f1(label_N: Int64, pred_N: Int64, prob_NK: Float64 | None) -> float:
        is_label, is_pred = label_N == target, pred_N == target
        count = int(is_label.sum() + is_pred.sum())
        return 2 * int((is_label & is_pred).sum()) / count if count else math.nan

    return f1


def average_precision(label_N: Int64, pred_N: Int64, prob_NK: Float64 | None) -> float:
    """Return the mean over classes of average precision; a class without a label is left out.

    Equal probabilities form one step of the precision-recall curve.

    Raises:
        ValueError: when there are no probabilities.
    """
    if prob_NK is None:
        raise ValueError("average precision needs probabilities")
    found = []
    for k in np.unique(label_N):
        order = np.argsort(-prob_NK[:, k], kind="stable")
        hits = np.cumsum(label_N[order] == k)
        last = np.append(np.flatnonzero(np.diff(prob_NK[order, k])), len(order) - 1)
        precision = hits[last] / (last + 1)
        gained = np.diff(hits[last], prepend=0) / hits[-1]
        found.append(float(precision @ gained))
    return float(np.mean(found))


def resampled_interval(
    runs: ArmRuns,
    statistic: Statistic,
    pooled: SeedVariance | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the interval of any score by resampling groups within class-pure strata.

    Groups whose videos are all of one class are drawn within that class, so that no draw changes
    the mix of classes; groups of several classes form a stratum of their own, and so do the classes
    that have a single group. **Missing class**: a draw without any label of a class scores the
    classes that it has; a draw whose score is not defined is left out. Percentiles are widened for
    few groups and seeds (expanded percentiles: Hesterberg, 2015).

    Args:
        runs: the arm.
        statistic: the score.
        pooled: seed variance of the score pooled over arms, used under three seeds.
        level: confidence.
        seed: of the draws.
    """
    estimate_S = _per_seed(runs, statistic, np.arange(runs.num_videos))
    estimate = float(estimate_S.mean())
    method = f"{NUM_DRAWS} draws of groups within classes"
    if runs.num_groups < MIN_GROUPS or not math.isfinite(estimate):
        return _not_estimable(runs, estimate, method)
    generator = np.random.default_rng(seed)
    codes_N = np.unique(runs.group_N, return_inverse=True)[1]
    strata = _strata(runs.label_N, codes_N)
    draws = np.empty(NUM_DRAWS)
    for draw in range(NUM_DRAWS):
        times_G = _draw_groups(strata, generator)
        rows = np.repeat(np.arange(runs.num_videos), times_G[codes_N])
        draws[draw] = _per_seed(runs, statistic, rows).mean()
    draws = draws[np.isfinite(draws)]
    df_groups = runs.num_groups - len(strata)
    seeds = _seeds_of_statistic(runs, estimate_S, pooled)
    parts = [(float(draws.var(ddof=1)), df_groups)]
    if seeds:
        # the draws hold the seeds fixed: their spread is added
        draws = draws + generator.normal(0.0, math.sqrt(seeds.variance), len(draws))
        parts.append((seeds.variance, seeds.df))
    df = satterthwaite(parts)
    df = df if math.isfinite(df) else float(df_groups)
    correction = math.sqrt(runs.num_groups / max(df_groups, 1))
    tail = float(special.ndtr(correction * special.stdtrit(df, (1 - level) / 2)))
    low, high = np.clip(np.quantile(draws, [tail, 1 - tail]), 0.0, 1.0)
    return Interval(
        estimate,
        float(low),
        float(high),
        method,
        runs.num_groups,
        runs.num_videos,
        runs.num_seeds,
        df,
        _unknown_seeds(runs, seeds),
    )


def _per_seed(runs: ArmRuns, statistic: Statistic, rows: npt.NDArray[np.intp]) -> Float64:
    label_N = runs.label_N[rows]
    return np.array(
        [
            statistic(
                label_N,
                runs.pred_SN[s, rows],
                None if runs.prob_SNK is None else runs.prob_SNK[s, rows],
            )
            for s in range(runs.num_seeds)
        ]
    )


def _seeds_of_statistic(
    runs: ArmRuns, estimate_S: Float64, pooled: SeedVariance | None
) -> SeedVariance | None:
    if runs.deterministic:
        return SeedVariance(0.0, 0)
    if runs.num_seeds > 2 or (pooled is None and runs.num_seeds == 2):
        variance = float(estimate_S.var(ddof=1)) / runs.num_seeds
        return SeedVariance(variance, runs.num_seeds - 1)
    return SeedVariance(pooled.variance / runs.num_seeds, pooled.df) if pooled else None


def _strata(label_N: Int64, codes_N: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Return the groups of each stratum; ``codes_N`` counts groups from 0."""
    num_groups = int(codes_N.max()) + 1
    low_G = np.full(num_groups, np.iinfo(np.int64).max)
    high_G = np.full(num_groups, -1)
    np.minimum.at(low_G, codes_N, label_N)
    np.maximum.at(high_G, codes_N, label_N)
    key_G = np.where(low_G == high_G, low_G, -1)
    sizes = {key: int((key_G == key).sum()) for key in np.unique(key_G)}
    key_G = np.array([key if sizes[key] > 1 else -1 for key in key_G])
    return [np.flatnonzero(key_G == key) for key in np.unique(key_G)]


def _draw_groups(strata: list[npt.NDArray[np.intp]], generator: np.random.Generator) -> Int64:
    times_G = np.zeros(sum(len(stratum) for stratum in strata), dtype=np.int64)
    for stratum in strata:
        drawn = generator.integers(0, len(stratum), len(stratum))
        times_G[stratum] = np.bincount(drawn, minlength=len(stratum))
    return times_G


def _macro_f1(label_N: Int64, pred_N: Int64, prob_NK: Float64 | None) -> float:
    num_classes = int(max(label_N.max(), pred_N.max())) + 1
    right_K = np.bincount(label_N[label_N == pred_N], minlength=num_classes)
    occurs_K = np.bincount(label_N, minlength=num_classes)
    occurs_K = occurs_K + np.bincount(pred_N, minlength=num_classes)
    return float((2 * right_K[occurs_K > 0] / occurs_K[occurs_K > 0]).mean())


def score_interval(
    runs: ArmRuns, metric: Metric, pooled: SeedVariance | None = None, level: float = LEVEL
) -> Interval:
    """Return the interval of the primary metric: formula for accuracy, resampling for macro F1."""
    if metric == "accuracy":
        return accuracy_interval(runs, pooled, level)
    return resampled_interval(runs, _macro_f1, pooled, level=level)


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
