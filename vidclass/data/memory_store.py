"""Decoded videos that need no files: what ``ClipDataset`` asks of a store, and no more."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.frame_store import FrameStore

__all__ = ["MemoryStore"]


class MemoryStore(FrameStore):
    """A store of videos in memory.

    Args:
        decoded: frames uint8 ``[T, H, W, 3]`` and their rate, by the video's id.
    """

    def __init__(self, decoded: dict[str, tuple[npt.NDArray[np.uint8], float]]) -> None:
        rows = [
            (name, "memory", 0, *frames.shape[:3], fps) for name, (frames, fps) in decoded.items()
        ]
        columns = ["video_id", "shard", "offset", "T", "H", "W", "fps"]
        super().__init__(Path(), pd.DataFrame(rows, columns=columns))
        self._decoded = decoded

    def frames(self, video_id: str) -> npt.NDArray[np.uint8]:
        """Return the frames of a video, uint8 ``[T, H, W, 3]``."""
        return self._decoded[video_id][0]
