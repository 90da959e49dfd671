"""What a model is trained on to find out whether it needs the behaviour at all: leak controls.

A model that does as well on a corner of the frame, on the empty scene, or on labels that were dealt
anew, has learned something beside the behaviour, or the split leaks. The corner is a crop
(:mod:`vidclass.data.crops`); the others are here.

Legend: N videos, T frames, H height, W width, C colours.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.frame_store import FrameStore

__all__ = [
    "LeakControl",
    "background_frames",
    "median_background",
    "permuted_labels",
    "static_share",
    "static_share_of",
]

LeakControl = Literal["corner", "background", "permuted_labels"]

Frames = npt.NDArray[np.uint8]

NUM_BACKGROUND_FRAMES = 25  # spread over the footage; more hardly move a median
NUM_LOOKED_AT = 32  # videos that say whether cameras stand
STILL_GREY_LEVELS = 8  # compression noise stays below this


def background_frames(first: int, last: int) -> npt.NDArray[np.int64]:
    """Return the numbers of the frames from ``first`` to ``last`` that a background is made of."""
    num_frames = last - first + 1
    chosen = np.linspace(first, last, min(num_frames, NUM_BACKGROUND_FRAMES))
    return chosen.round().astype(np.int64)


def median_background(frames_THWC: Frames) -> Frames:
    """Return what stands still: the median over time of each pixel, uint8 ``[H, W, 3]``."""
    median: npt.NDArray[np.float64] = np.median(frames_THWC, axis=0)
    return median.astype(np.uint8)


def static_share(frames_THWC: Frames) -> float:
    """Return the share of pixels that mostly keep their value: near 1 for a camera that stands.

    A pixel counts when half of the frames or more lie within a few grey levels of its median.
    """
    grey = frames_THWC.astype(np.int16)
    distance = np.abs(grey - np.median(grey, axis=0)).max(axis=3)
    return float((np.median(distance, axis=0) <= STILL_GREY_LEVELS).mean())


def static_share_of(store: FrameStore, video_ids: Sequence[str]) -> float:
    """Return the median ``static_share`` of some of the videos, evenly spread over the list."""
    chosen = np.linspace(0, len(video_ids) - 1, min(len(video_ids), NUM_LOOKED_AT))
    shares = []
    for number in chosen.round().astype(int):
        frames = store.frames(video_ids[number])
        shares.append(static_share(frames[background_frames(0, frames.shape[0] - 1)]))
    return float(np.median(shares))


def permuted_labels(videos: pd.DataFrame, seed: int) -> pd.Series:
    """Return the labels of ``videos`` dealt anew, so that nothing but a leak can predict them.

    The dependence of videos on their group stays as it is: among groups of one class the classes
    are dealt out to whole groups; in a group of several classes they are dealt out to its videos.

    Args:
        videos: columns ``label`` and ``group``, of all splits together.
        seed: of the deal.

    Returns:
        The new labels, with the index of ``videos``.
    """
    generator = np.random.default_rng(seed)
    labels = videos["label"].copy()
    by_group = videos.groupby("group", sort=True)["label"]
    pure = by_group.nunique() == 1
    of_pure = by_group.first()[pure]
    dealt = dict(zip(of_pure.index, generator.permutation(of_pure.to_numpy()), strict=True))
    for group, rows in by_group.groups.items():
        own = labels.loc[rows].to_numpy()
        labels.loc[rows] = dealt[group] if group in dealt else generator.permutation(own)
    return labels
