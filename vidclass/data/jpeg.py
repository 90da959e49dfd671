"""Frames as JPEG: how a video is packed into a shard, and how it is read from there.

A packed video is its frames' JPEGs one after the other, then a table of ``T + 1`` little-endian
64-bit offsets from the video's first byte: where each JPEG begins, and where the last one ends.
Chroma is not subsampled: frames that were scaled down have as much of it as of brightness.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import simplejpeg

from vidclass.data.decoded import Frames
from vidclass.data.video_frames import NUM_CHANNELS, in_three_channels

__all__ = ["JpegFrames", "encode_frame", "offset_table", "through_jpeg"]

OFFSET = np.dtype("<u8")


def encode_frame(frame: Frames, quality: int) -> bytes:
    """Return a frame ``[H, W, C]`` (1 or 3 channels) as JPEG."""
    colorspace = "GRAY" if frame.shape[2] == 1 else "RGB"
    encoded: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(frame), quality=quality, colorspace=colorspace, colorsubsampling="444"
    )
    return encoded


def offset_table(sizes: Sequence[int]) -> bytes:
    """Return the table of frames of ``sizes`` bytes."""
    return np.cumsum([0, *sizes]).astype(OFFSET).tobytes()


def through_jpeg(frames: Frames, quality: int) -> Frames:
    """Return frames ``[T, H, W, C]`` as a store of this quality gives them, ``[T, H, W, 3]``."""
    encoded = [encode_frame(frame, quality) for frame in frames]
    packed = np.frombuffer(b"".join(encoded) + offset_table([len(e) for e in encoded]), np.uint8)
    return JpegFrames(packed, frames.shape[:3], frames.shape[3])[:]


class JpegFrames:
    """A packed video, read like an array ``[T, H, W, 3]``; only frames asked for are decoded.

    Args:
        packed: the video's bytes; a view of a mapped shard.
        sides: T, H and W.
        num_channels: of the JPEGs; a single one is given three times.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self, packed: npt.NDArray[np.uint8], sides: tuple[int, ...], num_channels: int = 3
    ) -> None:
        self.shape = (*sides, NUM_CHANNELS)
        self._packed = packed
        self._num_channels = num_channels
        table = packed[len(packed) - (sides[0] + 1) * OFFSET.itemsize :]
        self._offsets = table.view(OFFSET)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> Frames:
        """Return frames: ``key`` is a number, a slice or an array of numbers.

        In a tuple it may be followed by rows, columns and channels.
        """
        first, *rest = key if isinstance(key, tuple) else (key,)
        numbers = np.arange(self.shape[0])[first]
        # A clip that repeats a frame (a short video's last one) decodes it once.
        wanted, place = np.unique(numbers, return_inverse=True)
        decoded = self._decoded(wanted)
        if numbers.ndim == 0:
            one: Frames = decoded[(0, *rest)]
            return one
        frames = decoded if np.array_equal(wanted, numbers) else decoded[place]
        return frames[(slice(None), *rest)] if rest else frames

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all frames as an array, for ``numpy.asarray``."""
        return self[:] if dtype is None else self[:].astype(dtype)

    def _decoded(self, numbers: npt.NDArray[np.intp]) -> Frames:
        shape = (len(numbers), *self.shape[1:3])
        stored: Frames = np.empty((*shape, self._num_channels), dtype=np.uint8)
        colorspace = "GRAY" if self._num_channels == 1 else "RGB"
        for frame, number in zip(stored, numbers.tolist(), strict=True):
            encoded = self._packed[self._offsets[number] : self._offsets[number + 1]]
            simplejpeg.decode_jpeg(encoded, colorspace=colorspace, buffer=frame)
        return in_three_channels(stored) if self._num_channels == 1 else stored
