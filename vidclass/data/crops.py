"""How frames are cut to the arm's square input, as pure functions.

Legend: T frames, H height, W width, C colours, S input size.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from pydantic import BaseModel, ConfigDict, Field

from vidclass.data.video_frames import VideoFrames

__all__ = [
    "PAD_VALUE",
    "Corner",
    "CropOptions",
    "Geometry",
    "corner_patch",
    "cut",
    "place",
    "resize",
    "scaled_size",
]

Frames = npt.NDArray[np.uint8]
Geometry = Literal["pad", "crop", "squash"]
TestCrop = Literal["centre", "three", "five"]
Corner = Literal["top_left", "top_right", "bottom_left", "bottom_right"]

PAD_VALUE = 128  # mid-grey: 0 after the models' default normalisation
MIDDLE = 0.5 - 1e-6  # an even slack has two middles: the first
END = 1 - 1e-6
NUM_PLACES = {"centre": 1, "three": 3, "five": 5}
CORNERS: dict[Corner, tuple[int, int]] = {
    "top_left": (0, 0),
    "top_right": (0, 1),
    "bottom_left": (1, 0),
    "bottom_right": (1, 1),
}


class CropOptions(BaseModel):
    """Which part of a scaled frame is shown, where geometry leaves a choice."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    train: Literal["random", "centre"] = "random"
    """Place of the cut in training: drawn for each clip, or the middle."""
    test: TestCrop = "centre"
    """Cuts scored of every window in evaluation: the middle; `three` along the long side; `five`,
    the corners and the middle. A video is scored on `views` times as many clips."""
    scale: float = Field(default=1.0, ge=1, le=4)
    """The short side is scaled to this many input sizes before the cut: 1.143 for 256 and 224."""
    corner: Corner | None = None
    """A control, not a crop to win with: only this corner of the frame is shown, in training and
    evaluation, so that a model that does well with it has found something beside the behaviour."""
    corner_share: float = Field(default=0.25, gt=0, le=0.5)
    """Side of the corner's square, as a share of the frame's short side. It is scaled to the input
    size, up too."""

    @property
    def num_places(self) -> int:
        """How many cuts of a window an evaluation scores."""
        return 1 if self.corner else NUM_PLACES[self.test]


def place(test: TestCrop, index: int, *, height: int, width: int) -> tuple[float, float]:
    """Return where cut ``index`` of an evaluation lies in the slack, (down, right) from 0 to 1."""
    if test == "centre":
        return MIDDLE, MIDDLE
    if test == "three":
        along = (0.0, MIDDLE, END)[index]
        return (along, MIDDLE) if height > width else (MIDDLE, along)
    return ((0.0, 0.0), (0.0, END), (END, 0.0), (END, END), (MIDDLE, MIDDLE))[index]


def scaled_size(
    height: int, width: int, size: int, geometry: Geometry, scale: float = 1.0
) -> tuple[int, int]:
    """Return height and width after scaling down for ``geometry`` and before cutting or padding."""
    if geometry == "squash":
        side = round(size * scale)
        return side, side
    side = min(height, width) if geometry == "crop" else max(height, width)
    factor = size * scale / side
    return max(1, round(height * factor)), max(1, round(width * factor))


def cut(
    frames_THWC: VideoFrames,
    shown: slice | npt.NDArray[np.int64],
    where: tuple[float, float],
    geometry: Geometry,
    out_TSSC: Frames,
    scale: float = 1.0,
) -> None:
    """Write the frames ``shown`` of a video into ``out_TSSC`` by the geometry.

    Args:
        frames_THWC: all frames of the video, uint8 ``[T, H, W, 3]``.
        shown: which of them.
        where: place of the cut in the slack, (down, right) from 0 to below 1.
        geometry: how a frame becomes square.
        out_TSSC: uint8 ``[T, S, S, 3]``.
        scale: input sizes to which the side is scaled before the cut.
    """
    size = out_TSSC.shape[1]
    height, width = scaled_size(frames_THWC.shape[1], frames_THWC.shape[2], size, geometry, scale)
    top = int(where[0] * (height - size + 1)) if height > size else 0
    left = int(where[1] * (width - size + 1)) if width > size else 0
    if (height, width) == frames_THWC.shape[1:3]:
        clip = frames_THWC[shown, top : top + size, left : left + size]
    else:
        clip = resize(frames_THWC[shown], height, width)[:, top : top + size, left : left + size]
    if clip.shape[1:3] == (size, size):
        out_TSSC[:] = clip
        return
    out_TSSC[:] = PAD_VALUE
    down, right = (size - clip.shape[1]) // 2, (size - clip.shape[2]) // 2
    out_TSSC[:, down : down + clip.shape[1], right : right + clip.shape[2]] = clip


def corner_patch(frames_THWC: Frames, corner: Corner, share: float) -> Frames:
    """Return a view of the square in one corner, its side ``share`` of the short side."""
    height, width = frames_THWC.shape[1:3]
    side = max(1, round(share * min(height, width)))
    down, right = CORNERS[corner]
    top, left = down * (height - side), right * (width - side)
    return frames_THWC[:, top : top + side, left : left + side]


def resize(frames_THWC: Frames, height: int, width: int) -> Frames:
    """Scale with antialiasing (bilinear, a triangle as wide as the factor)."""
    x_TCHW = torch.from_numpy(np.array(frames_THWC)).permute(0, 3, 1, 2)
    y_TCHW = F.interpolate(x_TCHW, size=(height, width), mode="bilinear", antialias=True)
    resized: Frames = y_TCHW.permute(0, 2, 3, 1).numpy()
    return resized
