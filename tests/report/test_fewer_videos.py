"""Score against labelled videos: the points, the last doubling, and where the page shows them."""

import dataclasses

import pytest

from tests.report.conftest import Reported
from tests.report.make_study import FEWER_SKILL, SKILL
from vidclass.report.fewer_videos import VideosPoint, last_doubling, videos_curve


@pytest.mark.parametrize("study", ["one_split", "five_folds"])
def test_points_are_the_trainings_on_fewer_videos_and_the_finals(
    study: str, request: pytest.FixtureRequest
) -> None:
    reported: Reported = request.getfixturevalue(study)
    tables = reported.tables
    points = videos_curve(tables)
    splits = tables.splits[tables.splits["split"] == "train"]
    whole = len(splits) / tables.num_folds
    assert [point.num_videos / whole for point in points] == pytest.approx([0.25, 0.5, 1], abs=0.07)
    for point, skill in zip(points, [*FEWER_SKILL.values(), SKILL["slow"]], strict=True):
        assert point.estimate == pytest.approx(skill, abs=0.12)
        assert point.low is not None and point.high is not None
        assert point.low < point.estimate < point.high


def test_the_page_shows_it_and_says_what_more_labels_brought(one_split: Reported) -> None:
    gain = last_doubling(videos_curve(one_split.tables))
    assert gain is not None and gain > 0.05
    for page in (one_split.markdown, one_split.html.replace("\u00a0", " ")):
        assert "Score against labelled videos" in page
        assert f"The last doubling brought {100 * gain:+.1f} points" in page
        assert "Label more videos" in page
    assert (one_split.out / "figures" / "videos.png").is_file()


def test_without_a_champion_or_with_a_fold_missing_there_is_no_curve(
    searched_only: Reported, five_folds: Reported
) -> None:
    assert videos_curve(searched_only.tables) == []
    finals = five_folds.tables.finals
    first = finals[(finals["kind"] != "fewer_videos") | (finals["fold"] == 0)]
    cut = dataclasses.replace(five_folds.tables, finals=first)
    assert videos_curve(cut) == []


def test_costs_leave_the_trainings_on_fewer_videos_out(one_split: Reported) -> None:
    trials = one_split.tables.trials
    slow = trials[(trials["arm"] == "slow") & (trials["kind"] != "fewer_videos")]
    told = one_split.out / "results.csv"
    rows = [line.split(",") for line in told.read_text().splitlines()]
    row = next(line for line in rows if line[0] == "slow")
    assert row[rows[0].index("trials")] == str(len(slow))


def test_a_doubling_is_scaled() -> None:
    points = [VideosPoint(100, 0.5, None, None), VideosPoint(400, 0.7, None, None)]
    assert last_doubling(points) == pytest.approx(0.1)
    assert last_doubling(points[:1]) is None
