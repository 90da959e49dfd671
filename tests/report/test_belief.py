from dataclasses import replace

import pytest

from tests.report.conftest import Reported
from vidclass.report.belief import Light, lights, num_padded
from vidclass.report.collect import StudyTables
from vidclass.report.intervals import Interval
from vidclass.report.protocol import protocol_rows


def told(tables: StudyTables, metadata: Interval | None = None) -> dict[str, Light]:
    return {light.name: light for light in lights(tables, metadata, chance=0.25)}


def interval(low: float | None, high: float | None) -> Interval:
    reason = "" if low is not None else "4 groups; an interval needs 5"
    return Interval(0.25, low, high, "Korn-Graubard", 30, 100, 1, 29.0, reason)


def test_a_leak_between_splits_is_red_and_names_the_group(one_split: Reported) -> None:
    tables = one_split.tables
    assert told(tables)["Groups disjoint"].colour == "green"
    splits = tables.splits.copy()
    splits.loc[splits["video_id"] == "g30/v1.mp4", "split"] = "train"
    light = told(replace(tables, splits=splits))["Groups disjoint"]
    assert light.colour == "red"
    assert "g30" in light.reason


@pytest.mark.parametrize(
    ("bounds", "colour", "words"),
    [
        ((0.20, 0.27), "green", "equivalent to chance"),
        ((0.20, 0.30), "amber", "not shown to be equal"),
        ((0.26, 0.40), "red", "without looking at a pixel"),
        ((None, None), "amber", "4 groups"),
    ],
)
def test_metadata_light_asks_for_equivalence_not_for_touching_chance(
    one_split: Reported, bounds: tuple[float | None, float | None], colour: str, words: str
) -> None:
    light = told(one_split.tables, interval(*bounds))["File tells nothing"]
    assert (light.colour, words in light.reason) == (colour, True)


def test_exposure_counts_only_what_this_study_scored(one_split: Reported) -> None:
    tables = one_split.tables
    assert tables.exposure is not None
    assert tables.exposure.scored == len(tables.state.finals) == 12
    assert told(tables)["Test exposure"].colour == "green"
    others = replace(tables, exposure=replace(tables.exposure, scored=16, studies=2))
    assert told(others)["Test exposure"].colour == "amber"


def test_failures_are_counted_by_arm_and_without_paths(one_split: Reported) -> None:
    light = told(one_split.tables)["Failed and collapsed trials"]
    assert light.colour == "amber"
    assert "early 1 collapsed of 6; slow 1 failed of 6" in light.reason


def test_an_arm_that_is_at_chance_by_design_may_collapse(one_split: Reported) -> None:
    """One frame of moving_shapes carries no label, so an arm without order has to collapse."""
    tables = one_split.tables
    trials = tables.trials.copy()
    trials.loc[(trials["arm"] == "single") & (trials["kind"] == "search"), "status"] = "collapsed"
    assert tables.spec.data.source == "moving_shapes"
    light = told(replace(tables, trials=trials))["Failed and collapsed trials"]
    assert light.colour == "amber"
    assert "single collapsed as they must" in light.reason
    trials["status"] = trials["status"].where(trials["arm"] == "single", "completed")
    assert told(replace(tables, trials=trials))["Failed and collapsed trials"].colour == "green"

    data = tables.spec.data.model_copy(update={"source": "own_videos"})
    own = replace(tables, trials=trials, spec=tables.spec.model_copy(update={"data": data}))
    assert told(own)["Failed and collapsed trials"].colour == "red"


def test_quarantine_above_the_limit_is_red(one_split: Reported) -> None:
    tables = one_split.tables
    assert told(tables)["Quarantined videos"].colour == "amber"
    data = tables.spec.data.model_copy(update={"quarantine_limit": 0.001})
    strict = replace(tables, spec=tables.spec.model_copy(update={"data": data}))
    assert told(strict)["Quarantined videos"].colour == "red"


def test_each_quarantined_video_is_named_with_its_reason(one_split: Reported) -> None:
    rows = dict(protocol_rows(one_split.tables, "held out"))
    assert rows["Videos left out"] == "broken.mp4: no video stream"


def test_what_the_reader_warned_of_is_told(one_split: Reported) -> None:
    tables = one_split.tables
    assert "Warnings of the data" not in dict(protocol_rows(tables, "held out"))
    data = {**tables.state.data, "warnings": ["a.tsv: no subject", "b.tsv: no subject"]}
    warned = replace(tables, state=replace(tables.state, data=data))
    rows = dict(protocol_rows(warned, "held out"))
    assert rows["Warnings of the data"] == "a.tsv: no subject; b.tsv: no subject"


def test_unequal_trials_are_red_once_the_study_is_complete(one_split: Reported) -> None:
    tables = one_split.tables
    assert told(tables)["Equal budget"].colour == "green"
    fewer = tables.trials[tables.trials["trial"] != "t0002"]
    assert told(replace(tables, trials=fewer))["Equal budget"].colour == "red"


def test_a_video_shorter_than_the_window_is_counted(one_split: Reported) -> None:
    assert num_padded(one_split.tables) == 1  # 6 frames at 10 fps under a window of 1 s


def test_an_unfinished_study_is_amber(searched_only: Reported) -> None:
    assert told(searched_only.tables)["Study complete"].colour == "amber"
