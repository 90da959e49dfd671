"""Everything random of one pass over a data set, drawn at once: pure in (seed, epoch, repeat).

Each purpose has a stream of its own: switching the shuffle on leaves windows and cuts as they were.

Legend: N samples, C clips of a pass, W frames of a window, T frames that an arm sees.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vidclass.data.clip_choice import ClipChoice, view_shares, window_starts
from vidclass.data.crops import MIDDLE, CropOptions
from vidclass.data.window import frame_offsets

__all__ = ["DrawPlan", "Draws", "Footage", "draw_evaluation", "draw_training", "joined"]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

ROUNDING = 1e-6
(
    _STREAM_STARTS,
    _STREAM_CROPS,
    _STREAM_POSITIONS,
    _STREAM_ORDER,
    _STREAM_TURNS,
    _STREAM_SPREAD,
    _STREAM_TIME,
) = range(7)


@dataclass(frozen=True)
class Footage:
    """What the clips of each sample may show.

    Args:
        first_N: first usable frame.
        last_N: last usable frame, not before the first.
        fps_N: stored frames a second.
        step_N: stored frames from one frame of a window to the next.
        num_frames: W.
    """

    first_N: Int64
    last_N: Int64
    fps_N: Float64
    step_N: Float64
    num_frames: int

    @cached_property
    def offsets_NW(self) -> Int64:
        """The frames of each sample's window, counted from its start."""
        return frame_offsets(self.step_N, self.num_frames)

    @cached_property
    def last_start_N(self) -> Int64:
        """Last frame at which a window may begin; the first one where the footage is shorter."""
        last_start_N: Int64 = np.maximum(self.last_N - self.offsets_NW[:, -1], self.first_N)
        return last_start_N

    @cached_property
    def stretch_N(self) -> Int64:
        """Frames from the begin of a window to that of the one that lies behind it."""
        stretch_N = np.floor(self.step_N * self.num_frames + 0.5 + ROUNDING).astype(np.int64)
        return np.maximum(stretch_N, 1)


class Draws(NamedTuple):
    """What was drawn for all clips of a pass; None is what is not drawn.

    Attributes:
        starts_C: first frame of the window.
        crops_C2: place of the cut in the slack.
        position_C: the one position of a random frame.
        order_CT: a permutation of the frames.
        phase_CW: place of each frame in its segment.
        key_C: what the scattered frames are drawn from.
        speed_C: stretch of the window.
        jitter_CW: shift of each frame, in steps.
    """

    starts_C: Int64
    crops_C2: Float64
    position_C: Int64 | None = None
    order_CT: Int64 | None = None
    phase_CW: Float64 | None = None
    key_C: Int64 | None = None
    speed_C: Float64 | None = None
    jitter_CW: Float64 | None = None


@dataclass(frozen=True)
class DrawPlan:
    """What the draws of a data set depend on, beside seed and epoch.

    Args:
        seed: of every draw.
        choice: which frames a clip shows.
        crop: how frames are cut.
        footage: of the samples.
        sample_ids: decide what is drawn in evaluation.
        num_frames: T.
        random_position: whether one frame of the window is shown, drawn.
        shuffled: whether the frames are permuted.
    """

    seed: int
    choice: ClipChoice
    crop: CropOptions
    footage: Footage
    sample_ids: Sequence[str]
    num_frames: int
    random_position: bool
    shuffled: bool


def draw_training(plan: DrawPlan, epoch: int, repeat: int) -> Draws:
    """Return the draws of the clips of an epoch, one a sample.

    Args:
        plan: of the data set.
        epoch: from 0.
        repeat: 0 for the first clip of every sample, 1 for the second of those that show two.
    """
    footage, choice, num_clips = plan.footage, plan.choice, len(plan.sample_ids)
    size = (num_clips, footage.num_frames)

    def draw(stream: int) -> np.random.Generator:
        return _generator(plan.seed, epoch, True, stream, repeat)

    slack_N = footage.last_start_N - footage.first_N
    drawn_N = footage.first_N + draw(_STREAM_STARTS).integers(0, slack_N, endpoint=True)
    crops_C2 = np.full((num_clips, 2), MIDDLE)
    if plan.crop.train == "random":
        crops_C2 = draw(_STREAM_CROPS).random((num_clips, 2))
    position_C = phase_CW = key_C = speed_C = jitter_CW = None
    if plan.random_position:
        position_C = draw(_STREAM_POSITIONS).integers(0, footage.num_frames, num_clips)
    turn_N = np.zeros(num_clips, dtype=np.int64)
    if choice.kind == "uniform":  # the first turn is drawn once for all epochs
        first_N = _generator(plan.seed, 0, True, _STREAM_TURNS).integers(0, 2**31, num_clips)
        turn_N = first_N + epoch + repeat
    elif choice.kind == "segment":
        phase_CW = draw(_STREAM_SPREAD).random(size)
    elif choice.kind == "scattered":
        key_C = draw(_STREAM_SPREAD).integers(0, 2**63 - 1, num_clips)
    if choice.jitter or choice.speed_jitter:
        generator = draw(_STREAM_TIME)
        speed_C = 1 + choice.speed_jitter * generator.uniform(-1, 1, num_clips)
        jitter_CW = choice.jitter * generator.uniform(-1, 1, size)
    starts_C = _starts(plan, drawn_N, turn_N)
    order_CT = _order(plan, draw(_STREAM_ORDER), num_clips)
    return Draws(starts_C, crops_C2, position_C, order_CT, phase_CW, key_C, speed_C, jitter_CW)


def draw_evaluation(plan: DrawPlan, epoch: int, windows: int) -> Draws:
    """Return what stands for draws in evaluation: the same for every seed but that of a shuffle.

    Args:
        plan: of the data set.
        epoch: of the shuffle.
        windows: views of each sample, times the cuts of each: clip ``sample * views + window * cuts
            + cut``.
    """
    footage, choice, cuts = plan.footage, plan.choice, plan.crop.num_places
    num_clips = len(plan.sample_ids) * windows * cuts
    if choice.kind in ("first", "last", "fixed"):
        start_N = _starts(plan, footage.first_N, footage.first_N)
        starts_C = np.repeat(start_N, windows * cuts)
    else:
        slack_N1 = (footage.last_start_N - footage.first_N)[:, None]
        shift_NV = np.floor(slack_N1 * view_shares(windows) + ROUNDING).astype(np.int64)
        starts_C = np.repeat((footage.first_N[:, None] + shift_NV).reshape(-1), cuts)
    position_C = phase_CW = key_C = None
    if plan.random_position:
        hashed_N = [_hash(sample_id) % footage.num_frames for sample_id in plan.sample_ids]
        position_C = np.repeat(np.array(hashed_N, dtype=np.int64), windows * cuts)
    if choice.kind == "segment":
        phase_V = np.repeat((np.arange(windows) + 0.5) / windows, cuts)
        phase_C = np.tile(phase_V, len(plan.sample_ids))
        phase_CW = np.repeat(phase_C[:, None], footage.num_frames, axis=1)
    elif choice.kind == "scattered":
        keys = [
            _hash(f"{sample_id}/{window}") >> 1
            for sample_id in plan.sample_ids
            for window in range(windows)
        ]
        key_C = np.repeat(np.array(keys, dtype=np.int64), cuts)
    generator = _generator(plan.seed, epoch, False, _STREAM_ORDER)
    return Draws(
        starts_C,
        np.full((num_clips, 2), MIDDLE),
        position_C,
        _order(plan, generator, num_clips),
        phase_CW,
        key_C,
    )


def joined(parts: Sequence[Draws]) -> Draws:
    """Return the draws of several passes, one behind the other."""
    if len(parts) == 1:
        return parts[0]
    together: dict[str, Any] = {}
    for name in Draws._fields:
        drawn = [getattr(part, name) for part in parts]
        together[name] = None if drawn[0] is None else np.concatenate(drawn)
    return Draws(**together)


def _starts(plan: DrawPlan, drawn_N: Int64, turn_N: Int64) -> Int64:
    footage = plan.footage
    return window_starts(
        plan.choice,
        footage.first_N,
        footage.last_start_N,
        fps_N=footage.fps_N,
        stretch_N=footage.stretch_N,
        drawn_N=drawn_N,
        turn_N=turn_N,
    )


def _order(plan: DrawPlan, generator: np.random.Generator, num_clips: int) -> Int64 | None:
    if not plan.shuffled:
        return None
    return np.argsort(generator.random((num_clips, plan.num_frames)), axis=1)


def _generator(
    seed: int, epoch: int, train: bool, stream: int, repeat: int = 0
) -> np.random.Generator:
    further = (repeat,) if repeat else ()
    key = np.random.SeedSequence(seed, spawn_key=(epoch, int(train), stream, *further))
    return np.random.Generator(np.random.Philox(key))


def _hash(text: str) -> int:
    """Return a number that depends on the text alone, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
