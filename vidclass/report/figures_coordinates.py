"""Parallel coordinates of a search: one line a trial through all searched values to its score."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vidclass.report.drawing import INK, blank
from vidclass.report.figures_search import Slice

__all__ = ["Coordinates", "draw_coordinates", "parallel_coordinates"]

WIDTH = 7.2
FEWEST_AXES = 2
COLOURS = "viridis"


@dataclass(frozen=True)
class Coordinates:
    """The search of one arm, ready to draw.

    ``places`` are ``[trials, axes]`` in 0..1, ``ends`` the texts at the lower and upper end of each
    axis, ``scores`` the best validation figure of each trial.
    """

    arm: str
    names: tuple[str, ...]
    ends: tuple[tuple[str, str], ...]
    places: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]


def parallel_coordinates(parts: list[Slice]) -> list[Coordinates]:
    """Return one panel an arm that searches at least two values and has two scored trials."""
    found = []
    for arm in dict.fromkeys(part.arm for part in parts):
        own = [part for part in parts if part.arm == arm]
        if len(own) >= FEWEST_AXES and len(own[0].scores) > 1:
            axes = [_axis(part) for part in own]
            found.append(
                Coordinates(
                    arm=arm,
                    names=tuple(part.name for part in own),
                    ends=tuple(ends for ends, _ in axes),
                    places=tuple(zip(*(places for _, places in axes), strict=True)),
                    scores=own[0].scores,
                )
            )
    return found


def _axis(part: Slice) -> tuple[tuple[str, str], tuple[float, ...]]:
    """Return the texts at the ends of an axis and where each trial crosses it, 0..1."""
    if part.choices:
        span = max(len(part.choices) - 1, 1)
        return (part.choices[0], part.choices[-1]), tuple(value / span for value in part.values)
    values = np.log(part.values) if part.log else np.asarray(part.values, dtype=float)
    low, high = float(values.min()), float(values.max())
    places = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    ends = f"{min(part.values):.3g}", f"{max(part.values):.3g}"
    return ends, tuple(float(place) for place in places)


def draw_coordinates(panels: list[Coordinates], metric: str) -> Figure:
    """Draw one panel an arm; the colour of a line is its trial's score, best on top."""
    figure, axes = blank(WIDTH, 0.4 + 1.8 * len(panels), len(panels))
    scores = [100 * score for panel in panels for score in panel.scores]
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(min(scores), max(scores)), COLOURS)
    for ax, panel in zip(axes, panels, strict=True):
        _panel(ax, panel, scale)
    bar = figure.colorbar(scale, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label(f"validation {metric}, %", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def _panel(ax: Axes, panel: Coordinates, scale: mpl.cm.ScalarMappable) -> None:
    positions = range(len(panel.names))
    for trial in np.argsort(panel.scores):
        colour = scale.to_rgba(100 * panel.scores[trial])
        ax.plot(positions, panel.places[trial], "-", color=colour, linewidth=1.4, alpha=0.9)
    for position, (low, high) in zip(positions, panel.ends, strict=True):
        ax.axvline(position, color=INK, linewidth=0.8, alpha=0.4)
        for y, told, side in ((-0.05, low, "top"), (1.05, high, "bottom")):
            ax.text(position, y, told, ha="center", va=side, fontsize=7, color=INK)
    ax.set_xticks(list(positions), [name.replace("_", " ") for name in panel.names], fontsize=8)
    ax.tick_params(axis="x", length=0, pad=12)
    ax.set_yticks([])
    ax.set_ylim(-0.1, 1.15)
    ax.set_title(panel.arm.replace("_", " "), fontsize=9)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
