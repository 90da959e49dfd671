"""Tests of one paired difference; `vidclass.report.comparisons` chooses among them.

Legend: S seeds, N videos, G groups, P patterns of signs.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from vidclass.report.intervals import LEVEL
from vidclass.report.runs import (
    MEANS,
    ArmRuns,
    Float64,
    SeedVariance,
    group_variance,
    satterthwaite,
)
from vidclass.training.scoring import Metric

__all__ = ["PairedTest", "mcnemar", "sign_flip_test", "t_test", "tango_interval"]

MAX_EXACT_GROUPS = 14
NUM_SIGN_DRAWS = 20_000
ONE_RUN = "one run each, spread over seeds not covered"


@dataclass(frozen=True)
class PairedTest:
    """Bounds, p, method in words, degrees of freedom of a t, standard error."""

    low: float | None
    high: float | None
    p: float
    method: str
    df: float | None
    error: float


def t_test(
    difference: float,
    linear_N: Float64,
    a: ArmRuns,
    seeds_a: SeedVariance,
    seeds_b: SeedVariance,
    own: bool,
) -> PairedTest:
    """Return Student's t with variance = groups + seeds of A + seeds of B.

    Args:
        difference: of the mean scores.
        linear_N: what each video adds to it (`ArmRuns.linear_SN`, A minus B, mean over seeds).
        a: one of the arms, for its groups.
        seeds_a: seed variance of A's mean; with no degrees of freedom where it is known to be 0.
        seeds_b: the same of B.
        own: whether the two were estimated from different runs.
    """
    groups, df_groups = group_variance(linear_N, a.group_N)
    parts = [(groups, df_groups), (seeds_a.variance, seeds_a.df), (seeds_b.variance, seeds_b.df)]
    if not own:
        # one pooled estimate serves both: their sum has its degrees of freedom, not twice as many
        df = min(d for d in (seeds_a.df, seeds_b.df) if d)
        parts = [(groups, df_groups), (seeds_a.variance + seeds_b.variance, df)]
    error = math.sqrt(sum(variance for variance, _ in parts)) if df_groups else math.nan
    df_t = satterthwaite(parts)
    if not (math.isfinite(error) and math.isfinite(df_t)):
        return PairedTest(None, None, 1.0, "not estimable: one group", None, math.nan)
    half = float(special.stdtrit(df_t, (1 + LEVEL) / 2)) * error
    p = 2 * float(special.stdtr(df_t, -abs(difference) / error))
    told = "own" if own else f"pooled, {min(d for d in (seeds_a.df, seeds_b.df) if d)} df"
    method = f"t over groups and seeds (seed variance {told})"
    return PairedTest(*_clip(difference - half, difference + half), p, method, df_t, error)


def _clip(low: float, high: float) -> tuple[float, float]:
    return max(-1.0, low), min(1.0, high)


def sign_flip_test(
    difference: float, linear_N: Float64, a: ArmRuns, metric: Metric, note: str = ONE_RUN
) -> PairedTest:
    """Return the group sign-flip test and, for a mean over videos, the interval by its inversion.

    A shift is kept when at least 5 % of the sign patterns give a total as far from 0 as the
    observed one. Each pattern keeps the shifts between the mean of the groups that it turns and the
    mean of those that it leaves, so that the interval is read off the sorted ends. For F1 and
    average precision the interval is a t over groups.
    """
    codes_N, size_G = np.unique(a.group_N, return_inverse=True, return_counts=True)[1:]
    share_G = size_G / len(linear_N)
    shift_G = np.bincount(codes_N, weights=linear_N) + difference * share_G
    sum_P, weight_P, drawn = _turned(shift_G, share_G)
    p = float(np.mean(np.abs(shift_G.sum() - 2 * sum_P) >= abs(difference) - 1e-12))
    variance, df = group_variance(linear_N, a.group_N)
    error = math.sqrt(variance) if df else math.nan
    told = f"{drawn:,} draws" if drawn else f"all {2 ** len(size_G):,} patterns"
    method = "; ".join(part for part in (f"group sign-flip test ({told})", note) if part)
    if metric in MEANS:
        low, high = _kept_shifts(sum_P, weight_P, float(shift_G.sum()))
    else:
        half = float(special.stdtrit(max(df, 1.0), (1 + LEVEL) / 2)) * error
        low, high = difference - half, difference + half
    return PairedTest(*_clip(low, high), p, method, None, error)


def _turned(shift_G: Float64, share_G: Float64) -> tuple[Float64, Float64, int]:
    """Return sum and weight of the turned groups of each pattern, and how many were drawn (0: all).

    The first pattern turns none. A pattern and its opposite give the same distance from 0, so that
    half of them say all.
    """
    num_groups = len(shift_G)
    both_G2 = np.stack([shift_G, share_G], axis=1)
    if num_groups <= MAX_EXACT_GROUPS:
        patterns_P = np.arange(2 ** (num_groups - 1))
        bits_PG = (patterns_P[:, None] >> np.arange(num_groups)) & 1
        both_P2 = bits_PG @ both_G2
        return both_P2[:, 0], both_P2[:, 1], 0
    generator = np.random.default_rng(0)
    parts = [np.zeros((1, 2))]
    for _ in range(20):  # in parts: all draws of 4,000 groups would fill the memory
        bits_PG = generator.integers(0, 2, (NUM_SIGN_DRAWS // 20, num_groups), dtype=np.int8)
        parts.append(bits_PG @ both_G2)
    both_P2 = np.concatenate(parts)
    return both_P2[:, 0], both_P2[:, 1], NUM_SIGN_DRAWS


def _kept_shifts(sum_P: Float64, weight_P: Float64, total: float) -> tuple[float, float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        turned_P, left_P = sum_P / weight_P, (total - sum_P) / (1 - weight_P)
    trivial_P = (weight_P < 1e-12) | (weight_P > 1 - 1e-12)  # turns nothing: keeps every shift
    low_P = np.where(trivial_P, -np.inf, np.fmin(turned_P, left_P))
    high_P = np.where(trivial_P, np.inf, np.fmax(turned_P, left_P))
    at = int((1 - LEVEL) * len(sum_P) + 1e-9)
    return float(np.sort(low_P)[at]), float(-np.sort(-high_P)[at])


def mcnemar(difference_N: Float64, note: str = ONE_RUN) -> PairedTest:
    """Return McNemar's exact test (1947) of differences -1, 0 or 1 of independent videos."""
    only_a, only_b = int((difference_N > 0).sum()), int((difference_N < 0).sum())
    num = len(difference_N)
    p = float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    low, high = tango_interval(only_a, only_b, num)
    method = "; ".join(part for part in ("exact McNemar test", note) if part)
    error = math.sqrt(max(only_a + only_b - (only_a - only_b) ** 2 / num, 1.0)) / num
    return PairedTest(low, high, p, method, None, error)


def tango_interval(only_a: int, only_b: int, num: int) -> tuple[float, float]:
    """Return the score interval of a paired difference of proportions (Tango, 1998)."""
    critical = float(special.ndtri((1 + LEVEL) / 2))

    def score(shift: float) -> float:
        linear = -only_a - only_b + (2 * num - only_a + only_b) * shift
        rest = -only_b * shift * (1 - shift)
        share = (math.sqrt(max(linear**2 - 8 * num * rest, 0.0)) - linear) / (4 * num)
        variance = num * (2 * share + shift * (1 - shift))
        return (only_a - only_b - num * shift) / math.sqrt(max(variance, 1e-12))

    middle, edge = (only_a - only_b) / num, 1 - 1e-9
    low = -1.0
    if score(-edge) > critical:
        low = float(optimize.brentq(lambda x: score(x) - critical, -edge, middle))
    high = 1.0
    if score(edge) < -critical:
        high = float(optimize.brentq(lambda x: score(x) + critical, middle, edge))
    return low, high
