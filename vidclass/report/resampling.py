"""Intervals of scores that are no means (F1, average precision).

Groups are resampled (measurement.md 5). With few of them that covers too little: of 200 simulated
data sets of three overlapping classes, the mean average precision was held by 0.64 to 0.70 of the
intervals at 5 groups, 0.86 to 0.89 at 10 and 0.92 to 0.94 at 20. Student's t on the linearised
variance held it in 0.99, 0.92 to 0.97 and 0.96 to 0.97. So the hull of both is given.

Legend: S seeds, N samples (videos, or windows of them), G groups, D draws, K classes.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import special

from vidclass.report import several
from vidclass.report.intervals import (
    LEVEL,
    MIN_GROUPS,
    Interval,
    accuracy_interval,
    not_estimable,
    unknown_seeds,
)
from vidclass.report.runs import (
    MEANS,
    ArmRuns,
    Float64,
    Int64,
    SeedVariance,
    group_variance,
    satterthwaite,
    seed_variance,
)
from vidclass.training.balance import strata as rarest_class
from vidclass.training.scoring import Metric

__all__ = ["resampled_interval", "resampled_interval_of_several", "score_interval"]

NUM_DRAWS = 1000
CHUNK_DRAWS = 50  # so that the draws of many samples need not lie in memory at once

Statistic = Callable[[Int64, Int64], float]
"""(label_N, pred_N) -> score; NaN where it is not defined."""


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

    def of_draws(times_DN: Int64) -> Float64:
        rows_D = (np.repeat(np.arange(runs.num_samples), times_N) for times_N in times_DN)
        return np.array([_per_seed(runs, statistic, rows).mean() for rows in rows_D])

    estimate_S = _per_seed(runs, statistic, np.arange(runs.num_samples))
    return _resampled(runs, estimate_S, of_draws, pooled, level, seed)


def resampled_interval_of_several(
    runs: ArmRuns,
    metric: Metric,
    pooled: SeedVariance | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """Return the interval of a score where several classes may hold, by resampling groups.

    A group is drawn among those that have the same rarest class (fewest groups show it); a class
    that a draw misses is left out of its mean, see :mod:`vidclass.report.several`.

    Args:
        runs: the arm.
        metric: the score.
        pooled: seed variance of the score pooled over arms, used under three seeds.
        level: confidence.
        seed: of the draws.
    """
    label_NK = runs.labels > 0

    def of_draws(times_DN: Int64) -> Float64:
        times = times_DN.astype(np.float64)
        if metric == "mean_average_precision":
            assert runs.prob_SNK is not None, "average precision needs probabilities"
            found = [several.weighted_average_precision(label_NK, p, times) for p in runs.prob_SNK]
        elif metric == "macro_f1":
            found = [several.weighted_macro_f1(label_NK, said > 0, times) for said in runs.said]
        else:
            found = [several.weighted_exact_match(label_NK, said > 0, times) for said in runs.said]
        return np.asarray(np.mean(found, axis=0), dtype=np.float64)

    return _resampled(runs, runs.score_S(metric), of_draws, pooled, level, seed)


def _resampled(
    runs: ArmRuns,
    estimate_S: Float64,
    of_draws: Callable[[Int64], Float64],
    pooled: SeedVariance | None,
    level: float,
    seed: int,
) -> Interval:
    """Return the interval of a score from its values in draws of groups.

    Args:
        runs: the arm.
        estimate_S: the score of each seed.
        of_draws: how often each sample is drawn, ``[D, N]``, to the mean score over seeds, ``[D]``.
        pooled: seed variance of the score pooled over arms.
        level: confidence.
        seed: of the draws.
    """
    estimate = float(estimate_S.mean())
    method = f"{NUM_DRAWS} draws of groups within classes"
    if runs.num_groups < MIN_GROUPS or not math.isfinite(estimate):
        return not_estimable(runs, estimate, method)
    generator = np.random.default_rng(seed)
    codes_N = np.unique(runs.group_N, return_inverse=True)[1]
    strata = _strata(runs.labels, codes_N)
    parts_D = []
    for start in range(0, NUM_DRAWS, CHUNK_DRAWS):
        num = min(CHUNK_DRAWS, NUM_DRAWS - start)
        times_DG = np.stack([_draw_groups(strata, generator) for _ in range(num)])
        parts_D.append(of_draws(times_DG[:, codes_N]))
    draws = np.concatenate(parts_D)
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
        runs.num_samples,
        runs.num_seeds,
        df,
        unknown_seeds(seeds),
    )


def _per_seed(runs: ArmRuns, statistic: Statistic, rows: npt.NDArray[np.intp]) -> Float64:
    label_N = runs.labels[rows]
    return np.array([statistic(label_N, pred_N[rows]) for pred_N in runs.said])


def _seeds_of_statistic(
    runs: ArmRuns, estimate_S: Float64, pooled: SeedVariance | None
) -> SeedVariance | None:
    if runs.deterministic:
        return SeedVariance(0.0, 0)
    if runs.num_seeds > 2 or (pooled is None and runs.num_seeds == 2):
        variance = float(estimate_S.var(ddof=1)) / runs.num_seeds
        return SeedVariance(variance, runs.num_seeds - 1)
    return SeedVariance(pooled.variance / runs.num_seeds, pooled.df) if pooled else None


def _strata(labels: Int64, codes_N: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    """Return the groups of each stratum; ``codes_N`` counts groups from 0."""
    num_groups = int(codes_N.max()) + 1
    if labels.ndim == 2:
        shown_GK = np.zeros((num_groups, labels.shape[1]), dtype=bool)
        np.logical_or.at(shown_GK, codes_N, labels > 0)
        return _by_key(rarest_class(shown_GK.astype(np.int64)))
    low_G = np.full(num_groups, np.iinfo(np.int64).max)
    high_G = np.full(num_groups, -1)
    np.minimum.at(low_G, codes_N, labels)
    np.maximum.at(high_G, codes_N, labels)
    return _by_key(np.where(low_G == high_G, low_G, -1))


def _by_key(key_G: Int64) -> list[npt.NDArray[np.intp]]:
    """Return the groups of each key; keys of a single group form one stratum with -1."""
    sizes = {key: int((key_G == key).sum()) for key in np.unique(key_G)}
    key_G = np.array([key if sizes[key] > 1 else -1 for key in key_G])
    return [np.flatnonzero(key_G == key) for key in np.unique(key_G)]


def _draw_groups(strata: list[npt.NDArray[np.intp]], generator: np.random.Generator) -> Int64:
    times_G = np.zeros(sum(len(stratum) for stratum in strata), dtype=np.int64)
    for stratum in strata:
        drawn = generator.integers(0, len(stratum), len(stratum))
        times_G[stratum] = np.bincount(drawn, minlength=len(stratum))
    return times_G


def _macro_f1(label_N: Int64, pred_N: Int64) -> float:
    num_classes = int(max(label_N.max(), pred_N.max())) + 1
    right_K = np.bincount(label_N[label_N == pred_N], minlength=num_classes)
    occurs_K = np.bincount(label_N, minlength=num_classes)
    occurs_K = occurs_K + np.bincount(pred_N, minlength=num_classes)
    return float((2 * right_K[occurs_K > 0] / occurs_K[occurs_K > 0]).mean())


def score_interval(
    runs: ArmRuns, metric: Metric, pooled: SeedVariance | None = None, level: float = LEVEL
) -> Interval:
    """Return the interval of the primary metric.

    For means the formula of Korn and Graubard. For the others what both resampling and a t over
    groups hold: resampling alone covers too little where groups are few (see the module).
    """
    if metric in MEANS:
        return accuracy_interval(runs, pooled, level)
    if runs.several:
        found = resampled_interval_of_several(runs, metric, pooled, level=level)
    else:
        found = resampled_interval(runs, _macro_f1, pooled, level=level)
    return _widened(found, runs, metric, pooled, level)


def _widened(
    found: Interval, runs: ArmRuns, metric: Metric, pooled: SeedVariance | None, level: float
) -> Interval:
    """Return the hull of ``found`` and Student's t on the linearised variance."""
    if found.low is None or found.high is None:
        return found
    seeds = seed_variance(runs, metric, pooled)
    parts = [group_variance(runs.linear_SN(metric).mean(axis=0), runs.group_N)]
    parts += [(seeds.variance, seeds.df)] if seeds else []
    half = math.sqrt(sum(variance for variance, _ in parts))
    half *= float(special.stdtrit(satterthwaite(parts), (1 + level) / 2))
    low, high = max(0.0, found.estimate - half), min(1.0, found.estimate + half)
    method = f"{found.method}, and t over groups: the wider"
    return replace(found, low=min(low, found.low), high=max(high, found.high), method=method)
