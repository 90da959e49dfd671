"""The window of a video that the arms of a study look at, and which of its frames an arm sees.

Legend: N videos, W frames of a window, T frames that an arm sees.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidclass.errors import UserError

__all__ = ["FramePositions", "Window", "frame_offsets"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

ROUNDING = 1e-6  # so that 9 * 0.1 s at 10 fps is frame 9 whatever the last bit says


def frame_offsets(step_N: Float64, num_frames: int) -> Int64:
    """Return the frames of windows that start at frame 0, ``[N, W]``.

    Args:
        step_N: frames from one frame of the window to the next.
        num_frames: W.
    """
    offsets_NW = np.floor(step_N[:, None] * np.arange(num_frames) + 0.5 + ROUNDING)
    return offsets_NW.astype(np.int64)


@dataclass(frozen=True)
class Window:
    """The footage that every arm of a study shares.

    Frame ``k`` lies at ``start + k * span_s / num_frames`` seconds; the nearest stored frame is
    taken. A video that is shorter repeats its last frame.
    """

    span_s: float
    num_frames: int

    def __post_init__(self) -> None:
        """Refuse empty windows."""
        if not self.span_s > 0 or self.num_frames < 1:
            raise UserError(
                "a window has a span above 0 seconds and at least one frame",
                f"span_s={self.span_s}, num_frames={self.num_frames}",
                "for example span_s: 1.0 and num_frames: 10",
            )

    def steps(self, fps_N: Float64) -> Float64:
        """Return the stored frames from one frame of the window to the next, ``[N]``."""
        return np.asarray(fps_N, dtype=np.float64) * (self.span_s / self.num_frames)

    def frame_offsets(self, fps_N: Float64) -> Int64:
        """Return the frames of a window that starts at frame 0, ``[N, W]``."""
        return frame_offsets(self.steps(fps_N), self.num_frames)


@dataclass(frozen=True)
class FramePositions:
    """Which frames of the window an arm sees.

    Args:
        indices: positions in the window, in the order in which the arm sees them.
        random: instead one frame of the whole window, drawn a clip by (seed, epoch) in training
            and by a hash of the video id in evaluation; ``indices`` then only holds a place.
    """

    indices: tuple[int, ...]
    random: bool = False

    @property
    def num_frames(self) -> int:
        """Number of frames of a clip (T)."""
        return 1 if self.random else len(self.indices)
