"""Which frames a clip shows, and how it is cut to the arm's input size.

All of it is a pure function of (seed, epoch, clip index): the same clip is read by any process, in
any order, on any day. All arms of a study share one :class:`Window`, so that they see the same
footage; :class:`FramePositions` says which frames of the window an arm looks at.

Legend: B clips of a batch, C clips of a pass, N videos, W frames of a window, T frames that an arm
sees, H height, S input size.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name

from vidclass.data.frame_store import FrameStore
from vidclass.errors import UserError

__all__ = ["ClipDataset", "FramePositions", "Geometry", "Order", "Window"]

Geometry = Literal["pad", "crop", "squash"]
Order = Literal["kept", "shuffled", "reversed", "frozen"]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

PAD_VALUE = 128  # mid-grey: 0 after the models' default normalisation
ROUNDING = 1e-6  # so that 9 * 0.1 s at 10 fps is frame 9 whatever the last bit says
_STREAM_STARTS, _STREAM_CROPS, _STREAM_POSITIONS, _STREAM_ORDER = range(4)


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

    def frame_offsets(self, fps: Float64) -> Int64:
        """Return the frames of a window that starts at frame 0, ``[N, W]``, for ``fps [N]``."""
        steps_n1 = np.asarray(fps, dtype=np.float64)[:, None] * (self.span_s / self.num_frames)
        offsets = np.floor(steps_n1 * np.arange(self.num_frames) + 0.5 + ROUNDING)
        return offsets.astype(np.int64)


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


class _Draws(NamedTuple):
    """Everything random of one pass, for all its clips at once."""

    starts_C: Int64
    crops_C2: Float64
    position_C: Int64 | None
    order_CT: Int64 | None


class ClipDataset:
    """Clips of the videos of ``table``, read from a :class:`FrameStore`.

    Args:
        store: where the frames are.
        table: rows of ``video_id``, ``label_id``, ``group``; row ``n`` is video ``n``.
        window: the footage, shared by all arms of a study.
        positions: which frames of the window this arm sees.
        input_size: height and width of a clip, in pixels.
        geometry: ``crop``: the short side is scaled down to ``input_size``, then the long side is
            cut (at random in training, in the middle in evaluation); ``pad``: the long side is
            scaled down, the rest is grey; ``squash``: both sides are scaled, the aspect is lost.
        views: windows a video in evaluation, evenly spaced; one is centred.
        order: what happens to the chosen frames: ``kept``, ``shuffled`` (a fresh permutation a
            clip and epoch), ``reversed``, ``frozen`` (the middle one repeated).
        seed: the seed of every draw.

    Raises:
        UserError: when a video is absent from the store, a position lies outside the window, or a
            stored video is smaller than ``input_size`` (frames are never scaled up).
    """

    def __init__(
        self,
        store: FrameStore,
        table: pd.DataFrame,
        *,
        window: Window,
        positions: FramePositions,
        input_size: int,
        geometry: Geometry = "crop",
        views: int = 1,
        order: Order = "kept",
        seed: int = 0,
    ) -> None:
        outside = [i for i in positions.indices if not 0 <= i < window.num_frames]
        if outside or not positions.indices:
            raise UserError(
                f"frame positions lie in the window of {window.num_frames} frames",
                list(positions.indices),
                f"use positions from 0 to {window.num_frames - 1}",
            )
        if views < 1:
            raise UserError("an evaluation has at least one view a video", views, "views: 1")
        self.store = store
        self.window = window
        self.positions = positions
        self.input_size = input_size
        self.geometry = geometry
        self.views = views
        self.order = order
        self.seed = seed
        self.video_ids: list[str] = [str(video_id) for video_id in table["video_id"]]
        self.label_ids: Int64 = table["label_id"].to_numpy(np.int64)
        self.groups: list[str] = [str(group) for group in table["group"]]

        rows = store.rows(self.video_ids)
        self._heights_N: Int64 = rows["H"].to_numpy(np.int64)
        self._widths_N: Int64 = rows["W"].to_numpy(np.int64)
        self._check_sizes()
        self._last_frame_N: Int64 = rows["T"].to_numpy(np.int64) - 1
        self._offsets_NW = window.frame_offsets(rows["fps"].to_numpy(np.float64))
        self._last_start_N = np.maximum(self._last_frame_N - self._offsets_NW[:, -1], 0)
        # The common case (every video already has the input's size) copies whole slices.
        self._exact = bool(((self._heights_N == input_size) & (self._widths_N == input_size)).all())
        self._frames: list[npt.NDArray[np.uint8]] | None = None
        self._kept_draws: dict[bool, tuple[int, _Draws]] = {}

    def __getstate__(self) -> dict[str, object]:
        """Pickle without the mapped frames and draws, which the reader makes again."""
        return {**self.__dict__, "_frames": None, "_kept_draws": {}}

    @property
    def num_videos(self) -> int:
        """Number of videos."""
        return len(self.video_ids)

    @property
    def num_padded_videos(self) -> int:
        """Number of videos shorter than the window, whose last frame is repeated."""
        return int((self._offsets_NW[:, -1] > self._last_frame_N).sum())

    def num_clips(self, train: bool) -> int:
        """Return the clips of a pass: one a video in training, ``views`` a video in evaluation."""
        return self.num_videos * (1 if train else self.views)

    def frame_numbers(self, clips_B: Int64, *, epoch: int, train: bool) -> Int64:
        """Return which stored frames the clips show, ``[B, T]``."""
        clips_B = np.asarray(clips_B, dtype=np.int64)
        draws = self._draws(epoch, train)
        video_B = clips_B if train else clips_B // self.views
        offsets_BW = self._offsets_NW[video_B]
        if draws.position_C is not None:
            offsets_BT = np.take_along_axis(offsets_BW, draws.position_C[clips_B][:, None], axis=1)
        else:
            offsets_BT = offsets_BW[:, self.positions.indices]
        numbers_BT: Int64 = np.minimum(
            offsets_BT + draws.starts_C[clips_B][:, None], self._last_frame_N[video_B][:, None]
        )
        if draws.order_CT is not None:
            numbers_BT = np.take_along_axis(numbers_BT, draws.order_CT[clips_B], axis=1)
        elif self.order == "reversed":
            numbers_BT = numbers_BT[:, ::-1]
        elif self.order == "frozen":
            middle = numbers_BT.shape[1] // 2
            numbers_BT = np.repeat(numbers_BT[:, middle : middle + 1], numbers_BT.shape[1], axis=1)
        return numbers_BT

    def read(self, clips_B: Int64, *, epoch: int, train: bool) -> torch.Tensor:
        """Return the clips, ``x_BTHWC`` uint8 ``[B, T, S, S, 3]``.

        Args:
            clips_B: the video's row in training, ``row * views + view`` in evaluation.
            epoch: draws differ between epochs; any fixed number for evaluation.
            train: random window and crop, or the evaluation's fixed ones.
        """
        clips_B = np.asarray(clips_B, dtype=np.int64)
        numbers_BT = self.frame_numbers(clips_B, epoch=epoch, train=train)
        num_frames, size = numbers_BT.shape[1], self.input_size
        x_BTHWC = torch.empty((len(clips_B), num_frames, size, size, 3), dtype=torch.uint8)
        out = x_BTHWC.numpy()
        videos = (clips_B if train else clips_B // self.views).tolist()
        consecutive = (np.diff(numbers_BT, axis=1) == 1).all(axis=1).tolist()
        firsts = numbers_BT[:, 0].tolist()
        mapped = self._mapped()
        crops_B2 = self._draws(epoch, train).crops_C2[clips_B]
        for row, video in enumerate(videos):
            frames = mapped[video]
            # A slice of mapped pages is copied once, straight into the batch.
            shown: slice | Int64 = numbers_BT[row]
            if consecutive[row]:
                shown = slice(firsts[row], firsts[row] + num_frames)
            if self._exact:
                out[row] = frames[shown]
            else:
                self._cut(frames, shown, crops_B2[row], out[row])
        return x_BTHWC

    def _cut(
        self,
        frames: npt.NDArray[np.uint8],
        shown: slice | Int64,
        crop: Float64,
        out: npt.NDArray[np.uint8],
    ) -> None:
        """Write frames ``shown`` of one video into ``out [T, S, S, 3]`` by the geometry."""
        size = self.input_size
        height, width = _scaled(frames.shape[1], frames.shape[2], size, self.geometry)
        top = int(crop[0] * (height - size + 1)) if height > size else 0
        left = int(crop[1] * (width - size + 1)) if width > size else 0
        if (height, width) == frames.shape[1:3]:
            clip = frames[shown, top : top + size, left : left + size]
        else:
            clip = _resize(frames[shown], height, width)[:, top : top + size, left : left + size]
        if clip.shape[1:3] == (size, size):
            out[:] = clip
            return
        out[:] = PAD_VALUE
        down, right = (size - clip.shape[1]) // 2, (size - clip.shape[2]) // 2
        out[:, down : down + clip.shape[1], right : right + clip.shape[2]] = clip

    def _mapped(self) -> list[npt.NDArray[np.uint8]]:
        if self._frames is None:
            self._frames = [self.store.frames(video_id) for video_id in self.video_ids]
        return self._frames

    def _draws(self, epoch: int, train: bool) -> _Draws:
        """Return the draws of a pass, keeping those of the last epoch asked for."""
        kept = self._kept_draws.get(train)
        if kept is None or kept[0] != epoch:
            kept = (epoch, self._draw(epoch, train))
            self._kept_draws[train] = kept
        return kept[1]

    def _draw(self, epoch: int, train: bool) -> _Draws:
        num_clips = self.num_clips(train)

        def generator(stream: int) -> np.random.Generator:
            # One stream a purpose: switching the shuffle on leaves windows and crops as they were.
            key = np.random.SeedSequence(self.seed, spawn_key=(epoch, int(train), stream))
            return np.random.Generator(np.random.Philox(key))

        position_C = order_CT = None
        if train:
            starts = generator(_STREAM_STARTS).integers(0, self._last_start_N, endpoint=True)
            crops_C2 = generator(_STREAM_CROPS).random((num_clips, 2))
        else:
            share_V = (
                np.arange(self.views) / (self.views - 1) if self.views > 1 else np.array([0.5])
            )
            starts = np.floor(self._last_start_N[:, None] * share_V + ROUNDING).reshape(-1)
            crops_C2 = np.full((num_clips, 2), 0.5 - ROUNDING)  # an even slack has two middles
        if self.positions.random:
            if train:
                position_C = generator(_STREAM_POSITIONS).integers(
                    0, self.window.num_frames, num_clips
                )
            else:
                hashed_N = [_hash(video_id) % self.window.num_frames for video_id in self.video_ids]
                position_C = np.repeat(np.array(hashed_N, dtype=np.int64), self.views)
        if self.order == "shuffled":
            keys_CT = generator(_STREAM_ORDER).random((num_clips, self.positions.num_frames))
            order_CT = np.argsort(keys_CT, axis=1)
        return _Draws(starts.astype(np.int64), crops_C2, position_C, order_CT)

    def _check_sizes(self) -> None:
        smaller = np.minimum if self.geometry != "pad" else np.maximum
        sides_N = smaller(self._heights_N, self._widths_N)
        small = np.flatnonzero(sides_N < self.input_size)
        if len(small):
            first = small[0]
            side = "long" if self.geometry == "pad" else "short"
            raise UserError(
                f"frames are never scaled up: with geometry {self.geometry} the {side} side of a "
                f"stored video is at least the input size, {self.input_size}",
                f"{len(small)} videos are smaller, first {self.video_ids[first]} stored at "
                f"{self._widths_N[first]}x{self._heights_N[first]}",
                f"an input_size of at most {int(sides_N.min())}, or a store with a larger "
                "short_side if the files are larger than the store",
            )


def _scaled(height: int, width: int, size: int, geometry: Geometry) -> tuple[int, int]:
    """Return height and width after scaling down for ``geometry`` and before cutting or padding."""
    if geometry == "squash":
        return size, size
    side = min(height, width) if geometry == "crop" else max(height, width)
    factor = size / side
    return max(1, round(height * factor)), max(1, round(width * factor))


def _resize(frames_THWC: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Scale down with antialiasing (bilinear, a triangle as wide as the factor)."""
    x_TCHW = torch.from_numpy(np.array(frames_THWC)).permute(0, 3, 1, 2)
    y_TCHW = F.interpolate(x_TCHW, size=(height, width), mode="bilinear", antialias=True)
    resized: npt.NDArray[np.uint8] = y_TCHW.permute(0, 2, 3, 1).numpy()
    return resized


def _hash(video_id: str) -> int:
    """Return a number that depends on the id alone, the same in every process."""
    return int.from_bytes(hashlib.blake2b(video_id.encode(), digest_size=8).digest(), "big")
