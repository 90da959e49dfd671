"""Simulated studies through the report's own functions: coverage, false winners, detection.

Run: python benchmarks/statistics_acceptance.py [--draws 400]; about four minutes on one core.
Acceptance (coverage of 95 % intervals at least 0.93, false winners at most 5 %) is checked with the
noise of the simulation allowed for: a cell fails that is significantly on the wrong side. The mean
over cells of equal groups has to hold without any allowance.

A video is right when mean + group + video + seed + noise > 0, all normal: groups and half of their
effect are common to the arms, videos are too; the latent group share is solved so that correctness
itself has the stated correlation (ICC).

Legend: S seeds, N videos, G groups.
"""

import argparse
import time
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from _hardware import write_result
from scipy import optimize, stats

from vidclass.report.comparisons import compare, compare_family, compare_with_floor
from vidclass.report.intervals import accuracy_interval
from vidclass.report.runs import ArmRuns, pooled_seed_variance
from vidclass.report.verdict import VerdictContext, verdict

GROUPS = (5, 7, 10, 20, 50)
ACCURACIES = (0.7, 0.95)
ICCS = (0.1, 0.3)
SEEDS = (2, 5)
SEED_SD = 0.02
VIDEOS_PER_GROUP = 20
GAPS = (0.02, 0.05, 0.10)
COMMON_GROUP_SHARE = 0.5
COMMON_VIDEO_SHARE = 0.3


@lru_cache(None)
def latent_share(accuracy: float, icc: float) -> float:
    """Return the latent variance share of groups that gives correctness the correlation ``icc``."""
    z = stats.norm.ppf(accuracy)

    def excess(share: float) -> float:
        both = stats.multivariate_normal.cdf([z, z], cov=[[1, share], [share, 1]])
        return (both - accuracy**2) / (accuracy * (1 - accuracy)) - icc

    return float(optimize.brentq(excess, 1e-6, 0.999))


def simulate(
    generator: np.random.Generator,
    accuracies: Sequence[float],
    *,
    icc: float,
    num_groups: int,
    num_seeds: int,
    seed_sd: float = SEED_SD,
    videos_per_group: int = VIDEOS_PER_GROUP,
    uneven: bool = False,
    floor: float | None = None,
) -> dict[str, ArmRuns]:
    """Return arms a0, a1, ... of the given expected accuracies, and maybe a deterministic floor."""
    sizes = np.full(num_groups, videos_per_group)
    if uneven:
        sizes = np.maximum(1, generator.geometric(1 / videos_per_group, num_groups))
    group_N = np.repeat(np.arange(num_groups), sizes)
    num = len(group_N)
    common_G, common_N = generator.normal(size=num_groups), generator.normal(size=num)
    arms = [(f"a{i}", value, num_seeds, seed_sd) for i, value in enumerate(accuracies)]
    if floor is not None:
        arms.append(("floor", floor, 1, 0.0))
    runs = {}
    for name, accuracy, seeds, sd in arms:
        share = latent_share(accuracy, icc)
        z = float(stats.norm.ppf(accuracy))
        shift = sd / float(stats.norm.pdf(z))
        own_G = generator.normal(size=num_groups)
        group_G = np.sqrt(COMMON_GROUP_SHARE) * common_G + np.sqrt(1 - COMMON_GROUP_SHARE) * own_G
        video = min(COMMON_VIDEO_SHARE, 1 - share)
        latent_SN = (
            z * np.sqrt(1 + shift**2)
            + np.sqrt(share) * group_G[group_N]
            + np.sqrt(video) * common_N
            + shift * generator.normal(size=(seeds, 1))
            + np.sqrt(max(1 - share - video, 0.0)) * generator.normal(size=(seeds, num))
        )
        runs[name] = ArmRuns(
            arm=name,
            sample_id_N=np.arange(num).astype(object),
            labels=np.ones(num, np.int64),
            said=(latent_SN > 0).astype(np.int64),
            group_N=group_N,
            fold_N=np.zeros(num, np.int64),
            deterministic=name == "floor",
        )
    return runs


def coverage(draws: int, seed: int = 0, groups: Sequence[int] = GROUPS) -> list[dict[str, Any]]:
    """Return how often intervals hold the truth: one arm, equal arms, arms five points apart."""
    rows = []
    cells = product(SEEDS, ACCURACIES, ICCS, groups, (False, True))
    for cell, (num_seeds, accuracy, icc, num_groups, uneven) in enumerate(cells):
        generator = np.random.default_rng([seed, cell])
        held = np.zeros(3)
        rejected = 0
        for _ in range(draws):
            runs = simulate(
                generator,
                [accuracy, accuracy, accuracy - 0.05],
                icc=icc,
                num_groups=num_groups,
                num_seeds=num_seeds,
                uneven=uneven,
            )
            pooled = pooled_seed_variance(runs, "accuracy")
            one = accuracy_interval(runs["a0"], pooled)
            same = compare(runs["a0"], runs["a1"], pooled=pooled)
            apart = compare(runs["a0"], runs["a2"], pooled=pooled)
            truths = [(one, accuracy), (same, 0.0), (apart, 0.05)]
            # with 5 groups and more there are always bounds
            held += [each.low <= truth <= each.high for each, truth in truths]
            rejected += same.excludes_zero
        shares = dict(zip(("one_arm", "equal_arms", "apart_5_points"), held / draws, strict=True))
        rows.append(
            {
                "groups": num_groups,
                "seeds": num_seeds,
                "accuracy": accuracy,
                "icc": icc,
                "uneven_groups": uneven,
                **{name: round(float(share), 4) for name, share in shares.items()},
                "false_rejection": round(rejected / draws, 4),
            }
        )
    return rows


def winners(draws: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return how often a verdict is wrong: any false winner, any false rejection in the family."""
    cases = {
        "five equal arms, floor equal": ([0.7] * 5, 0.7),
        "two equal arms far above three": ([0.8, 0.8, 0.5, 0.5, 0.5], 0.4),
        "one arm above four, floor equal to it": ([0.7, 0.5, 0.5, 0.5, 0.5], 0.7),
    }
    rows = []
    cells = product(cases.items(), (7, 10, 20, 50), SEEDS)
    for cell, ((case, (accuracies, floor)), num_groups, num_seeds) in enumerate(cells):
        generator = np.random.default_rng([seed, cell])
        wrong = rejected = 0
        for _ in range(draws):
            runs = simulate(
                generator,
                accuracies,
                icc=0.2,
                num_groups=num_groups,
                num_seeds=num_seeds,
                floor=floor,
            )
            arms = [name for name in runs if name != "floor"]
            family = compare_family(runs, arms, "all_pairs")
            gate = compare_with_floor(runs, arms, ["floor"])
            scores = {name: runs[name].score("accuracy") for name in arms}
            found = verdict(scores, family, gate, VerdictContext(num_groups, 6))
            wrong += found.winner is not None
            true = dict(zip(arms, accuracies, strict=True))
            rejected += any(
                each.excludes_zero for each in family if true[each.arm_a] == true[each.arm_b]
            )
        rows.append(
            {
                "case": case,
                "groups": num_groups,
                "seeds": num_seeds,
                "false_winner": round(wrong / draws, 4),
                "any_false_rejection": round(rejected / draws, 4),
            }
        )
    return rows


def detection(draws: int, seed: int = 2) -> list[dict[str, Any]]:
    """Return how often two arms some points apart are told apart, by groups and seeds."""
    sizes = ((10, 20), (20, 20), (50, 20), (200, 10), (2000, 1))
    rows = []
    cells = product(sizes, SEEDS, GAPS)
    for cell, ((num_groups, per_group), num_seeds, gap) in enumerate(cells):
        generator = np.random.default_rng([seed, cell])
        found = 0
        for _ in range(draws):
            runs = simulate(
                generator,
                [0.75, 0.75 - gap, 0.6, 0.6, 0.6],
                icc=0.1,
                num_groups=num_groups,
                num_seeds=num_seeds,
                videos_per_group=per_group,
            )
            family = compare_family(runs, list(runs), "all_pairs")
            found += family[0].excludes_zero and family[0].difference > 0
        rows.append(
            {
                "groups": num_groups,
                "videos_per_group": per_group,
                "seeds": num_seeds,
                "points": round(100 * gap),
                "detected": round(found / draws, 4),
            }
        )
    return rows


def allowed(limit: float, draws: int) -> float:
    """Return how far a figure may lie on the wrong side of ``limit`` by chance (one in 1,000)."""
    return 3.1 * float(np.sqrt(limit * (1 - limit) / draws))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows under the names of their columns."""
    print("  ".join(rows[0]))
    for row in rows:
        print("  ".join(f"{value!s:>{len(name)}}" for name, value in row.items()))
    print()


def main() -> None:
    """Run the simulations, print them and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=400)
    draws = parser.parse_args().draws
    started = time.perf_counter()
    covered, won, detected = coverage(draws), winners(draws), detection(draws // 2)
    names = ("one_arm", "equal_arms", "apart_5_points")
    by_groups = {
        f"{num_groups} groups{', uneven' if uneven else ''}": {
            name: round(float(np.mean([row[name] for row in rows])), 4) for name in names
        }
        for num_groups, uneven in product(GROUPS, (False, True))
        if (
            rows := [
                row
                for row in covered
                if row["groups"] == num_groups and row["uneven_groups"] == uneven
            ]
        )
    }
    low = {name: min(row[name] for row in covered) for name in names}
    mean = {name: round(sum(row[name] for row in covered) / len(covered), 4) for name in names}
    false_winner = max(row["false_winner"] for row in won)
    rejection = max(row["any_false_rejection"] for row in won)
    accepted = min(low.values()) >= 0.93 - allowed(0.93, draws)
    accepted = accepted and all(min(row.values()) >= 0.93 for row in by_groups.values())
    accepted = accepted and max(false_winner, rejection) <= 0.05 + allowed(0.05, draws)
    summary = {
        "draws": draws,
        "seed_sd": SEED_SD,
        "seconds": round(time.perf_counter() - started, 1),
        "accepted": accepted,
        "lowest_coverage": low,
        "mean_coverage": mean,
        "coverage_by_groups": by_groups,
        "largest_false_winner": false_winner,
        "largest_false_rejection": rejection,
        "cells_under_0.93": sum(row[name] < 0.93 for row in covered for name in names),
        "cells": len(covered) * len(names),
    }
    for rows in (covered, won, detected, [summary]):
        print_table(rows)
    payload = {**summary, "coverage": covered, "winners": won, "detection": detected}
    print(write_result("statistics_acceptance", payload).name)


if __name__ == "__main__":
    main()
