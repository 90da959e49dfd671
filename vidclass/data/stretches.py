"""Long stretches of recordings as clips of features, with a label at every step.

The samples stay what they are for all arms of a study: labelled windows. A model of single windows
looks at one of them; a sequence model looks at a stretch of a recording, at the frames that label
windows, and answers at each of them. Its answer at a window's labelling frame is its prediction for
that window, so that both kinds are trained on and scored by the same labels.

Steps lie as far apart as the labelling frames of neighbouring windows of the recording. A step of
which no window is labelled is seen but neither trained on nor scored.

Legend: N samples, C stretches of a pass, B stretches of a batch, S steps of a stretch, D features,
K classes.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vidclass.data.feature_dataset import FeatureDataset
from vidclass.data.feature_store import FeatureStore
from vidclass.data.frame_store import FrameStore
from vidclass.data.samples import Labels
from vidclass.data.windows import LabelFrom

__all__ = ["NO_LABEL", "StretchDataset", "labelling_frames"]

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

NO_LABEL = -1
"""Where a step has no label: in place of a class, or of each class."""
_STREAM = 7  # of the random draws of stretches


def labelling_frames(first_N: Int64, last_N: Int64, label_from: LabelFrom) -> Int64:
    """Return the stored frame at which each window is answered.

    The one that labels it; for the majority of its frames the one in the centre.
    """
    return last_N if label_from == "last" else first_N + (last_N - first_N + 1) // 2


class StretchDataset(FeatureDataset):
    """Stretches of recordings as features ``f_BSD`` float32, over the samples of a table.

    Args:
        frames: the frame store.
        features: what its frames became.
        table: a sample table of windows.
        num_steps: steps of a stretch (S). A shorter recording repeats its last step.
        label_from: what labels a window.
        **settings: see :class:`FeatureDataset`; ``views`` is 1. With the order ``shuffled`` or
            ``reversed`` each step keeps its own label.

    Attributes:
        views: 1: each sample has one answer, of the stretch in which it is farthest from the ends.
    """

    framewise = True

    def __init__(
        self,
        frames: FrameStore,
        features: FeatureStore,
        table: pd.DataFrame,
        *,
        num_steps: int,
        label_from: LabelFrom,
        **settings: Any,
    ) -> None:
        super().__init__(frames, features, table, **{**settings, "views": 1})
        self.num_steps = num_steps
        at_N = labelling_frames(self.samples.first_N, self.samples.last_N, label_from)
        self._recordings = [
            _Recording(video_id, rows, at_N[rows]) for video_id, rows in self._rows().items()
        ]
        self._train = self._tiles()
        self._tests = self._overlapping()

    def _rows(self) -> dict[str, Int64]:
        """Return the samples of each recording."""
        names = np.array(self.samples.video_ids)
        return {str(name): np.flatnonzero(names == name) for name in np.unique(names)}

    def _tiles(self) -> Int64:
        """Return recording and first step of each training stretch, side by side, ``[C, 2]``."""
        tiles = [
            (number, start)
            for number, recording in enumerate(self._recordings)
            for start in range(0, recording.num_steps, self.num_steps)
        ]
        return np.array(tiles, dtype=np.int64)

    def _overlapping(self) -> Int64:
        """Return those of an evaluation: neighbours share half, the last one ends the recording."""
        hop = max(1, self.num_steps // 2)
        tiles: list[tuple[int, int]] = []
        for number, recording in enumerate(self._recordings):
            end = max(0, recording.num_steps - self.num_steps)
            tiles += [(number, start) for start in [*range(0, end, hop), end]]
        return np.array(tiles, dtype=np.int64)

    def num_clips(self, train: bool) -> int:
        """Return the stretches of a pass."""
        return len(self._train if train else self._tests)

    @property
    def clip_labels(self) -> Labels:
        """A class of each training stretch, for the order of an epoch: all the same."""
        return np.zeros(len(self._train), dtype=np.int64)

    def steps(self, clips_B: Int64, *, epoch: int, train: bool) -> tuple[Int64, Int64]:
        """Return which step of which recording the stretches show, ``[B]`` and ``[B, S]``.

        Steps beyond the ends of a recording are numbered on. In training the tiles of a recording
        are moved together by a draw an epoch; every step is in exactly one.
        """
        clips_B = np.asarray(clips_B, dtype=np.int64)
        recording_B, start_B = (self._train if train else self._tests)[clips_B].T
        if train:
            start_B = start_B - self._shifts(epoch)[recording_B]
        steps_BS = start_B[:, None] + np.arange(self.num_steps)
        if self.order == "reversed":
            steps_BS = steps_BS[:, ::-1]
        elif self.order == "shuffled":
            for row, clip in enumerate(clips_B.tolist()):
                draws = np.random.default_rng((self.seed, epoch, int(train), _STREAM, clip))
                steps_BS[row] = draws.permutation(steps_BS[row])
        return recording_B, steps_BS

    def _shifts(self, epoch: int) -> Int64:
        """Return how many steps early the tiles of each recording begin in an epoch."""
        length_R = np.array([recording.num_steps for recording in self._recordings])
        slack_R = -length_R % self.num_steps
        draws = np.random.default_rng((self.seed, epoch, 1, _STREAM))
        return draws.integers(0, slack_R + 1)

    def step_samples(self, clips_B: Int64, *, epoch: int, train: bool) -> Int64:
        """Return which sample each step answers, -1 where none, ``[B, S]``."""
        recording_B, steps_BS = self.steps(clips_B, epoch=epoch, train=train)
        rows = zip(recording_B.tolist(), steps_BS, strict=True)
        return np.stack([self._recordings[number].sample_at(steps) for number, steps in rows])

    def labels_of(self, clips_B: Int64, *, epoch: int, train: bool) -> Labels:
        """Return the label of each step: int64 ``[B, S]`` or float32 ``[B, S, K]``."""
        sample_BS = self.step_samples(clips_B, epoch=epoch, train=train)
        labels = self.labels[sample_BS]
        labels[sample_BS < 0] = NO_LABEL
        return labels

    def read(self, clips_B: Int64, *, epoch: int, train: bool) -> torch.Tensor:
        """Return the features of the stretches ``f_BSD``."""
        recording_B, steps_BS = self.steps(clips_B, epoch=epoch, train=train)
        f_BSD = torch.empty((*steps_BS.shape, self.features.num_features), dtype=torch.float32)
        out = f_BSD.numpy()
        for row, number in enumerate(recording_B.tolist()):
            recording = self._recordings[number]
            stored = self.features.features(recording.video_id)
            out[row] = stored[recording.frames_of(steps_BS[row])]
        return f_BSD

    def of_samples(self, prob_CSK: Float32) -> Float32:
        """Return the answer to each sample, ``[N, K]``: of the stretch where it is most inside.

        Args:
            prob_CSK: of all stretches of an evaluation, in order.
        """
        sample_CS = self.step_samples(np.arange(len(prob_CSK)), epoch=0, train=False)
        inside_S = np.minimum(np.arange(self.num_steps), np.arange(self.num_steps)[::-1])
        place = np.argsort(np.broadcast_to(inside_S, sample_CS.shape), axis=None, kind="stable")
        answered = place[sample_CS.reshape(-1)[place] >= 0]
        prob_NK = np.full((self.num_samples, prob_CSK.shape[2]), np.nan, dtype=np.float32)
        # The last of several is kept, which is the one farthest inside.
        prob_NK[sample_CS.reshape(-1)[answered]] = prob_CSK.reshape(-1, prob_CSK.shape[2])[answered]
        assert not np.isnan(prob_NK).any(), "the stretches of an evaluation cover all samples"
        return prob_NK


class _Recording:
    """The steps of one recording.

    Args:
        video_id: of the recording.
        rows: its samples, rows of the table.
        frames: the labelling frame of each.
    """

    def __init__(self, video_id: str, rows: Int64, frames: Int64) -> None:
        self.video_id = video_id
        self._first = int(frames.min())
        gaps = np.diff(np.unique(frames))
        self._stride = int(np.gcd.reduce(gaps)) if len(gaps) else 1
        at = (frames - self._first) // self._stride
        self.num_steps = int(at.max()) + 1
        self._sample_at_step = np.full(self.num_steps, -1, dtype=np.int64)
        self._sample_at_step[at] = rows

    def sample_at(self, steps: Int64) -> Int64:
        inside = (steps >= 0) & (steps < self.num_steps)
        return np.where(inside, self._sample_at_step[np.where(inside, steps, 0)], -1)

    def frames_of(self, steps: Int64) -> Int64:
        frames: Int64 = self._first + self._stride * steps.clip(0, self.num_steps - 1)
        return frames
