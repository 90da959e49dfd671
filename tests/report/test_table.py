import pytest

from vidclass.report.table import (
    Cell,
    Column,
    Table,
    amount,
    interval,
    joined,
    percent,
    plural,
    points,
    probability,
    without_paths,
)


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        (percent(0.8421), "84.2 %"),
        (percent(float("nan"), "no test videos"), "not estimable (no test videos)"),
        (percent(None), "not estimable (not recorded)"),
        (points(0.061), "+6.1 points"),
        (points(-0.04, beneath="-9.0 to 1.0"), "-4.0 points (-9.0 to 1.0)"),
        (amount(0.0123456, "h"), "0.0123 h"),
        (amount(1234.5, "s"), "1,234 s"),
        (amount(0.0), "0"),
        (probability(0.0004), "< 0.001"),
        (probability(0.0412), "0.041"),
    ],
)
def test_cells_say_their_figure_with_its_unit_or_why_there_is_none(cell: Cell, told: str) -> None:
    assert cell.told == told


def test_an_interval_without_bounds_says_so() -> None:
    assert interval(0.2, 0.305) == "20.0 to 30.5"
    assert interval(None, None) == "interval not estimable"


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("no such file: /home/someone/videos/a.mp4", "no such file: a.mp4"),
        ("'/data/x/y' is empty", "'y' is empty"),
        ("2.5 frames/s and 1/8", "2.5 frames/s and 1/8"),
        ("failed at C:/Users/me/a.avi", "failed at a.avi"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(words: str, kept: str) -> None:
    assert without_paths(words) == kept


def test_a_table_keeps_the_values_behind_its_words() -> None:
    table = Table(
        (Column("arm", "Arm"), Column("score", "Score")), [[Cell("a", "a"), percent(0.5)]]
    )
    assert table.frame().to_dict("records") == [{"arm": "a", "score": 0.5}]


def test_words_are_counted_and_joined() -> None:
    assert (plural(1, "video"), plural(2, "video")) == ("1 video", "2 videos")
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert joined(["a"]) == "a"
