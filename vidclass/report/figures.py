"""Figures of the first page. Each has a data class that could be printed, and a step that draws it.

Legend: K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from vidclass.report.cost import EqualHours
from vidclass.report.drawing import ACCENT, FLOOR_COLOUR, INK, arm_colours, blank, strip

__all__ = [
    "Bar",
    "Dot",
    "draw_best_so_far",
    "draw_confusion",
    "draw_forest",
    "draw_scores",
    "draw_shares",
]

WIDTH = 7.2
ROW_HEIGHT = 0.36
MOST_CLASSES_WITH_NUMBERS = 12


@dataclass(frozen=True)
class Dot:
    """One arm or floor: score in 0..1, interval (None where there is none), scores of its seeds."""

    name: str
    is_floor: bool
    estimate: float
    low: float | None
    high: float | None
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Bar:
    """One difference in 0..1, interval (None where there is none), whether it is decided."""

    name: str
    estimate: float
    low: float | None
    high: float | None
    decided: bool


def draw_scores(dots: Sequence[Dot], chance: float, metric: str) -> Figure:
    """Draw arms and floors as dots with intervals, seeds as small dots, chance as a line."""
    figure, (ax,) = blank(WIDTH, 0.9 + ROW_HEIGHT * len(dots))
    colours = arm_colours([dot.name for dot in dots if not dot.is_floor])
    for row, dot in enumerate(reversed(dots)):
        colour = FLOOR_COLOUR if dot.is_floor else colours[dot.name]
        _interval(ax, row, dot.low, dot.high, colour)
        seeds = [100 * value for value in dot.seeds]
        ax.plot(seeds, [row - 0.2] * len(seeds), ".", color=colour, alpha=0.75, markersize=5)
        shape = "D" if dot.is_floor else "o"
        ax.plot(100 * dot.estimate, row, shape, color=colour, markersize=6 if dot.is_floor else 8)
        ax.annotate(
            f"{100 * dot.estimate:.1f}",
            (100 * dot.estimate, row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=INK,
        )
    ax.axvline(100 * chance, color=INK, linestyle=(0, (3, 3)), linewidth=0.9, alpha=0.6)
    ax.annotate(
        f"chance {100 * chance:.1f} %",
        (100 * chance, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(3, 1),
        textcoords="offset points",
        fontsize=8,
        color=INK,
        alpha=0.8,
    )
    _rows(ax, [dot.name.replace("_", " ") for dot in dots])
    ax.set_xlim(-1, 102)
    ax.set_xlabel(f"{metric} on test, per cent")
    return figure


def draw_forest(bars: Sequence[Bar]) -> Figure:
    """Draw paired differences with their intervals around a line at 0."""
    figure, (ax,) = blank(WIDTH, 0.8 + ROW_HEIGHT * len(bars))
    for row, bar in enumerate(reversed(bars)):
        colour = ACCENT if bar.decided else FLOOR_COLOUR
        _interval(ax, row, bar.low, bar.high, colour)
        ax.plot(100 * bar.estimate, row, "s", color=colour, markersize=6)
    ax.axvline(0, color=INK, linewidth=0.9, alpha=0.6)
    _rows(ax, [bar.name.replace("_", " ") for bar in bars])
    ax.set_xlabel("paired difference, percentage points (blue: Holm's p below 0.05)")
    return figure


def _interval(ax: Axes, row: float, low: float | None, high: float | None, colour: str) -> None:
    if low is not None and high is not None:
        ax.plot([100 * low, 100 * high], [row, row], "-", color=colour, linewidth=2.2, alpha=0.8)


def _rows(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows from top to bottom."""
    ax.set_yticks(range(len(names)), list(reversed(names)))
    ax.set_ylim(-0.6, len(names) - 0.3)
    ax.grid(axis="x", color=FLOOR_COLOUR, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    strip(ax, "left")


def draw_best_so_far(
    curve: pd.DataFrame, unit: str, metric: str, equal: EqualHours | None
) -> Figure:
    """Draw how each arm's best validation figure grew with the hours of its search."""
    figure, (ax,) = blank(WIDTH, 2.9)
    arms = list(dict.fromkeys(curve["arm"]))
    for arm, colour in arm_colours(arms).items():
        rows = curve[curve["arm"] == arm]
        ax.step(rows["hours"], 100 * rows["value"], where="post", color=colour, linewidth=1.8)
        ax.annotate(
            arm.replace("_", " "),
            (rows["hours"].iloc[-1], 100 * rows["value"].iloc[-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    if equal is not None:
        ax.axvline(equal.hours, color=INK, linestyle=(0, (3, 3)), linewidth=0.9, alpha=0.6)
        ax.annotate(
            "equal hours",
            (equal.hours, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(-3, 0),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=INK,
            alpha=0.8,
        )
    ax.margins(x=0.12)
    ax.grid(color=FLOOR_COLOUR, alpha=0.2, linewidth=0.6)
    ax.set_xlabel(f"{unit} of search")
    ax.set_ylabel(f"best validation\n{metric}, per cent")
    return figure


def draw_confusion(matrices: Mapping[str, npt.NDArray[np.int64]], classes: Sequence[str]) -> Figure:
    """Draw one confusion matrix ``[K, K]`` a name: shares of each label's row, in per cent."""
    shares = {
        name: counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
        for name, counts_KK in matrices.items()
    }
    return draw_shares(shares, classes)


def draw_shares(matrices: Mapping[str, npt.NDArray[np.float64]], classes: Sequence[str]) -> Figure:
    """Draw one matrix ``[K, K]`` of shares a name: labels are rows, answers columns."""
    columns = min(len(matrices), 2)
    rows = -(-len(matrices) // columns)
    side = min(max(2.2, 0.42 * len(classes) + 1.1), 6.0)
    figure, axes = blank(min(side * columns * 1.1, 9.5), side * rows, rows, columns)
    for ax, (name, share_KK) in zip(axes, matrices.items(), strict=False):
        _matrix(ax, share_KK, classes)
        if len(matrices) > 1:
            ax.set_title(name.replace("_", " "), fontsize=9)
    for ax in axes[len(matrices) :]:
        ax.set_axis_off()
    return figure


def _matrix(ax: Axes, share_KK: npt.NDArray[np.float64], classes: Sequence[str]) -> None:
    # transparent where empty, so that the page's own ground shows through
    shades = LinearSegmentedColormap.from_list("shares", [to_rgba(ACCENT, 0.0), to_rgba(ACCENT)])
    num_classes = len(classes)
    edges = np.arange(num_classes + 1) - 0.5
    ax.pcolormesh(edges, edges, share_KK, cmap=shades, vmin=0, vmax=1, rasterized=True)
    if num_classes <= MOST_CLASSES_WITH_NUMBERS:
        for i in range(num_classes):
            for j in range(num_classes):
                if share_KK[i, j]:
                    ax.text(
                        j, i, f"{100 * share_KK[i, j]:.0f}", ha="center", va="center", fontsize=7.5
                    )
        ax.set_xticks(range(num_classes), classes, rotation=45, ha="right", fontsize=8)
        ax.set_yticks(range(num_classes), classes, fontsize=8)
    else:
        ax.set_xticks([])
        ax.set_yticks([])
    ax.set_ylim(num_classes - 0.5, -0.5)
    ax.set_aspect("equal")
    ax.set_xlabel("said", fontsize=8)
    ax.set_ylabel("label", fontsize=8)
    strip(ax, "left", "bottom")
