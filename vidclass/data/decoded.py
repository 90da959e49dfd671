"""What decoding a file gives, and the error that says why it gives nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["Begin", "DecodeError", "Decoded", "Frames", "ProbeResult", "Write", "file_facts"]

Frames = npt.NDArray[np.uint8]
Begin = Callable[[int, int], object]
"""Told before the first frames of a file, with its upright height and width in pixels, and again
where another reader starts over: what was written since is void."""
Write = Callable[[Frames], object]
"""Given the frames of a file chunk by chunk, uint8 RGB ``[t, H, W, 3]``."""


class DecodeError(Exception):
    """A file that cannot be decoded, and why, in words for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class ProbeResult:
    """What a file is: upright width and height in pixels, fps averaged over the file.

    Where only a part of the file is the video, ``num_frames`` and ``duration_s`` are the part's.
    """

    num_frames: int
    fps: float
    width: int
    height: int
    duration_s: float
    bitrate_bps: float


@dataclass(frozen=True)
class Decoded:
    """What was decoded: the file, the frames that were kept of it, and what read them.

    Attributes:
        reader: ``decord``; ``decord, in order`` where its random access was found to be off and
            every frame was decoded in turn; ``pyav``; ``images`` for a folder of images. With
            ``, apart`` where it ran in a process of its own, after a crash.
    """

    probe: ProbeResult
    num_frames: int
    height: int
    width: int
    fps: float
    reader: str


def file_facts(
    path: Path, num_frames: int, fps: float, height: int, width: int, *, in_part: int | None = None
) -> ProbeResult:
    """Return what a file of ``num_frames`` frames is, ``in_part`` of which are the video."""
    bitrate_bps = path.stat().st_size * 8 * fps / num_frames
    wanted = num_frames if in_part is None else in_part
    return ProbeResult(wanted, fps, width, height, wanted / fps, bitrate_bps)
