import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from vidclass.report.comparisons import (
    Comparison,
    best_floor,
    compare,
    compare_family,
    compare_with_floor,
    holm,
    resolvable_difference,
    smallest_attainable_p,
    value_of_time,
)
from vidclass.report.paired_tests import tango_interval
from vidclass.report.runs import ArmRuns
from vidclass.report.verdict import VerdictContext, verdict


def arm(right_SN: object, group_N: object = None, name: str = "a", fixed: bool = False) -> ArmRuns:
    """Two balanced classes; a wrong answer is the other class."""
    right = np.atleast_2d(np.asarray(right_SN, dtype=np.int64))
    num = right.shape[1]
    label = np.arange(num, dtype=np.int64) % 2
    return ArmRuns(
        arm=name,
        sample_id_N=np.arange(num).astype(object),
        labels=label,
        said=np.where(right == 1, label, 1 - label),
        group_N=np.arange(num) if group_N is None else np.asarray(group_N),
        fold_N=np.zeros(num, np.int64),
        deterministic=fixed,
    )


@pytest.fixture(scope="module")
def acceptance(repository: Path) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / "benchmarks")
        return importlib.import_module("statistics_acceptance")


@pytest.mark.parametrize(("groups", "p"), [(1, 1.0), (4, 0.125), (5, 0.0625), (11, 2**-10)])
def test_smallest_attainable_p(groups: int, p: float) -> None:
    assert smallest_attainable_p(groups) == p


def test_holm_steps_down_and_keeps_the_order() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_single_videos_are_tested_by_mcnemar() -> None:
    a, b = [1] * 10 + [0] * 3 + [1] * 60, [0] * 10 + [1] * 3 + [1] * 60
    found = compare(arm(a), arm(b, name="b"))
    assert found.p == pytest.approx(stats.binomtest(3, 13).pvalue)
    assert found.method.startswith("exact McNemar") and "not covered" in found.method
    assert found.low is not None and found.high is not None
    assert found.low < 7 / 73 < found.high


@pytest.mark.parametrize(("only_a", "only_b", "num"), [(12, 2, 100), (9, 8, 30), (5, 0, 200)])
def test_tango_bounds_are_where_the_score_under_the_best_fit_is_critical(
    only_a: int, only_b: int, num: int
) -> None:
    """The restricted fit is found here by search over the likelihood, not by the closed form."""
    for bound in tango_interval(only_a, only_b, num):
        share = np.linspace(max(0, -bound), (1 - bound) / 2, 400_001)[1:-1]
        fit = only_a * np.log(share + bound) + only_b * np.log(share)
        best = share[np.argmax(fit + (num - only_a - only_b) * np.log(1 - 2 * share - bound))]
        variance = num * (2 * best + bound - bound**2)
        score = (only_a - only_b - num * bound) / np.sqrt(variance)
        assert abs(score) == pytest.approx(1.96, abs=2e-3)


def test_sign_flip_enumerates_every_pattern() -> None:
    groups = np.repeat(np.arange(6), 3)
    found = compare(arm(np.ones(18), groups), arm(np.repeat([0, 0, 0, 0, 0, 0], 3), groups, "b"))
    assert found.p == smallest_attainable_p(6) == 2 / 64
    assert found.method.startswith("group sign-flip test (all 64 patterns)")


def test_sign_flip_interval_holds_the_shifts_that_its_test_keeps() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(9), generator.integers(3, 9, 9))
    a, b = generator.random((2, len(groups))) < np.array([[0.8], [0.55]])
    found = compare(arm(a, groups), arm(b, groups, "b"))
    difference = a.astype(float) - b
    signs = np.array(np.meshgrid(*[[1, -1]] * 9)).reshape(9, -1).T

    def p(shift: float) -> float:
        sums = np.bincount(groups, weights=difference - shift)
        return float(np.mean(np.abs(signs @ sums) >= abs(sums.sum()) - 1e-9))

    for bound, inwards in ((found.low, 1e-6), (found.high, -1e-6)):
        assert bound is not None
        assert p(bound + inwards) > 0.05 >= p(bound - inwards)
    assert found.p == pytest.approx(p(0.0))


def test_few_groups_can_neither_be_significant_nor_have_an_interval() -> None:
    groups = np.repeat(np.arange(4), 50)
    found = compare(arm(np.ones((5, 200)), groups), arm(np.zeros((5, 200)), groups, "b"))
    assert (found.low, found.high, found.p) == (None, None, 0.125)
    assert not found.excludes_zero


def test_with_seeds_the_variance_is_groups_plus_both_seeds() -> None:
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(40), 10)
    easy = generator.uniform(0.3, 1.0, 40)[groups]
    a = arm(generator.random((4, 400)) < easy - [[0.1], [0.05], [0.0], [-0.05]], groups)
    b = arm(generator.random((4, 400)) < easy[::-1], groups, "b")
    found = compare(a, b)
    per_group = (a.right_SN() - b.right_SN()).mean(axis=0).reshape(40, 10).mean(axis=1)
    parts = [
        (per_group.var(ddof=1) / 40, 39),
        (a.score_S("accuracy").var(ddof=1) / 4, 3),
        (b.score_S("accuracy").var(ddof=1) / 4, 3),
    ]
    total = sum(variance for variance, _ in parts)
    df = total**2 / sum(variance**2 / each for variance, each in parts)
    assert found.df == pytest.approx(df)
    half = stats.t.ppf(0.975, df) * np.sqrt(total)
    assert (found.low, found.high) == pytest.approx(
        (found.difference - half, found.difference + half)
    )
    assert found.num_seeds == 4


def test_two_seeds_print_the_pooled_degrees_of_freedom() -> None:
    generator = np.random.default_rng(2)
    runs = {n: arm(generator.random((2, 100)) < 0.7, name=n) for n in "abcd"}
    family = compare_family(runs, list("abcd"), "all_pairs")
    assert len(family) == 6 and all(each.primary for each in family)
    assert family[0].method == "t over groups and seeds (seed variance pooled, 4 df)"


def test_a_floor_that_cannot_vary_adds_no_seed_variance() -> None:
    generator = np.random.default_rng(3)
    seeded = arm(generator.random((5, 200)) < np.linspace(0.6, 0.8, 5)[:, None])
    floor = arm(generator.random(200) < 0.5, name="bag", fixed=True)
    varying = arm(floor.right_SN(), name="bag")
    fixed, unknown = compare(seeded, floor), compare(seeded, varying)
    assert fixed.low and unknown.low and fixed.low > unknown.low
    assert "own" in fixed.method and "pooled" in unknown.method


def test_arms_are_compared_on_the_videos_that_both_have() -> None:
    a = arm([1, 1, 1, 0, 0, 0, 1, 1])
    b = arm([1, 0, 1, 0, 1, 0, 1, 1], name="b").only(np.arange(8) > 1)
    assert compare(a, b).num_samples == 6
    with pytest.raises(ValueError, match="no video in common"):
        compare(a.only(np.arange(8) < 2), b)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_swapping_the_arms_swaps_the_interval(metric: str, seeds: int) -> None:
    generator = np.random.default_rng(4)
    groups = np.repeat(np.arange(12), 10)
    a = arm(generator.random((seeds, 120)) < 0.8, groups)
    b = arm(generator.random((seeds, 120)) < 0.6, groups, "b")
    one, other = compare(a, b, metric), compare(b, a, metric).swapped()  # type: ignore[arg-type]
    assert (one.low, one.high, one.p) == pytest.approx((other.low, other.high, other.p))
    assert one.low is not None and one.high is not None
    assert one.low < one.difference < one.high


def test_families() -> None:
    generator = np.random.default_rng(5)
    runs = {
        n: arm(generator.random((3, 90)) < q, name=n)
        for n, q in zip("abc", (0.9, 0.7, 0.7), strict=True)
    }
    runs["bag"] = arm(generator.random(90) < 0.5, name="bag", fixed=True)
    runs["majority"] = arm([1, 0] * 45, name="majority", fixed=True)
    floors = ["bag", "majority"]
    best = best_floor(runs, floors, "accuracy")
    control = compare_family(runs, list("abc"), "vs_control", control="c")
    assert [(each.arm_a, each.arm_b) for each in control] == [("a", "c"), ("b", "c")]
    against = compare_family(runs, list("abc"), "vs_best_floor", floors=floors)
    assert {each.arm_b for each in against} == {best} and len(against) == 3
    gate = compare_with_floor(runs, list("abc"), floors)
    assert not any(each.primary for each in gate)
    assert [each.p_holm for each in gate] == pytest.approx(holm([each.p for each in gate]))
    assert compare_with_floor(runs, list("abc"), []) == []


def test_value_of_time_is_paired_with_the_shuffled_arm_and_the_bag() -> None:
    generator = np.random.default_rng(6)
    kept = arm(generator.random((2, 300)) < 0.9, name="slow")
    shuffled = arm(generator.random((2, 300)) < 0.5, name="slow shuffled")
    found = value_of_time(kept, shuffled, None)
    assert found.minus_bag is None and found.minus_shuffled is not None
    assert found.minus_shuffled.difference == pytest.approx(0.4, abs=0.1)


def test_resolvable_difference_shrinks_with_groups_and_is_1_where_no_p_suffices() -> None:
    figures = [resolvable_difference(groups, 0.2) for groups in (5, 10, 40, 4000)]
    assert figures[0] == 1.0
    assert figures == sorted(figures, reverse=True)
    assert resolvable_difference(4000, 0.2) == pytest.approx(2.8 * np.sqrt(0.2 / 4000), rel=0.01)
    assert resolvable_difference(20, 0.2, num_comparisons=10) > resolvable_difference(20, 0.2)
    single = resolvable_difference(20, 0.2, videos_per_group=6, correlation=0.0)
    assert single < resolvable_difference(20, 0.2, videos_per_group=6, correlation=1.0)


def made(a: str, b: str, points: float, half: float, p: float = 0.01) -> Comparison:
    d = points / 100
    return Comparison(
        a, b, d, d - half / 100, d + half / 100, p, p, "t", 9.0, 40, 400, 5, True, 0.14
    )


CONTEXT = VerdictContext(num_groups=40, num_trials=30, unit="animals")


def test_a_winner_is_told_with_interval_p_and_limits() -> None:
    found = verdict(
        {"slow_fusion": 0.7, "bag_arm": 0.64},
        [made("bag_arm", "slow_fusion", -6.1, 4.1)],
        [made("slow_fusion", "metadata", 9.0, 4.0, 0.0004)],
        CONTEXT,
    )
    assert found.winner == "slow_fusion"
    assert found.sentence == (
        "Slow fusion beats bag arm by 6.1 points (95 % 2.0 to 10.2, p Holm 0.01), and the best "
        "floor, metadata, by 9.0 points (95 % 5.0 to 13.0, p Holm < 0.001) on these 40 animals "
        "under 30 trials an arm (these configurations)."
    )


def test_no_winner_says_what_could_have_been_resolved() -> None:
    found = verdict({"x": 0.7, "y": 0.66}, [made("x", "y", 4, 9, 0.4)], [], CONTEXT)
    assert found.winner is None
    assert found.sentence == (
        "No winner between x and y: this test resolves 14.0 points, observed 4.0 points."
    )


def test_a_tie_at_the_top_names_what_both_beat() -> None:
    scores = {"x": 0.9, "y": 0.88, "z": 0.5}
    family = [made("x", "y", 2, 5, 0.4), made("x", "z", 40, 5), made("y", "z", 38, 5)]
    gate = [made("x", "bag", 50, 5), made("y", "bag", 48, 5), made("z", "bag", 10, 5)]
    found = verdict(scores, family, gate, CONTEXT)
    assert found.sentence.startswith("No winner between x and y: ")
    assert found.sentence.endswith("; both beat z and the best floor (bag).")


def test_no_arm_wins_that_is_not_told_from_the_best_floor() -> None:
    family = [made("x", "y", 10, 5)]
    near = verdict({"x": 0.7, "y": 0.6}, family, [made("x", "metadata", 2, 6, 0.5)], CONTEXT)
    assert near.winner is None and "not told from" in near.sentence
    under = verdict({"x": 0.7, "y": 0.6}, family, [made("x", "metadata", -9, 4)], CONTEXT)
    assert under.winner is None and "9.0 points below the best floor" in under.sentence


def test_an_interval_beside_0_with_a_corrected_p_above_the_level_is_no_win() -> None:
    weak = replace(made("x", "y", 10, 5), p=0.01, p_holm=0.06)
    assert verdict({"x": 0.7, "y": 0.6}, [weak], [], CONTEXT).winner is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"groups_known": False}, "groups unknown: cuts of one recording may leak"),
        ({"num_folds": 5}, "5 outer folds: every video was tested once, out of fold"),
        ({"num_groups": 4}, "4 animals: no p can fall below 0.125, so that nothing"),
        ({"partial": True}, "the study has not ended"),
        ({"extended": True}, "extended after its test set had been scored"),
        ({}, "one split: another split may rank the arms differently"),
        ({}, "no floor was scored"),
    ],
)
def test_reasons(change: dict[str, object], words: str) -> None:
    context = replace(CONTEXT, **change)  # type: ignore[arg-type]
    found = verdict({"x": 0.7, "y": 0.6}, [made("x", "y", 10, 5)], [], context)
    assert any(words in reason for reason in found.reasons), found.reasons


def test_families_without_pairs_of_the_leaders_do_not_invent_a_winner() -> None:
    family = [made("x", "c", 10, 5), made("y", "c", 9, 5)]
    found = verdict({"x": 0.7, "y": 0.69, "c": 0.6}, family, [], CONTEXT)
    assert found.winner is None
    assert "do not set them against each other; both beat c" in found.sentence


def test_an_empty_study_has_no_winner() -> None:
    assert verdict({}, [], [], CONTEXT).winner is None


def rejections(acceptance: ModuleType, draws: int, seeds: bool) -> float:
    """Equal arms whose seeds spread by 3 points; without ``seeds`` one run passes for the arm."""
    generator = np.random.default_rng(7)
    found = 0
    for _ in range(draws):
        runs = acceptance.simulate(
            generator, [0.7, 0.7], icc=0.05, num_groups=100, num_seeds=2, seed_sd=0.03
        )
        if not seeds:
            runs = {n: replace(r, deterministic=True, said=r.said[:1]) for n, r in runs.items()}
        found += compare(runs["a0"], runs["a1"]).excludes_zero
    return found / draws


def test_equal_arms_with_spread_seeds_are_rarely_told_apart(acceptance: ModuleType) -> None:
    assert rejections(acceptance, 200, seeds=True) <= 0.085  # 5 % and its noise
    assert rejections(acceptance, 30, seeds=False) > 0.2  # what leaving the seeds out would do
