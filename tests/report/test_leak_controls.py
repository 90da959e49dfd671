"""The light of the leak controls: what comes close to the champion is told."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.report.conftest import Reported
from vidclass.report.belief import Light, lights
from vidclass.report.collect import StudyTables
from vidclass.report.intervals import Interval
from vidclass.report.leak_controls import champion_and_controls, overlaps
from vidclass.sweep.predictions import class_columns


def with_controls(tables: StudyTables, right: dict[str, float], **data: float) -> StudyTables:
    """Return the study as if the champion had been right on a share of each control's videos."""
    finals = tables.finals[(tables.finals["kind"] == "final") & (tables.finals["arm"] == "slow")]
    first = finals[finals["seed_index"] == finals["seed_index"].min()]
    columns = class_columns(finals, "p")
    parts = [tables.finals]
    for variant, share in right.items():
        said = np.random.default_rng(0).random(len(first)) < share
        label_N = first["label_id"].to_numpy()
        rows = first.assign(kind="leak_control", variant=variant)
        rows["pred_id"] = np.where(said, label_N, (label_N + 1) % len(columns))
        rows[columns] = np.eye(len(columns))[rows["pred_id"]]
        parts.append(rows)
    asked = tables.spec.finals.model_copy(
        update={"leak_controls": ("corner", "background", "permuted_labels")}
    )
    state = replace(tables.state, data={**tables.state.data, **data})
    spec = tables.spec.model_copy(update={"finals": asked})
    return replace(tables, finals=pd.concat(parts, ignore_index=True), spec=spec, state=state)


def light(tables: StudyTables) -> Light:
    (found,) = [each for each in lights(tables, None, 0.25) if each.name == "Leak controls"]
    return found


def test_a_study_without_controls_has_no_light(one_split: Reported) -> None:
    names = {each.name for each in lights(one_split.tables, None, 0.25)}
    assert "Leak controls" not in names


@pytest.mark.parametrize("study", ["one_split", "five_folds"])
def test_controls_far_below_the_champion_are_fine(
    study: str, request: pytest.FixtureRequest
) -> None:
    reported: Reported = request.getfixturevalue(study)
    shares = {"corner": 0.3, "background": 0.25, "permuted_labels": 0.2}
    found = light(with_controls(reported.tables, shares))
    assert found.colour == "green", found.reason
    assert "background" in found.reason and "slow" in found.reason


def test_a_control_that_comes_close_is_named(one_split: Reported) -> None:
    tables = with_controls(one_split.tables, {"corner": 0.99, "permuted_labels": 0.2})
    found = light(tables)
    assert found.colour == "red"
    assert "corner comes close" in found.reason and "not scored: background" in found.reason


def test_a_background_that_was_left_out_says_why(one_split: Reported) -> None:
    shares = {"corner": 0.2, "permuted_labels": 0.2}
    found = light(with_controls(one_split.tables, shares, static_share=0.12))
    assert "not scored: background (still pixels 12 %)" in found.reason


def test_before_they_are_scored_the_light_is_amber(one_split: Reported) -> None:
    assert light(with_controls(one_split.tables, {})).colour == "amber"


def test_a_control_counts_once_all_folds_are_scored(five_folds: Reported) -> None:
    tables = with_controls(five_folds.tables, {"corner": 0.3})
    finals = tables.finals
    partial = finals[(finals["kind"] != "leak_control") | (finals["fold"] != 2)]
    found = champion_and_controls(replace(tables, finals=partial))
    assert found is not None and found[1] == []


def interval(low: float | None, estimate: float, high: float | None) -> Interval:
    return Interval(estimate, low, high, "", 30, 100, 1)


@pytest.mark.parametrize(
    ("control", "real", "close"),
    [
        ((0.2, 0.3, 0.4), (0.5, 0.6, 0.7), False),
        ((0.2, 0.4, 0.55), (0.5, 0.6, 0.7), True),
        ((0.9, 1.0, 1.0), (1.0, 1.0, 1.0), True),
        ((None, 0.4, None), (0.5, 0.6, 0.7), False),
        ((None, 0.6, None), (None, 0.6, None), True),
    ],
)
def test_what_counts_as_close(
    control: tuple[float, ...], real: tuple[float, ...], close: bool
) -> None:
    assert overlaps(interval(*control), interval(*real)) is close
