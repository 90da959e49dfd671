"""Which frames a clip shows, and how it is cut to the arm's input size.

All of it is a pure function of (seed, epoch, clip index): the same clip is read by any process, in
any order, on any day. All arms of a study share one :class:`Window`, so that they see the same
footage; :class:`FramePositions` says which frames of the window an arm looks at.

Legend: B clips of a batch, C clips of a pass, N samples (videos, or stretches of them), W frames of
a window, T frames that an arm sees, H height, S input size.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vidclass.data.clip_choice import (
    ONE_VIEW,
    ClipChoice,
    even_frames,
    scattered_frames,
    segment_frames,
    usable_frames,
    window_frames,
)
from vidclass.data.controls import background_frames, median_background
from vidclass.data.crops import CropOptions, Geometry, corner_patch, cut, place, resize
from vidclass.data.draws import DrawPlan, Draws, Footage, draw_evaluation, draw_training, joined
from vidclass.data.frame_store import FrameStore
from vidclass.data.samples import Labels, read_samples
from vidclass.data.video_frames import VideoFrames
from vidclass.data.window import FramePositions, Window
from vidclass.errors import UserError

__all__ = ["ClipDataset", "FramePositions", "Geometry", "Order", "Window"]

Order = Literal["kept", "shuffled", "reversed", "frozen", "background"]
Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Frames = npt.NDArray[np.uint8]


def _check(window: Window, positions: FramePositions, views: int, choice: ClipChoice) -> None:
    outside = [i for i in positions.indices if not 0 <= i < window.num_frames]
    if outside or not positions.indices:
        raise UserError(
            f"frame positions lie in the window of {window.num_frames} frames",
            list(positions.indices),
            f"use positions from 0 to {window.num_frames - 1}",
        )
    if views < 1 or (views > 1 and choice.kind in ONE_VIEW):
        raise UserError(
            "an evaluation has one view a sample or more, and several only of a clip choice in "
            "which they differ",
            f"views {views}, {choice.kind}",
            "views: 1",
        )


class ClipDataset:
    """Clips of the samples of ``table``, read from a :class:`FrameStore`.

    Args:
        store: where the frames are.
        table: a sample table (:mod:`vidclass.data.samples`); row ``n`` is sample ``n``.
        window: the footage, shared by all arms of a study.
        positions: which frames of the window this arm sees.
        input_size: height and width of a clip, in pixels.
        geometry: ``crop``: the short side is scaled down to ``input_size``, then the long side is
            cut (at random in training, in the middle in evaluation); ``pad``: the long side is
            scaled down, the rest is grey; ``squash``: both sides are scaled, the aspect is lost.
        views: windows a sample in evaluation, evenly spaced; one is centred.
        order: what happens to the chosen frames: ``kept``, ``shuffled`` (a fresh permutation a
            clip and epoch), ``reversed``, ``frozen`` (the middle one repeated), ``background`` (the
            median of the video's usable footage instead of each).
        seed: the seed of every draw.
        choice: which frames a clip shows; by default a random window.
        crop: which part of a scaled frame is shown, where the geometry leaves a choice.
        num_classes: needed where several labels may hold at a time.

    Attributes:
        views: clips scored of a sample: windows times cuts. Clip ``c`` of an evaluation belongs to
            sample ``c // views``; in training, clip ``c`` is the ``c // num_samples``-th of sample
            ``c % num_samples``, each another one.

    Raises:
        UserError: when a video is absent from the store, a position lies outside the window, a
            stored video is smaller than ``input_size`` (frames are never scaled up), several views
            would all show the same, or the table is wrong.
    """

    framewise = False
    """Whether a model answers at every step of a clip, each with a label of its own."""

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
        choice: ClipChoice | None = None,
        crop: CropOptions | None = None,
        num_classes: int | None = None,
    ) -> None:
        self.choice = choice or ClipChoice()
        self.crop = crop or CropOptions()
        _check(window, positions, views, self.choice)
        self.store = store
        self.window = window
        self.positions = positions
        self.input_size = input_size
        self.geometry = geometry
        self.views = views * self.crop.num_places
        self.order = order
        self.seed = seed
        rows = store.rows([str(video_id) for video_id in table["video_id"]])
        self.samples = read_samples(table, rows["T"].to_numpy(np.int64), num_classes)
        self._heights_N: Int64 = rows["H"].to_numpy(np.int64)
        self._widths_N: Int64 = rows["W"].to_numpy(np.int64)
        self._check_sizes()
        fps_N = rows["fps"].to_numpy(np.float64)
        first_N, last_N = usable_frames(
            self.samples.first_N,
            self.samples.last_N,
            self.choice.from_share,
            self.choice.to_share,
        )
        dense_N = np.full(len(rows), float(self.choice.stride))
        self._footage = Footage(
            first_N,
            last_N,
            fps_N,
            dense_N if self.choice.kind == "dense" else window.steps(fps_N),
            window.num_frames,
        )
        self._plan = DrawPlan(
            seed=seed,
            choice=self.choice,
            crop=self.crop,
            footage=self._footage,
            sample_ids=self.samples.sample_ids,
            num_frames=positions.num_frames,
            random_position=positions.random,
            shuffled=order == "shuffled",
        )
        # The common case (every video already has the input's size) copies whole slices.
        self._exact = bool(((self._heights_N == input_size) & (self._widths_N == input_size)).all())
        self._exact &= self.crop.scale == 1 and not self.crop.corner and order != "background"
        self._frames: list[VideoFrames] | None = None
        self._backgrounds: dict[int, Frames] = {}
        self._kept_draws: dict[bool, tuple[int, int, Draws]] = {}

    def __getstate__(self) -> dict[str, object]:
        """Pickle without the mapped frames and draws, which the reader makes again."""
        return {**self.__dict__, "_frames": None, "_backgrounds": {}, "_kept_draws": {}}

    @property
    def num_samples(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def labels(self) -> Labels:
        """What each sample shows: ``label_N`` int64 or ``label_NK`` float32."""
        return self.samples.labels

    @property
    def num_padded_samples(self) -> int:
        """Number of samples whose usable footage is shorter than a clip, so that frames repeat."""
        length_N = self._footage.last_N - self._footage.first_N
        if self.choice.is_spread:
            return int((length_N < self.window.num_frames - 1).sum())
        return int((self._footage.offsets_NW[:, -1] > length_N).sum())

    @property
    def clip_labels(self) -> Labels:
        """What the clips of a training pass are balanced by: the labels of the samples."""
        return self.labels

    def labels_of(self, clips_B: Int64, *, epoch: int, train: bool) -> Labels:
        """Return the labels of clips; the arguments are those of :meth:`read`."""
        return self.labels[self.samples_of(clips_B, train=train)]

    def num_clips(self, train: bool) -> int:
        """Return the clips of a pass: one a sample in training, ``views`` in evaluation."""
        return self.num_samples * (1 if train else self.views)

    def samples_of(self, clips_B: Int64, *, train: bool) -> Int64:
        """Return which samples (rows of the table) the clips belong to, ``[B]``."""
        return clips_B % self.num_samples if train else clips_B // self.views

    def frame_numbers(self, clips_B: Int64, *, epoch: int, train: bool) -> Int64:
        """Return which stored frames the clips show, ``[B, T]``."""
        clips_B = np.asarray(clips_B, dtype=np.int64)
        draws = self._draws(clips_B, epoch, train)
        sample_B = self.samples_of(clips_B, train=train)
        if self.choice.is_spread or draws.speed_C is not None:
            numbers_BT = self._elsewhere(clips_B, sample_B, draws)
        else:
            numbers_BT = np.minimum(
                self._shown(self._footage.offsets_NW[sample_B], clips_B, draws)
                + draws.starts_C[clips_B][:, None],
                self._footage.last_N[sample_B][:, None],
            )
        if draws.order_CT is not None:
            numbers_BT = np.take_along_axis(numbers_BT, draws.order_CT[clips_B], axis=1)
        elif self.order == "reversed":
            numbers_BT = numbers_BT[:, ::-1]
        elif self.order == "frozen":
            middle = numbers_BT.shape[1] // 2
            numbers_BT = np.repeat(numbers_BT[:, middle : middle + 1], numbers_BT.shape[1], axis=1)
        return numbers_BT

    def _shown(self, window_BW: Int64, clips_B: Int64, draws: Draws) -> Int64:
        """Return those of a window's frames that the arm sees, ``[B, T]``."""
        if draws.position_C is not None:
            return np.take_along_axis(window_BW, draws.position_C[clips_B][:, None], axis=1)
        return window_BW[:, self.positions.indices]

    def _elsewhere(self, clips_B: Int64, sample_B: Int64, draws: Draws) -> Int64:
        """Return the frames of clips that are no plain window, ``[B, T]``."""
        first_B, last_B = self._footage.first_N[sample_B], self._footage.last_N[sample_B]
        num_frames = self.window.num_frames
        if draws.phase_CW is not None:
            window_BW = segment_frames(first_B, last_B, draws.phase_CW[clips_B])
        elif draws.key_C is not None:
            window_BW = scattered_frames(first_B, last_B, num_frames, draws.key_C[clips_B])
        elif draws.speed_C is not None and draws.jitter_CW is not None:
            window_BW = window_frames(
                draws.starts_C[clips_B],
                self._footage.step_N[sample_B],
                num_frames,
                first_B,
                last_B,
                speed_B=draws.speed_C[clips_B],
                jitter_BW=draws.jitter_CW[clips_B],
            )
        else:
            window_BW = even_frames(first_B, last_B, num_frames)
        return self._shown(window_BW, clips_B, draws)

    def read(self, clips_B: Int64, *, epoch: int, train: bool) -> torch.Tensor:
        """Return the clips, ``x_BTHWC`` uint8 ``[B, T, S, S, 3]``.

        Args:
            clips_B: in training the sample's row (plus ``num_samples`` for its second clip of the
                epoch, and so on), ``row * views + view`` in evaluation.
            epoch: draws differ between epochs; any fixed number for evaluation.
            train: random window and crop, or the evaluation's fixed ones.
        """
        clips_B = np.asarray(clips_B, dtype=np.int64)
        numbers_BT = self.frame_numbers(clips_B, epoch=epoch, train=train)
        num_frames, size = numbers_BT.shape[1], self.input_size
        x_BTHWC = torch.empty((len(clips_B), num_frames, size, size, 3), dtype=torch.uint8)
        out = x_BTHWC.numpy()
        samples = self.samples_of(clips_B, train=train).tolist()
        consecutive = (np.diff(numbers_BT, axis=1) == 1).all(axis=1).tolist()
        firsts = numbers_BT[:, 0].tolist()
        mapped = self._mapped()
        crops_B2 = self._draws(clips_B, epoch, train).crops_C2[clips_B]
        cut_B = clips_B % self.crop.num_places
        for row, sample in enumerate(samples):
            frames = mapped[sample]
            # A slice of mapped pages is copied once, straight into the batch.
            shown: slice | Int64 = numbers_BT[row]
            if consecutive[row]:
                shown = slice(firsts[row], firsts[row] + num_frames)
            if self._exact:
                out[row] = frames[shown]
            else:
                where = (float(crops_B2[row, 0]), float(crops_B2[row, 1]))
                if not train and self.crop.num_places > 1:
                    height, width = frames.shape[1:3]
                    where = place(self.crop.test, int(cut_B[row]), height=height, width=width)
                self._cut(sample, shown, where, out[row])
        return x_BTHWC

    def _cut(
        self, sample: int, shown: slice | Int64, where: tuple[float, float], out: Frames
    ) -> None:
        """Write frames ``shown`` of a sample into ``out [T, S, S, 3]``."""
        frames = self._mapped()[sample]
        if self.order == "background":
            if sample not in self._backgrounds:
                first, last = self._footage.first_N[sample], self._footage.last_N[sample]
                chosen = background_frames(int(first), int(last))
                self._backgrounds[sample] = median_background(frames[chosen])[None]
            frames, shown = self._backgrounds[sample], slice(0, 1)
        if self.crop.corner:
            patch = corner_patch(frames[shown], self.crop.corner, self.crop.corner_share)
            out[:] = resize(patch, self.input_size, self.input_size)
        else:
            cut(frames, shown, where, self.geometry, out, self.crop.scale)

    def _mapped(self) -> list[VideoFrames]:
        if self._frames is None:
            video_ids = self.samples.video_ids
            frames = {video_id: self.store.frames(video_id) for video_id in set(video_ids)}
            self._frames = [frames[video_id] for video_id in video_ids]
        return self._frames

    def _draws(self, clips_B: Int64, epoch: int, train: bool) -> Draws:
        """Return the draws of the pass that ``clips_B`` belong to, keeping those of one epoch."""
        repeats = int(clips_B.max(initial=0)) // self.num_samples + 1 if train else 1
        kept = self._kept_draws.get(train)
        if kept is None or kept[0] != epoch or kept[1] < repeats:
            if train:
                drawn = joined([draw_training(self._plan, epoch, n) for n in range(repeats)])
            else:
                drawn = draw_evaluation(self._plan, epoch, self.views // self.crop.num_places)
            kept = (epoch, repeats, drawn)
            self._kept_draws[train] = kept
        return kept[2]

    def _check_sizes(self) -> None:
        smaller = np.minimum if self.geometry != "pad" else np.maximum
        sides_N = smaller(self._heights_N, self._widths_N)
        needed = 1 if self.crop.corner else round(self.input_size * self.crop.scale)
        small = np.flatnonzero(sides_N < needed)
        if len(small):
            first = small[0]
            side = "long" if self.geometry == "pad" else "short"
            raise UserError(
                f"frames are never scaled up: with geometry {self.geometry} the {side} side of a "
                f"stored video is at least the input size, {self.input_size}"
                + (f", times crop.scale {self.crop.scale:g}" if self.crop.scale > 1 else ""),
                f"{len(small)} samples are smaller, first {self.samples.sample_ids[first]} at "
                f"{self._widths_N[first]}x{self._heights_N[first]}",
                f"an input_size of at most {int(sides_N.min() / self.crop.scale)}, or a store with "
                "a larger short_side if the files are larger than the store",
            )
