"""What happens to decoded frames before they are stored: greyscale, lighting, masks.

No label is looked at, and nothing but the video itself: one shift and factor for all frames of a
video, so that what changes in time inside it is kept.

Lighting: each channel's mean, or mean and standard deviation, are brought to fixed values, as
Reinhard et al. bring an image to those of another (Color transfer between images, IEEE CG&A 2001),
here in RGB. Pixels under a mask do not count: a burnt-in clock says nothing of the light.
"""

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from vidclass.data.decoded import DecodeError, Frames, Write
from vidclass.data.store_options import Mask, StoreOptions

__all__ = ["Box", "FrameChanges", "hidden_box", "lighting_table", "to_grey"]

BLANK = 128  # mid-grey, as clips are padded with: 0 after the usual normalisation
MARGIN = 2  # stored pixels: scaling and the decoder's chroma mix neighbours
TARGET_MEAN, TARGET_STD = 128.0, 48.0
LEAST_STD = 8.0  # a flat video is not stretched until its noise fills the range
HELD_BYTES = 256 * 2**20  # of a video that waits for its own mean; beyond, it waits on the disk


class Box(NamedTuple):
    """Rows and columns of a stored frame that are hidden."""

    top: int
    bottom: int
    left: int
    right: int
    fill: Literal["blank", "blur"]


class FrameChanges:
    """Changes frames on their way from the decoder to where they are stored.

    Args:
        options: the store's.
        write: given the changed frames, ``[t, H, W, C]``.
        scratch: folder for a video that waits for its own mean and is too long for memory.
    """

    def __init__(self, options: StoreOptions, write: Write, scratch: Path | None = None) -> None:
        self._options = options
        self._write = write
        self._scratch = scratch
        self._source = (0, 0)
        self._boxes: list[Box] | None = None
        self._waiting: _Waiting | None = None

    def begin(self, height: int, width: int) -> None:
        """Start a video whose file's upright frames have these sides."""
        self._source = (height, width)
        self._boxes = None
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = _Waiting(self._scratch) if self._options.lighting else None

    def write(self, frames: Frames) -> None:
        """Take frames ``[t, H, W, 3]`` of the video.

        Raises:
            DecodeError: when a mask lies outside the file's frames.
        """
        if self._options.greyscale:
            frames = to_grey(frames)
        if self._boxes is None:
            stored = (frames.shape[1], frames.shape[2])
            self._boxes = [hidden_box(mask, self._source, stored) for mask in self._options.masks]
        if self._waiting is not None:
            self._waiting.add(frames, self._boxes)
        else:
            self._write(_hidden(frames, self._boxes))

    def end(self) -> None:
        """Finish the video: write what waited for its mean."""
        if self._waiting is None or self._options.lighting is None:
            return
        table = lighting_table(self._waiting.counts, self._options.lighting)
        for frames in self._waiting.frames():
            self._write(_hidden(_looked_up(frames, table), self._boxes or []))
        self._waiting.close()
        self._waiting = None


def to_grey(frames: Frames) -> Frames:
    """Return the brightness of RGB frames ``[t, H, W, 3]`` (ITU-R BT.601), ``[t, H, W, 1]``."""
    grey: Frames = np.array(_as_image(frames).convert("L"))
    return grey.reshape(*frames.shape[:3], 1)


def hidden_box(mask: Mask, source: tuple[int, int], stored: tuple[int, int]) -> Box:
    """Return what ``mask`` hides of a stored frame, widened to whole pixels and by ``MARGIN``.

    Args:
        mask: the rectangle.
        source: height and width of the file's upright frames.
        stored: height and width of the stored frames.

    Raises:
        DecodeError: when the rectangle lies outside the file's frames: a clock that is elsewhere
            would stay in sight.
    """
    height, width = source if mask.unit == "pixels" else (1, 1)
    if mask.left >= width or mask.top >= height:
        raise DecodeError(
            f"a mask lies outside the frames of this file, which are {width} x {height} pixels: "
            f"left {mask.left:g}, top {mask.top:g}"
        )
    rows, columns = stored[0] / height, stored[1] / width
    top, left = mask.top * rows + 1e-6, mask.left * columns + 1e-6
    bottom, right = mask.bottom * rows - 1e-6, mask.right * columns - 1e-6
    return Box(
        max(0, math.floor(top) - MARGIN),
        min(stored[0], math.ceil(bottom) + MARGIN),
        max(0, math.floor(left) - MARGIN),
        min(stored[1], math.ceil(right) + MARGIN),
        mask.fill,
    )


def lighting_table(
    counts: npt.NDArray[np.int64], lighting: Literal["mean", "mean_std"]
) -> npt.NDArray[np.uint8]:
    """Return what each value of each channel becomes, ``[C, 256]``.

    Args:
        counts: how often each value occurs in each channel of the video, ``[C, 256]``.
        lighting: bring the mean to 128, or also the standard deviation to 48.
    """
    values = np.arange(256, dtype=np.float64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    mean = share @ values
    factor = np.ones(len(counts))
    if lighting == "mean_std":
        std = np.sqrt((share * (values - mean[:, None]) ** 2).sum(axis=1))
        factor = TARGET_STD / np.maximum(std, LEAST_STD)
    changed = TARGET_MEAN + (values - mean[:, None]) * factor[:, None]
    table: npt.NDArray[np.uint8] = np.clip(np.rint(changed), 0, 255).astype(np.uint8)
    return table


class _Waiting:
    """The frames of a video whose mean is not known yet, and how often each value occurs."""

    def __init__(self, scratch: Path | None) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros((0, 256), dtype=np.int64)
        self._file = tempfile.SpooledTemporaryFile(
            HELD_BYTES, dir=None if scratch is None else str(scratch)
        )
        self._shapes: list[tuple[int, ...]] = []

    def add(self, frames: Frames, boxes: Sequence[Box]) -> None:
        """Keep frames, and count their values where nothing hides them."""
        image = _as_image(frames)
        counted = None
        if boxes:
            seen = np.full(frames.shape[:3], 255, dtype=np.uint8)
            for box in boxes:
                seen[:, box.top : box.bottom, box.left : box.right] = 0
            counted = Image.fromarray(seen.reshape(-1, frames.shape[2]))
        counts = np.array(image.histogram(counted), dtype=np.int64).reshape(-1, 256)
        self.counts = counts if not len(self.counts) else self.counts + counts
        self._file.write(np.ascontiguousarray(frames).data)
        self._shapes.append(frames.shape)

    def frames(self) -> Iterator[Frames]:
        """Yield the frames again, in the chunks in which they came."""
        self._file.seek(0)
        for shape in self._shapes:
            block = self._file.read(math.prod(shape))
            yield np.frombuffer(block, dtype=np.uint8).reshape(shape)

    def close(self) -> None:
        """Forget the frames."""
        self._file.close()


def _as_image(frames: Frames) -> Image.Image:
    """Return frames ``[t, H, W, C]`` as one tall image: Pillow works through it at once."""
    tall = np.ascontiguousarray(frames).reshape(-1, *frames.shape[2:])
    return Image.fromarray(tall if frames.shape[3] == 3 else tall[..., 0])


def _looked_up(frames: Frames, table: npt.NDArray[np.uint8]) -> Frames:
    changed: Frames = np.array(_as_image(frames).point(table.ravel().tolist()))
    return changed.reshape(frames.shape)


def _hidden(frames: Frames, boxes: Sequence[Box]) -> Frames:
    """Return frames with the boxes filled."""
    if boxes and not frames.flags.writeable:
        frames = frames.copy()
    for box in boxes:
        inside = frames[:, box.top : box.bottom, box.left : box.right]
        if box.fill == "blank":
            inside[:] = BLANK
        else:
            sigma = min(inside.shape[1:3]) / 2
            blurred = gaussian_filter(inside.astype(np.float32), (0, sigma, sigma, 0))
            inside[:] = blurred.round()
    return frames
