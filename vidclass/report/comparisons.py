"""Paired differences of arms: intervals, tests, the declared family with Holm's correction.

Three tests, by what the study has (measurement.md 5):

- **seeds**: variance of the difference = groups + seeds of A + seeds of B, Student's t with
  Satterthwaite's degrees of freedom. Under three seeds their variance is pooled over arms and
  folds.
- **one run each**: group sign-flip test (Fisher's randomisation of the sign of each group's
  difference), all patterns up to 14 groups, else drawn; the interval holds every shift that the
  test does not reject.
- **one run each, every group one video**: exact McNemar test, interval by Tango's score (1998).

No test may say more than the groups allow: p is never below `smallest_attainable_p`, and under
``MIN_GROUPS`` groups there is no interval. Differences are shares in -1..1, arm A minus arm B.

Use: ``runs = read_runs(table, deterministic=floors)``, then ``compare_family(runs, ...)`` for the
declared family, ``compare_with_floor(runs, ...)`` for the gate that every arm has to pass, and
``value_of_time``; `vidclass.report.verdict.verdict` puts them into a sentence.

Legend: N videos, G groups, P patterns of signs.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from vidclass.report.intervals import MIN_GROUPS
from vidclass.report.paired_tests import ONE_RUN, mcnemar, sign_flip_test, t_test
from vidclass.report.runs import (
    MEANS,
    MIN_OWN_SEEDS,
    ArmRuns,
    SeedVariance,
    pooled_seed_variance,
    seed_variance,
)
from vidclass.training.scoring import Metric

__all__ = [
    "ALPHA",
    "Comparison",
    "Family",
    "TimeValue",
    "best_floor",
    "compare",
    "compare_family",
    "compare_with_floor",
    "holm",
    "resolvable_difference",
    "smallest_attainable_p",
    "value_of_time",
]

ALPHA = 0.05
"""Level of all tests; a family's, after Holm."""
POWER = 0.8
"""Chance of detection at the resolvable difference."""

Family = Literal["all_pairs", "vs_control", "vs_best_floor"]


@dataclass(frozen=True)
class Comparison:
    """A paired difference, arm A minus arm B, on the videos that both have scored.

    Attributes:
        arm_a: first arm.
        arm_b: second arm.
        difference: of the mean scores.
        low: lower bound of the 95 % interval (not corrected for several comparisons), or None.
        high: upper bound, or None.
        p: two-sided.
        p_holm: after Holm's correction over its family; None outside of any.
        method: how, in words; says what is not covered.
        df: degrees of freedom of the t, None for other tests.
        num_groups: independent groups.
        num_samples: videos, or windows of them.
        num_seeds: seeds of the arm that has fewer (deterministic floors aside).
        primary: whether it belongs to the declared family; all else is exploratory.
        resolvable: difference that this test would detect with 80 % power, or None.
    """

    arm_a: str
    arm_b: str
    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float | None
    method: str
    df: float | None
    num_groups: int
    num_samples: int
    num_seeds: int
    primary: bool = False
    resolvable: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the difference is told from 0: by its interval and by its (corrected) p."""
        if self.low is None or self.high is None:
            return False
        p = self.p if self.p_holm is None else self.p_holm
        return (self.low > 0 or self.high < 0) and p < ALPHA

    def swapped(self) -> "Comparison":
        """Return the same comparison as arm B minus arm A."""
        return replace(
            self,
            arm_a=self.arm_b,
            arm_b=self.arm_a,
            difference=-self.difference,
            low=None if self.high is None else -self.high,
            high=None if self.low is None else -self.low,
        )


def compare(
    a: ArmRuns,
    b: ArmRuns,
    metric: Metric = "accuracy",
    pooled: SeedVariance | None = None,
    *,
    primary: bool = False,
) -> Comparison:
    """Return the paired difference of two arms.

    Args:
        a: first arm.
        b: second arm.
        metric: score that is compared.
        pooled: seed variance of the whole study (`pooled_seed_variance`); else that of the two.
        primary: whether the comparison was declared.

    Raises:
        ValueError: when the arms share no video.
    """
    a, b = _shared(a, b)
    pooled = pooled or pooled_seed_variance([a, b], metric)
    linear_N = a.linear_SN(metric).mean(axis=0) - b.linear_SN(metric).mean(axis=0)
    difference = a.score(metric) - b.score(metric)
    seeds_a, seeds_b = seed_variance(a, metric, pooled), seed_variance(b, metric, pooled)
    one_run = a.num_seeds == b.num_seeds == 1
    note = "" if a.deterministic and b.deterministic else ONE_RUN
    if seeds_a and seeds_b and not (a.deterministic and b.deterministic):
        test = t_test(difference, linear_N, a, seeds_a, seeds_b, _own(a, b))
    elif metric in MEANS and one_run and a.num_groups == a.num_samples:
        test = mcnemar(a.right_SN()[0] - b.right_SN()[0], note)
    else:
        test = sign_flip_test(difference, linear_N, a, metric, note)
    noisy = [runs.num_seeds for runs in (a, b) if not runs.deterministic]
    estimable = a.num_groups >= MIN_GROUPS
    df = test.df if test.df is not None else max(a.num_groups - 1, 1)
    factor = float(special.stdtrit(df, 1 - ALPHA / 2) + special.stdtrit(df, POWER))
    return Comparison(
        arm_a=a.arm,
        arm_b=b.arm,
        difference=difference,
        low=test.low if estimable else None,
        high=test.high if estimable else None,
        p=min(1.0, max(test.p, smallest_attainable_p(a.num_groups))),
        p_holm=None,
        method=test.method,
        df=test.df,
        num_groups=a.num_groups,
        num_samples=a.num_samples,
        num_seeds=min(noisy, default=1),
        primary=primary,
        resolvable=min(1.0, factor * test.error) if estimable else None,
    )


def _shared(a: ArmRuns, b: ArmRuns) -> tuple[ArmRuns, ArmRuns]:
    same = a.sample_id_N is b.sample_id_N or np.array_equal(a.sample_id_N, b.sample_id_N)
    if not same:
        a = a.only(np.isin(a.sample_id_N, b.sample_id_N))
        b = b.only(np.isin(b.sample_id_N, a.sample_id_N))
    if not a.num_samples:
        raise ValueError(f"{a.arm} and {b.arm} have scored no video in common")
    return a, b


def _own(a: ArmRuns, b: ArmRuns) -> bool:
    """Return whether the seed variances of both are their own, and so independent."""
    return all(runs.deterministic or runs.num_seeds >= MIN_OWN_SEEDS for runs in (a, b))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values after Holm's correction (1979), in the order given."""
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def _corrected(found: list[Comparison]) -> list[Comparison]:
    adjusted = holm([each.p for each in found])
    return [replace(each, p_holm=p) for each, p in zip(found, adjusted, strict=True)]


def best_floor(runs: Mapping[str, ArmRuns], floors: Iterable[str], metric: Metric) -> str | None:
    """Return the floor with the highest score, None when no floor was scored."""
    there = [name for name in floors if name in runs]
    return max(there, key=lambda name: runs[name].score(metric), default=None)


def compare_family(
    runs: Mapping[str, ArmRuns],
    arms: Sequence[str],
    family: Family,
    *,
    metric: Metric = "accuracy",
    control: str | None = None,
    floors: Sequence[str] = (),
) -> list[Comparison]:
    """Return the declared comparisons with Holm's p.

    Args:
        runs: arms and floors.
        arms: names of the arms that are compared; those without predictions are left out.
        family: all pairs, each arm against ``control``, or each arm against the best floor.
        metric: primary score.
        control: the control arm of vs_control.
        floors: names of the floors, for vs_best_floor.
    """
    there = [name for name in arms if name in runs]
    if family == "vs_best_floor":
        gate = compare_with_floor(runs, arms, floors, metric)
        return [replace(each, primary=True) for each in gate]
    if family == "vs_control":
        pairs = [(name, control) for name in there if name != control]
        pairs = pairs if control in runs else []
    else:
        pairs = [(a, b) for i, a in enumerate(there) for b in there[i + 1 :]]
    pooled = pooled_seed_variance([runs[name] for name in there], metric)
    found = [compare(runs[a], runs[str(b)], metric, pooled, primary=True) for a, b in pairs]
    return _corrected(found)


def compare_with_floor(
    runs: Mapping[str, ArmRuns],
    arms: Sequence[str],
    floors: Sequence[str],
    metric: Metric = "accuracy",
) -> list[Comparison]:
    """Return every arm minus the best floor, the gate before an arm may be called good.

    Holm's correction runs over the arms. The best floor is chosen on the same videos, which
    flatters it: the gate errs to the strict side.
    """
    floor = best_floor(runs, floors, metric)
    if floor is None:
        return []
    there = [name for name in arms if name in runs]
    pooled = pooled_seed_variance([runs[name] for name in there], metric)
    return _corrected([compare(runs[name], runs[floor], metric, pooled) for name in there])


@dataclass(frozen=True)
class TimeValue:
    """What the order of frames is worth to an arm; exploratory unless declared.

    Attributes:
        minus_shuffled: the arm minus the same arm trained and tested on shuffled frames; None where
            that was not run. Arms that can't see order have the value 0 by definition.
        minus_bag: the arm minus the order-free bag-of-frames floor; None where that was not scored.
    """

    minus_shuffled: Comparison | None
    minus_bag: Comparison | None


def value_of_time(
    kept: ArmRuns,
    shuffled: ArmRuns | None,
    bag: ArmRuns | None,
    metric: Metric = "accuracy",
    pooled: SeedVariance | None = None,
) -> TimeValue:
    """Return the arm's value of time, paired on videos, seeds of both included."""
    return TimeValue(
        compare(kept, shuffled, metric, pooled) if shuffled else None,
        compare(kept, bag, metric, pooled) if bag else None,
    )


def smallest_attainable_p(num_groups: int) -> float:
    """Return the smallest two-sided p that signs of ``num_groups`` groups can give: 2^(1-G)."""
    return 2.0 ** (1 - max(num_groups, 1))


def resolvable_difference(
    num_groups: int,
    discordance: float,
    *,
    videos_per_group: float = 1.0,
    correlation: float = 1.0,
    num_comparisons: int = 1,
) -> float:
    """Return the difference that a paired test over groups detects with 80 % power, in 0..1.

    Seeds are not in it: it is a bound from the test set alone. 1.0 where no p can get below the
    level (after Bonferroni for ``num_comparisons``).

    Args:
        num_groups: test groups.
        discordance: share of videos on which exactly one arm is right.
        videos_per_group: mean size of a group.
        correlation: of disagreements within a group; 1 counts a group as one video.
        num_comparisons: size of the family.
    """
    level = ALPHA / max(num_comparisons, 1)
    if num_groups < 2 or smallest_attainable_p(num_groups) >= level:
        return 1.0
    inflation = (1 + (videos_per_group - 1) * correlation) / videos_per_group
    error = math.sqrt(discordance * inflation / num_groups)
    df = num_groups - 1
    return min(1.0, error * float(special.stdtrit(df, 1 - level / 2) + special.stdtrit(df, POWER)))
