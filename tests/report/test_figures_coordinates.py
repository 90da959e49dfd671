"""Parallel coordinates: where each trial crosses each axis."""

import pytest

from tests.report.conftest import Reported
from vidclass.report.drawing import to_png
from vidclass.report.figures_coordinates import draw_coordinates, parallel_coordinates
from vidclass.report.figures_search import Slice, slices

LR = Slice("slow", "lr", True, (), (1e-4, 1e-3, 1e-2), (0.1, 0.2, 0.3))
ONE = Slice("slow", "x", False, (), (1.0,), (0.5,))
NORM = Slice("slow", "norm", False, ("batch", "layer"), (0, 1, 0), (0.1, 0.2, 0.3))


def test_places_are_between_the_ends_of_each_axis() -> None:
    (panel,) = parallel_coordinates([LR, NORM])
    assert panel.ends == (("0.0001", "0.01"), ("batch", "layer"))
    assert [place[0] for place in panel.places] == pytest.approx([0.0, 0.5, 1.0])
    assert [place[1] for place in panel.places] == [0.0, 1.0, 0.0]
    assert panel.scores == (0.1, 0.2, 0.3)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [LR],
        [Slice("a", "x", False, (), (1.0,), (0.5,)), Slice("a", "y", False, (), (1.0,), (0.5,))],
    ],
)
def test_nothing_is_drawn_of_one_value_or_one_trial(parts: list[Slice]) -> None:
    assert parallel_coordinates(parts) == []


def test_values_that_are_all_alike_lie_in_the_middle() -> None:
    alike = Slice("slow", "decay", False, (), (0.1, 0.1, 0.1), (0.1, 0.2, 0.3))
    (panel,) = parallel_coordinates([LR, alike])
    assert {place[1] for place in panel.places} == {0.5}


def test_a_study_has_one_panel_an_arm(one_split: Reported) -> None:
    panels = parallel_coordinates(slices(one_split.tables))
    assert [panel.arm for panel in panels] == ["single", "early", "slow"]
    assert len(to_png(draw_coordinates(panels, "accuracy"))) > 5_000
    assert (one_split.out / "figures" / "coordinates.png").is_file()
