"""Contact sheets: clips as strips of frames with a line each, as one picture and as a page.

Legend: T frames, H height, W width, C colours.
"""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidclass.home import write_aside

__all__ = ["Strip", "shown_frames", "strip_picture", "write_sheet"]

Frames = npt.NDArray[np.uint8]

MOST_FRAMES = 12
SMALLEST_SIDE = 96  # pixels on the screen: smaller frames are shown larger, pixel by pixel
GAP = 2
WHITE = 255
DOTS_PER_INCH = 100
LINE = 22  # pixels for the text above a strip
LETTER = 8  # pixels that a letter of it may take

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 2em; color: #222; }}
figure {{ margin: 0 0 1.2em 0; }}
figcaption {{ margin-bottom: .2em; }}
img {{ display: block; image-rendering: pixelated; max-width: 100%; }}
</style></head><body>
<h1>{title}</h1>
<p>{about}</p>
{figures}
</body></html>
"""


class Strip(NamedTuple):
    """A clip of a sheet: ``frames_THWC`` uint8 and the line above them."""

    caption: str
    frames_THWC: Frames


def shown_frames(num_frames: int) -> list[int]:
    """Return which frames of a clip a sheet shows: all, or the first, the last and between."""
    shown = np.linspace(0, num_frames - 1, min(num_frames, MOST_FRAMES))
    return [int(number) for number in shown.round()]


def strip_picture(frames_THWC: Frames) -> Frames:
    """Return the frames side by side, ``[H, W, 3]``, small ones enlarged."""
    frames = frames_THWC[shown_frames(len(frames_THWC))]
    times = max(1, -(-SMALLEST_SIDE // frames.shape[1]))
    frames = frames.repeat(times, axis=1).repeat(times, axis=2)
    padded = np.pad(frames, ((0, 0), (0, 0), (0, GAP), (0, 0)), constant_values=WHITE)
    picture: Frames = np.concatenate(list(padded), axis=1)[:, :-GAP]
    return picture


def write_sheet(strips: Sequence[Strip], out: Path, *, title: str, about: str) -> list[Path]:
    """Write ``out.png`` and ``out.html`` and return their paths.

    Args:
        strips: what is shown, from top to bottom; at least one.
        out: path without a suffix.
        title: above the page.
        about: a sentence under the title.
    """
    pictures = [strip_picture(strip.frames_THWC) for strip in strips]
    captions = [strip.caption for strip in strips]
    out.parent.mkdir(parents=True, exist_ok=True)
    png, page = out.with_name(f"{out.name}.png"), out.with_name(f"{out.name}.html")
    with write_aside(png) as aside:
        aside.write_bytes(_sheet_png(pictures, captions))
    figures = "\n".join(
        f"<figure><figcaption>{html.escape(caption)}</figcaption>"
        f'<img alt="" src="data:image/png;base64,{_base64(picture)}"></figure>'
        for picture, caption in zip(pictures, captions, strict=True)
    )
    content = _PAGE.format(title=html.escape(title), about=html.escape(about), figures=figures)
    with write_aside(page) as aside:
        aside.write_text(content, encoding="utf-8")
    return [png, page]


def _base64(picture: Frames) -> str:
    from matplotlib.image import imsave

    buffer = io.BytesIO()
    imsave(buffer, picture, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _sheet_png(pictures: Sequence[Frames], captions: Sequence[str]) -> bytes:
    """Return all strips below each other, each pixel of a strip one of the sheet."""
    from matplotlib.figure import Figure

    width = max(picture.shape[1] for picture in pictures)
    width = max([width, *(LETTER * len(caption) for caption in captions)])
    height = sum(picture.shape[0] + LINE for picture in pictures)
    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    top = height
    for picture, caption in zip(pictures, captions, strict=True):
        figure.text(0.0, (top - LINE * 0.75) / height, caption, fontsize=9)
        top -= LINE
        figure.figimage(picture, xo=0, yo=top - picture.shape[0], origin="upper")
        top -= picture.shape[0]
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    return buffer.getvalue()
