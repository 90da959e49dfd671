"""Which stored frames the clips of a data set show, as pure functions of arrays.

A choice is of one of two families. A *window* has its frames at fixed distances from a start, and
only the start is chosen (random, uniform, dense, first, last, fixed). *Spread* frames cover all of
the usable footage, however long it is (segment, even, scattered), which turns duration into speed.

Legend: N videos, B clips, W frames of a window, V views.
"""

from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "ClipChoice",
    "even_frames",
    "scattered_frames",
    "segment_frames",
    "usable_frames",
    "view_shares",
    "window_frames",
    "window_starts",
]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

ROUNDING = 1e-6  # so that 0.29 of 100 frames are 29, whatever the last bit says

Kind = Literal[
    "random", "uniform", "dense", "segment", "even", "scattered", "first", "last", "fixed"
]
SPREAD = frozenset({"segment", "even", "scattered"})
"""Kinds whose frames cover all of the footage instead of a window of it."""
ONE_VIEW = frozenset({"even", "first", "last", "fixed"})
"""Kinds that show the same frames in every view of an evaluation."""


class ClipChoice(BaseModel):
    """Which frames of a video a clip shows; the window says how many."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    kind: Kind = "random"
    """Windows of `window.span_s` seconds: `random` (drawn for each clip in training, `views` of
    them evenly spaced in evaluation), `uniform` (the same, but training goes through the windows
    that lie back to back, the next one in each epoch), `first`, `last`, `fixed` (at `start_s`);
    `dense` is `random` with frames `stride` apart instead of `span_s`. Spread over the whole
    footage: `segment` (as TSN: one frame a segment, drawn in training, its middle in evaluation),
    `even` (first, last and evenly between), `scattered` (drawn without replacement, then sorted;
    in evaluation the video and the view decide)."""
    from_share: float = Field(default=0.0, ge=0, lt=1)
    """Where the usable footage of a video begins, as a share of it."""
    to_share: float = Field(default=1.0, gt=0, le=1)
    """Where the usable footage of a video ends."""
    start_s: float = Field(default=0.0, ge=0)
    """Second at which `fixed` begins, counted from the begin of the usable footage. Only with kind
    fixed."""
    stride: int = Field(default=1, ge=1, le=256)
    """Stored frames from one frame of a `dense` clip to the next. Only with kind dense."""
    jitter: float = Field(default=0.0, ge=0, le=0.5)
    """Temporal jitter in training: each frame of a window moves by up to this share of the distance
    between two frames, at random. At most 0.5 keeps their order."""
    speed_jitter: float = Field(default=0.0, ge=0, lt=1)
    """In training the window of each clip is up to this much longer or shorter, 0.2 for 0.8 to 1.2
    times its span, so that motion is faster or slower. Wrong where a class means a speed."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.from_share < self.to_share:
            raise ValueError(
                f"from_share lies below to_share; received {self.from_share} and {self.to_share}"
            )
        if (self.jitter or self.speed_jitter) and self.is_spread:
            raise ValueError(
                "jitter and speed_jitter belong to kinds that have a window; received kind "
                f"{self.kind}; instead: random, uniform or dense"
            )
        return self

    @property
    def is_spread(self) -> bool:
        """Whether the frames cover all of the footage instead of a window."""
        return self.kind in SPREAD


def usable_frames(
    first_N: Int64, last_N: Int64, from_share: float, to_share: float
) -> tuple[Int64, Int64]:
    """Return the first and last frame of the part of each video between two shares.

    A frame of which any part lies inside counts; there is always one.

    Args:
        first_N: first frame that a clip may show.
        last_N: last frame that a clip may show, not before the first.
        from_share: 0 is the first frame's begin.
        to_share: 1 is the last frame's end.
    """
    num_N = last_N - first_N + 1
    begin_N = np.floor(num_N * from_share + ROUNDING).astype(np.int64)
    end_N = np.ceil(num_N * to_share - ROUNDING).astype(np.int64) - 1
    return first_N + begin_N, first_N + np.maximum(end_N, begin_N)


def view_shares(views: int) -> Float64:
    """Return where the views of an evaluation lie in the footage, 0 to 1, ``[V]``; one is centred.

    An even number of views has none in the centre.
    """
    return np.arange(views) / (views - 1) if views > 1 else np.array([0.5])


def window_starts(
    choice: ClipChoice,
    first_N: Int64,
    last_start_N: Int64,
    *,
    fps_N: Float64,
    stretch_N: Int64,
    drawn_N: Int64,
    turn_N: Int64,
) -> Int64:
    """Return where the training clips of a pass begin, ``[N]``.

    Args:
        choice: a kind that has a window.
        first_N: first usable frame.
        last_start_N: last frame at which a window may begin.
        fps_N: stored frames a second.
        stretch_N: frames from the begin of a window to the begin of the one that follows it.
        drawn_N: a random start between the two.
        turn_N: which of the windows back to back it is the turn of, of any size.
    """
    match choice.kind:
        case "uniform":
            num_N: Int64 = (last_start_N - first_N) // stretch_N + 1
            begin_N: Int64 = turn_N % num_N * stretch_N
            return first_N + begin_N
        case "first":
            return first_N
        case "last":
            return last_start_N
        case "fixed":
            wanted_N = np.floor(fps_N * choice.start_s + 0.5 + ROUNDING).astype(np.int64)
            shift_N: Int64 = np.minimum(wanted_N, last_start_N - first_N)
            return first_N + shift_N
        case _:
            return drawn_N


def window_frames(
    start_B: Int64,
    step_B: Float64,
    num_frames: int,
    first_B: Int64,
    last_B: Int64,
    *,
    speed_B: Float64,
    jitter_BW: Float64,
) -> Int64:
    """Return the frames of windows whose time is stretched and jittered, ``[B, W]``.

    A window that the stretch makes too long for its footage begins earlier; one that is longer than
    all of the footage repeats the last frame.

    Args:
        start_B: first frame of the window as it was.
        step_B: frames from one frame of the window to the next, before the stretch.
        num_frames: W.
        first_B: first usable frame.
        last_B: last usable frame.
        speed_B: the stretch; 1 is none.
        jitter_BW: what is added to each frame, in steps.
    """
    step_B1 = (step_B * speed_B)[:, None]
    offsets_BW = step_B1 * (np.arange(num_frames) + jitter_BW)
    length_B = (step_B1 * (num_frames - 1))[:, 0]
    fitting_B = np.maximum(np.floor(last_B - length_B), first_B)
    frames_BW = np.minimum(start_B, fitting_B)[:, None] + offsets_BW
    nearest_BW: Int64 = np.floor(frames_BW + 0.5 + ROUNDING).astype(np.int64)
    return nearest_BW.clip(first_B[:, None], last_B[:, None])


def segment_frames(first_B: Int64, last_B: Int64, phase_BW: Float64) -> Int64:
    """Return one frame of each of W equal segments (Wang et al. 2016), ``[B, W]``.

    Footage shorter than W frames shows some of them more than once.

    Args:
        first_B: first usable frame.
        last_B: last usable frame.
        phase_BW: place in each segment, 0 to below 1.
    """
    num_segments = phase_BW.shape[1]
    num_B1 = (last_B - first_B + 1)[:, None]
    places_BW = num_B1 * (np.arange(num_segments) + phase_BW) / num_segments
    frames_BW = first_B[:, None] + np.floor(places_BW + ROUNDING).astype(np.int64)
    inside_BW: Int64 = frames_BW.clip(max=last_B[:, None])
    return inside_BW


def even_frames(first_B: Int64, last_B: Int64, num_frames: int) -> Int64:
    """Return W frames from the first to the last at even distances, ``[B, W]``; one is centred."""
    length_B1 = (last_B - first_B)[:, None]
    places_BW = length_B1 * view_shares(num_frames)
    return first_B[:, None] + np.floor(places_BW + 0.5 + ROUNDING).astype(np.int64)


def scattered_frames(first_B: Int64, last_B: Int64, num_frames: int, key_B: Int64) -> Int64:
    """Return W different frames drawn at random and sorted, ``[B, W]``.

    Footage shorter than W frames shows all of them, then repeats the last.

    Args:
        first_B: first usable frame.
        last_B: last usable frame.
        num_frames: W.
        key_B: decides what is drawn, clip by clip.
    """
    frames_BW: Int64 = np.repeat(last_B[:, None], num_frames, axis=1)
    num_B = (last_B - first_B + 1).tolist()
    for row, (num, key) in enumerate(zip(num_B, key_B.tolist(), strict=True)):
        generator = np.random.Generator(np.random.Philox(key))
        drawn = min(num, num_frames)
        chosen = generator.choice(num, drawn, replace=False, shuffle=False)
        frames_BW[row, :drawn] = first_B[row] + np.sort(chosen)
    return frames_BW
