"""What a store gives of a video: an array, or something that is indexed like one."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from vidclass.data.decoded import Frames

__all__ = ["NUM_CHANNELS", "GreyFrames", "VideoFrames", "in_three_channels"]

NUM_CHANNELS = 3  # of all frames that are read; a grey store gives its one channel three times


class VideoFrames(Protocol):
    """The frames of a video, uint8 ``[T, H, W, 3]``: an array, or what is decoded when indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """T, H, W and 3."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return the frames ``key`` (a slice or array of numbers), perhaps only rows, columns."""


def in_three_channels(grey: Frames) -> Frames:
    """Return ``[..., 1]`` as ``[..., 3]``."""
    # Three strided writes: five times as fast as copying a broadcast view, whose inner step is 0.
    frames = np.empty((*grey.shape[:-1], NUM_CHANNELS), dtype=np.uint8)
    for channel in range(NUM_CHANNELS):
        frames[..., channel] = grey[..., 0]
    return frames


class GreyFrames:
    """Frames ``[T, H, W, 1]`` that are read as ``[T, H, W, 3]``; what is indexed is copied."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, stored: Frames) -> None:
        self.shape: tuple[int, ...] = (*stored.shape[:3], NUM_CHANNELS)
        self._stored = stored

    def __len__(self) -> int:
        """Return the number of frames."""
        return int(self.shape[0])

    def __getitem__(self, key: Any) -> Frames:
        """Return frames, perhaps only rows and columns of them."""
        return in_three_channels(self._stored[key])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all frames as an array, for ``numpy.asarray``."""
        return self[:] if dtype is None else self[:].astype(dtype)
