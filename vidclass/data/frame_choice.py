"""Which frames of a file are kept, and how large: pure functions of times and sizes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidclass.data.decoded import DecodeError

__all__ = ["FrameChoice", "choose_frames", "frames_of_part", "scaled_size"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
ROUNDING_S = 1e-6  # so that a part from 1.0 s on begins with the frame at 30 / 30 s


@dataclass(frozen=True)
class FrameChoice:
    """Size, rate and part to decode; see :class:`vidclass.data.store_options.StoreOptions`."""

    short_side: int | None = None
    fps: float | None = None
    stride: int | None = None
    num_frames: int | None = None
    start_s: float | None = None
    """Where the video begins in the file, counted from the file's first frame."""
    end_s: float | None = None
    """Where it ends; the frame that is shown from then on no longer belongs to it."""

    @property
    def is_part(self) -> bool:
        """Whether only a part of the file is the video."""
        return self.start_s is not None or self.end_s is not None


def scaled_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Return height and width with the short side scaled down to ``short_side``, never up."""
    if short_side is None or min(height, width) <= short_side:
        return height, width
    factor = short_side / min(height, width)
    return round(height * factor), round(width * factor)


def frames_of_part(times_s: Float64, choice: FrameChoice) -> tuple[int, int]:
    """Return the first frame of the part that ``choice`` names, and the one behind its last.

    A part that is shorter than a frame is the frame shown at its start. One that ends behind the
    file ends with it.

    Raises:
        DecodeError: when the part begins behind the last frame.
    """
    since_s = times_s - times_s[0]
    start_s = choice.start_s or 0.0
    if start_s > since_s[-1] + ROUNDING_S:
        raise DecodeError(
            f"the part from {start_s:g} s on lies behind the last frame of the file, "
            f"which is shown at {since_s[-1]:g} s"
        )
    first = int(np.searchsorted(since_s, start_s - ROUNDING_S))
    stop = len(times_s)
    if choice.end_s is not None:
        stop = int(np.searchsorted(since_s, choice.end_s - ROUNDING_S))
    if stop <= first:
        first = max(0, int(np.searchsorted(since_s, start_s + ROUNDING_S)) - 1)
        stop = first + 1
    return first, stop


def choose_frames(times_s: Float64, fps: float, choice: FrameChoice) -> tuple[Int64, float]:
    """Return which of the frames shown at ``times_s`` are kept, and the rate of those.

    A rate is met by the nearest frame in time, so that files of varying rate keep their speed. A
    file slower than the rate keeps all its frames and its own rate.

    Raises:
        DecodeError: when the part begins behind the last frame.
    """
    first, stop = frames_of_part(times_s, choice)
    numbers, kept_fps = _of_all(times_s[first:stop], fps, choice)
    return first + numbers, kept_fps


def _of_all(times_s: Float64, fps: float, choice: FrameChoice) -> tuple[Int64, float]:
    total = len(times_s)
    if choice.stride is not None:
        return np.arange(0, total, choice.stride), fps / choice.stride
    if choice.num_frames is not None and choice.num_frames < total:
        middles = (np.arange(choice.num_frames) + 0.5) * total / choice.num_frames
        return middles.astype(np.int64), fps * choice.num_frames / total
    if choice.fps is None or choice.fps >= fps:
        return np.arange(total), fps
    span_s = times_s[-1] - times_s[0]
    wanted = times_s[0] + np.arange(int(span_s * choice.fps + 1e-6) + 1) / choice.fps
    middles = (times_s[1:] + times_s[:-1]) / 2  # frame k is nearest between two middles
    return np.searchsorted(middles, wanted - 1e-6), choice.fps
