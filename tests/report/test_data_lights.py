"""What the lights say of a study's data."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from tests.data.manifests import manifest_of
from vidclass.data.confounds import confound_facts
from vidclass.report.data_lights import confound_rows, confounds_told, footage_told

MANIFEST = manifest_of({"well": [2] * 12, "injured": [2] * 12}).assign(
    num_frames=np.random.default_rng(0).normal(100, 9, 48).round(),
    fps=30.0,
    width=320.0,
    height=240.0,
    duration_s=3.3,
    bitrate_bps=1e5,
)
INJURED = MANIFEST["label"] == "injured"
NUMBER = MANIFEST["group"].str.extract(r"(\d+)", expand=False).astype(int)


def told(**columns: object) -> tuple[str, str]:
    facts = confound_facts(MANIFEST.assign(**columns))
    return confounds_told({"confounds": json.loads(json.dumps(facts))})


def test_a_column_that_fixes_the_label_is_a_problem() -> None:
    colour, reason = told(day=np.where(INJURED, "d2", "d1"))
    assert colour == "red" and "not identifiable: day (all classes) fixes the label" in reason


@pytest.mark.parametrize(
    ("share", "colour"), [(0.0, "green"), (0.9, "red")], ids=["unrelated", "strong"]
)
def test_the_strongest_column_is_told(share: float, colour: str) -> None:
    mixed = np.where(NUMBER % 12 < 12 * share, INJURED, NUMBER % 2 == 0)
    found, reason = told(camera=np.where(mixed, "left", "right"))
    assert found == colour and "association" in reason


def test_a_study_without_the_table_says_so() -> None:
    assert confounds_told({})[0] == "amber" and not confound_rows({}).rows


def test_the_table_has_a_row_a_column() -> None:
    facts = confound_facts(MANIFEST.assign(day=np.where(INJURED, "d2", "d1")))
    table = confound_rows({"confounds": facts}).frame().set_index("column")
    assert table.loc["day", "association"] == 1.0
    assert table.loc["day", "verdict"] == "not identifiable: all classes"
    assert pd.isna(table.loc["fps", "association"])
    assert table.loc["fps", "verdict"] == "one value only"


@pytest.mark.parametrize(
    ("data", "colour", "part"),
    [
        ({}, "amber", "nobody looked"),
        ({"near_duplicates": None}, "amber", "nobody looked"),
        ({"near_duplicates": []}, "green", "no file shows"),
        ({"near_duplicates": ["a and b"]}, "red", "1 pair of files"),
        ({"near_duplicates": list("abcde")}, "red", "5 pairs of files .* and 2 more"),
    ],
)
def test_footage_in_two_splits(data: dict[str, object], colour: str, part: str) -> None:
    found, reason = footage_told(data, made=False)
    assert found == colour and re.search(part, reason)
    assert footage_told(data, made=True)[0] == "green"
