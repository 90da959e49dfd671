import numpy as np

from vidclass.report.drawing import INK, arm_colours, settle, to_png, to_svg
from vidclass.report.figures import Bar, Dot, draw_confusion, draw_forest, draw_scores


def dots() -> list[Dot]:
    return [
        Dot("slow_fusion", False, 0.9, 0.85, 0.94, (0.89, 0.91)),
        Dot("bag_of_frames", True, 0.3, None, None),
    ]


def test_svg_takes_the_colour_and_texts_of_the_page_and_leads_nowhere() -> None:
    svg = to_svg(settle(draw_scores(dots(), 0.25, "accuracy")), "scores")
    assert svg.startswith("<svg") and svg.endswith("</svg>")
    assert "http" not in svg and INK not in svg
    assert "currentColor" in svg
    for words in ("slow fusion", "bag of frames", "chance 25.0 %", "90.0"):
        assert words in svg


def test_the_same_numbers_give_the_same_bytes() -> None:
    first, second = (
        to_svg(settle(draw_scores(dots(), 0.25, "accuracy")), "scores") for _ in range(2)
    )
    assert first == second


def test_differences_without_bounds_are_drawn_as_points() -> None:
    bars = [Bar("a − b", 0.1, 0.02, 0.18, True), Bar("a − c", 0.0, None, None, False)]
    figure = settle(draw_forest(bars))
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert sum(line.get_linewidth() > 2 for line in lines) == 1
    assert to_png(figure).startswith(b"\x89PNG")


def test_confusion_shows_row_shares_and_leaves_out_numbers_for_many_classes() -> None:
    few = draw_confusion({"slow": np.array([[3, 1], [0, 0]])}, ["a", "b"])
    assert {text.get_text() for text in few.axes[0].texts} == {"75", "25"}
    many = draw_confusion({"slow": np.eye(40, dtype=np.int64)}, [str(k) for k in range(40)])
    assert not many.axes[0].texts


def test_arms_keep_their_colour() -> None:
    assert arm_colours(["a", "b"])["a"] == arm_colours(["a", "b", "c"])["a"]
