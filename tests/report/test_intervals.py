import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vidclass.report import runs as runs_module
from vidclass.report.intervals import (
    Interval,
    accuracy_interval,
    clopper_pearson,
    equivalence,
)
from vidclass.report.resampling import score_interval
from vidclass.report.runs import (
    ArmRuns,
    pooled_seed_variance,
    read_runs,
    satterthwaite,
    seed_variance,
)
from vidclass.training.metrics import macro_f1


def arm(
    right_SN: object, group_N: object = None, name: str = "a", fold_N: object = None
) -> ArmRuns:
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
        fold_N=np.zeros(num, np.int64) if fold_N is None else np.asarray(fold_N),
    )


@pytest.fixture(scope="module")
def acceptance(repository: Path) -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(repository / "benchmarks")
        return importlib.import_module("statistics_acceptance")


@pytest.mark.parametrize(("right", "trials"), [(0, 20), (20, 20), (7, 20), (1, 400)])
def test_clopper_pearson_is_the_binomial_interval(right: int, trials: int) -> None:
    expected = stats.binomtest(right, trials).proportion_ci(method="exact")
    assert clopper_pearson(right, trials) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("num_right", [0, 13, 40])
def test_where_each_group_is_one_video_it_is_clopper_pearson(num_right: int) -> None:
    found = accuracy_interval(arm([1] * num_right + [0] * (40 - num_right)))
    assert (found.low, found.high) == pytest.approx(clopper_pearson(num_right, 40))
    assert found.method == "Clopper-Pearson"


def test_groups_that_agree_count_as_little_more_than_one_video_each() -> None:
    groups = np.repeat(np.arange(10), 20)
    found = accuracy_interval(arm((groups < 7).astype(int), groups))
    alone, fewer = clopper_pearson(7, 10), clopper_pearson(3.5, 5)
    assert found.low is not None and found.high is not None
    assert fewer[0] < found.low < alone[0]
    assert alone[1] < found.high < fewer[1]


def test_a_perfect_score_of_few_groups_is_not_taken_for_certain() -> None:
    groups = np.repeat(np.arange(7), 20)
    found = accuracy_interval(arm(np.ones(140), groups))
    assert found.high == 1.0
    assert found.low is not None and found.low < clopper_pearson(140, 140)[0] - 0.05


def test_under_five_groups_nothing_is_estimable() -> None:
    runs = arm([1, 1, 0, 0] * 10, np.repeat(np.arange(4), 10))
    for found in (accuracy_interval(runs), score_interval(runs, "macro_f1")):
        assert (found.low, found.high, found.df) == (None, None, None)
        assert found.reason == "4 groups; an interval needs 5"
        assert found.estimate == pytest.approx(0.5)


def test_a_single_run_says_that_seeds_are_not_covered() -> None:
    assert "spread over seeds" in accuracy_interval(arm([1, 0] * 20)).reason
    assert accuracy_interval(arm([[1, 0] * 20] * 3)).reason == ""


def test_seeds_that_differ_widen_the_interval() -> None:
    generator = np.random.default_rng(0)
    steady = generator.random((4, 400)) < 0.7
    moving = generator.random((4, 400)) < np.array([[0.55], [0.65], [0.75], [0.85]])
    narrow, wide = accuracy_interval(arm(steady)), accuracy_interval(arm(moving))
    assert narrow.low and narrow.high and wide.low and wide.high
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_two_seeds_use_the_pooled_variance_and_three_their_own() -> None:
    generator = np.random.default_rng(1)
    two = arm(generator.random((2, 60)) < 0.7, fold_N=np.arange(60) % 3)
    other = arm(generator.random((2, 60)) < 0.6, fold_N=np.arange(60) % 3)
    pooled = pooled_seed_variance([two, other], "accuracy")
    assert pooled is not None and pooled.df == 6  # 2 arms x 3 folds x (2 seeds - 1)
    shared = seed_variance(two, "accuracy", pooled)
    assert shared is not None
    assert (shared.variance, shared.df) == (pytest.approx(pooled.variance / 2), 6)
    three = arm(generator.random((3, 60)) < 0.7)
    own = seed_variance(three, "accuracy", pooled)
    assert own is not None and own.df == 2
    assert own.variance == pytest.approx(three.score_S("accuracy").var(ddof=1) / 3)


def test_seed_variances_of_folds_add_up_to_that_of_the_whole_score() -> None:
    generator = np.random.default_rng(2)
    folds = np.repeat([0, 1], [30, 90])
    runs = arm(generator.random((5, 120)) < 0.7, fold_N=folds)
    pooled = pooled_seed_variance([runs], "accuracy")
    parts = [
        (share * runs.right_SN()[:, folds == fold].mean(axis=1)).var(ddof=1)
        for fold, share in ((0, 0.25), (1, 0.75))
    ]
    assert pooled is not None and pooled.variance == pytest.approx(sum(parts))


def test_satterthwaite() -> None:
    assert satterthwaite([(1.0, 4), (1.0, 4)]) == pytest.approx(8)
    assert satterthwaite([(1.0, 4), (0.0, 0)]) == pytest.approx(4)
    assert math.isnan(satterthwaite([(0.0, 4)]))


def test_macro_f1_and_its_linearisation_agree_with_the_metrics_and_with_the_jackknife() -> None:
    generator = np.random.default_rng(3)
    label = generator.integers(0, 4, 300)
    pred = np.where(generator.random(300) < 0.6, label, generator.integers(0, 4, 300))
    runs = ArmRuns("a", np.arange(300), label, pred[None], np.arange(300), np.zeros(300, np.int64))
    whole = macro_f1(label, pred, 4)
    assert runs.score("macro_f1") == pytest.approx(whole)
    linear = runs.linear_SN("macro_f1")[0]
    assert linear.sum() == pytest.approx(0, abs=1e-12)
    without = [macro_f1(np.delete(label, i), np.delete(pred, i), 4) for i in range(300)]
    assert linear == pytest.approx(whole - np.array(without), abs=5e-5)


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(0.1, 0.149, True), (0.1, 0.151, False), (None, None, None)]
)
def test_equivalence_asks_for_the_upper_bound(
    low: float | None, high: float | None, holds: bool | None
) -> None:
    interval = Interval(0.125, low, high, "x", 4, 10, 1, None, "4 groups; an interval needs 5")
    found = equivalence(interval, 0.15, "single")
    assert found.holds is holds
    assert "15.0 %" in found.sentence


def rows(arm: str, fold: int, seed: int, videos: list[str]) -> list[dict[str, object]]:
    return [
        {
            "arm": arm,
            "fold": fold,
            "seed": seed,
            "video_id": video,
            "group": video[0],
            "label_id": 1,
            "pred_id": seed % 2,
            "p0": 0.4,
            "p1": 0.6,
        }
        for video in videos
    ]


def test_seeds_are_ranked_within_folds_and_incomplete_ones_left_out() -> None:
    first, second = ["b1", "a1"], ["c1"]
    table = pd.DataFrame(
        [
            *rows("x", 0, 11, first),
            *rows("x", 0, 20, first),
            *rows("x", 0, 30, first),
            *rows("x", 1, 4, second),
            *rows("x", 1, 7, second),
        ]
    )
    runs = read_runs(table)["x"]
    assert runs.num_seeds == 2
    assert list(runs.sample_id_N) == ["a1", "b1", "c1"]
    assert runs.said.tolist() == [[1, 1, 0], [0, 0, 1]]
    assert runs.num_groups == 3
    assert runs.prob_SNK is not None and runs.prob_SNK.shape == (2, 3, 2)


def test_published_splits_may_test_a_video_in_several_folds() -> None:
    table = pd.DataFrame([*rows("x", 0, 1, ["b1", "a1"]), *rows("x", 1, 1, ["a1", "c1"])])
    runs = read_runs(table)["x"]
    assert list(runs.sample_id_N) == [
        "a1 in fold 0",
        "a1 in fold 1",
        "b1 in fold 0",
        "c1 in fold 1",
    ]
    assert runs.num_groups == 3


def test_a_video_scored_twice_by_one_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="a1 has two predictions"):
        read_runs(pd.DataFrame(rows("x", 0, 1, ["a1"]) * 2))


HARD = {"icc": 0.3, "num_groups": 7, "num_seeds": 5, "seed_sd": 0.01}


def held(acceptance: ModuleType, draws: int) -> float:
    generator = np.random.default_rng(5)
    found = 0
    for _ in range(draws):
        runs = acceptance.simulate(generator, [0.95], **HARD)
        interval = accuracy_interval(runs["a0"])
        found += interval.low <= 0.95 <= interval.high
    return found / draws


def test_coverage_where_errors_are_rare_and_groups_few(
    acceptance: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert held(acceptance, 300) >= 0.93
    # the prior on the correlation within groups is what does it
    monkeypatch.setattr(runs_module, "PRIOR_CORRELATION", 0.0)
    monkeypatch.setattr("vidclass.report.intervals.PRIOR_CORRELATION", 0.0)
    assert held(acceptance, 300) < 0.91
