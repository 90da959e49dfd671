from dataclasses import replace

import pandas as pd
import pytest

from tests.report.conftest import Reported
from vidclass.report.cost import EqualHours, arm_costs, best_so_far, compute_unit, equal_hours


def test_costs_are_those_of_the_ledger(one_split: Reported) -> None:
    costs = arm_costs(one_split.tables)
    early = costs.loc["early"]
    assert early["trials"] == 6 + 2 + 2  # search, finals, controls
    assert early["epochs"] == 5 * 8 + 3 + 4 * 8
    assert early["hours"] == pytest.approx(5 * early["epochs"] / 3600)
    assert early["data_wait"] == pytest.approx(0.05 / 4.55)
    assert early["ms_per_clip"] == pytest.approx(1000 * 0.5 / 64)
    assert early["collapse_rate"] == pytest.approx(1 / 6)


def test_hours_are_core_hours_without_a_gpu(one_split: Reported) -> None:
    assert compute_unit(one_split.tables) == "core-hours"


@pytest.mark.parametrize("study", ["one_split", "five_folds"])
def test_best_so_far_never_falls_and_ends_at_the_hours_of_the_search(
    study: str, request: pytest.FixtureRequest
) -> None:
    tables = request.getfixturevalue(study).tables
    curve = best_so_far(tables)
    epochs = tables.epochs[(tables.epochs["kind"] == "search") & (tables.epochs["arm"] == "slow")]
    hours = epochs[["seconds_data", "seconds_step", "seconds_eval"]].sum().sum() / 3600
    slow = curve[curve["arm"] == "slow"]
    assert slow["value"].is_monotonic_increasing
    assert slow["hours"].iloc[-1] == pytest.approx(hours)


def test_equal_hours_can_choose_another_arm_than_equal_trials() -> None:
    curve = pd.DataFrame(
        {
            "arm": ["quick", "quick", "slow", "slow"],
            "hours": [0.5, 1.0, 0.9, 4.0],
            "value": [0.6, 0.8, 0.7, 0.9],
        }
    )
    assert equal_hours(curve) == EqualHours(hours=1.0, at_full="slow", at_equal="quick")


def test_deployment_and_fewer_videos_are_beside_the_comparison(one_split: Reported) -> None:
    tables = one_split.tables
    moved = tables.trials.assign(fold=tables.trials["fold"].where(tables.trials.index > 2, -1))
    costs = arm_costs(replace(tables, trials=moved))
    fewer = (tables.trials["kind"] == "fewer_videos").sum()
    assert costs["trials"].sum() == len(tables.trials) - 3 - fewer
