"""Best accuracy that any classifier can reach on `moving_shapes`, from the motion laws alone.

A clip moves one of four quantities (x, y, angle, log size) around a circle, by +q or -q cycles a
frame, q uniform over ``rate``, from a uniform start. Which quantity moves shows in any two frames;
its sense shows unless +q and -q' lead to the same places. The ceilings hold for noise-free frames,
so a measured accuracy above one (by more than its interval) means that something leaks.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

__all__ = ["NUM_CLASSES", "RATE", "oracle_ceiling", "sense_ceiling"]

NUM_CLASSES = 8
RATE = (0.04, 0.08)  # cycles a frame, in all presets

Order = Literal["kept", "shuffled", "reversed", "frozen"]


def oracle_ceiling(
    indices: Sequence[int],
    *,
    uses_order: bool = True,
    order: Order = "kept",
    rate: tuple[float, float] = RATE,
) -> float:
    """Return the largest accuracy that frames ``indices`` of a clip allow.

    - One frame, or one frame repeated, has the same law in every class: 1/8.
    - Frames without their order (averaged scores, or shuffled in training and test): the reversal
      of a clip is a clip of the opposite class, so the sense is a guess: 1/2. A bound, not a value
      that a sum of frame scores need reach.
    - Frames in order: every difference of two frames shows q times their distance, modulo one turn,
      so together they show q times the greatest common divisor of the distances.

    Args:
        indices: which frames of the file an arm sees, in frames of the file (10 a second).
        uses_order: False for arms that add up scores of single frames.
        order: what the protocol does to the frames, in training and test alike.
        rate: smallest and largest speed in cycles a frame.
    """
    distinct = sorted(set(indices))
    if len(distinct) < 2 or order == "frozen":
        return 1 / NUM_CLASSES
    ordered = sense_ceiling(math.gcd(*np.diff(distinct).tolist()), rate)
    mirrored = sorted(distinct[0] + distinct[-1] - index for index in indices)
    orderless = not uses_order or order == "shuffled"
    # Unevenly spaced frames could betray their order, so they keep the higher bound.
    return 0.5 if orderless and mirrored == sorted(indices) else ordered


def sense_ceiling(frame_distance: int, rate: tuple[float, float] = RATE) -> float:
    """Return how often two frames ``frame_distance`` apart show the sense of a motion.

    The phase between them is +q d or -q d modulo 1, of densities f and its mirror image; Bayes'
    rule is right with probability (1/2) times the integral of their maximum. Both are constant
    between the ends of the interval of q d, folded into one turn.
    """
    low, high = rate[0] * frame_distance, rate[1] * frame_distance
    ends = np.array([low, high])
    breaks = np.unique(np.concatenate([ends % 1.0, -ends % 1.0, [0.0, 1.0]]))
    middles, widths = (breaks[1:] + breaks[:-1]) / 2, np.diff(breaks)
    forward = _turns_within(middles, low, high) / (high - low)
    backward = _turns_within(1.0 - middles, low, high) / (high - low)
    return round(float(0.5 * (np.maximum(forward, backward) * widths).sum()), 12)


def _turns_within(
    phase: npt.NDArray[np.float64], low: float, high: float
) -> npt.NDArray[np.float64]:
    """Return how many of ``phase + 0, 1, 2, ...`` lie between ``low`` and ``high``."""
    turns_1N = np.arange(math.floor(low), math.ceil(high) + 1)[None, :]
    places_PN = phase[:, None] + turns_1N
    counted: npt.NDArray[np.float64] = ((places_PN > low) & (places_PN < high)).sum(axis=1) * 1.0
    return counted
