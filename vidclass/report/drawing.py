"""How figures look, and how they become pictures: SVG for the page, PNG beside the Markdown."""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

__all__ = [
    "ACCENT",
    "FLOOR_COLOUR",
    "INK",
    "arm_colours",
    "blank",
    "settle",
    "strip",
    "to_png",
    "to_svg",
]

INK = "#010203"
"""Drawn as the text colour of the page, light or dark; almost black in a PNG."""
ACCENT = "#3b7dd8"
FLOOR_COLOUR = "#8b8f98"
# Okabe and Ito's order of hues, at lightnesses that stand out from white and from near-black.
PALETTE = ("#3b7dd8", "#d9722e", "#2a9d6f", "#b05cc0", "#c9a227", "#1f9aa8", "#cc4b5e", "#7a7f87")
PNG_DPI = 110
_HEADER = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)
_NAMESPACE = re.compile(r'\s+xmlns(?::\w+)?="[^"]*"')
_ID = re.compile(r'\s+id="([^"]*)"')
_XLINK = re.compile(r"xlink:href=")
_STYLE: dict["RcKeyType", Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "svg.fonttype": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def arm_colours(arms: Sequence[str]) -> dict[str, str]:
    """Return one colour an arm, the same in every figure of a page."""
    return {arm: PALETTE[i % len(PALETTE)] for i, arm in enumerate(arms)}


def blank(
    width: float, height: float, rows: int = 1, columns: int = 1
) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``width`` by ``height`` inches and its axes, row by row."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.ravel())
    for ax in axes:
        ax.patch.set_alpha(0.0)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            ax.spines[side].set_alpha(0.35)
        ax.tick_params(length=3, width=0.6)
    return figure, axes


def strip(ax: Axes, *sides: str) -> None:
    """Take the lines and ticks of ``sides`` away."""
    for side in sides:
        ax.spines[side].set_visible(False)
    if "left" in sides:
        ax.tick_params(axis="y", length=0)
    if "bottom" in sides:
        ax.tick_params(axis="x", length=0)


def settle(figure: Figure) -> Figure:
    """Lay ``figure`` out once, so that both of its pictures have the same layout; return it."""
    with matplotlib.rc_context(_STYLE):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def to_svg(figure: Figure, name: str) -> str:
    """Return ``figure`` as an ``<svg>`` element to stand inside an HTML page.

    Texts stay texts and take the page's font and colour; nothing in it leads out of the file.

    Args:
        figure: what to draw.
        name: unique on the page; the ids inside are made from it.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = _METADATA.sub("", _HEADER.sub("", buffer.getvalue(), count=1))
    svg = _XLINK.sub("href=", _NAMESPACE.sub("", svg))
    # ids such as figure_1, to which nothing points, come again in every picture
    pointed_at = set(re.findall(r"#([\w.-]+)", svg))
    svg = _ID.sub(lambda found: found[0] if found[1] in pointed_at else "", svg)
    return svg.replace(INK, "currentColor").strip()


def to_png(figure: Figure) -> bytes:
    """Return ``figure`` as a PNG on white."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white")
    return buffer.getvalue()
