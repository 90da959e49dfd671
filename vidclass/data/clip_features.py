"""Features of whole clips, kept as they are made: what a frozen encoder of clips sees at once.

Such features belong to a clip and not to a frame: which frames it shows, in which order. So each
clip is one small file, named by a hash of that, in a folder ``home/store/KEY``:

    recipe.json     what shapes the numbers
    ab/HASH.f32     features [S, E] float32 of one clip

A clip of an evaluation is the same in every epoch and trial. In training its start is moved to the
next kept one before it, so that it comes again. Clips are encoded one by one: what one gives does
not depend on the others of its batch, nor on who was first.

Legend: B clips, T frames, S steps of time, E features of a step, H height, W width, C colours.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vidclass.data.crops import CropOptions
from vidclass.data.feature_store import FeatureRecipe, feature_key
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset
from vidclass.home import write_aside

__all__ = ["ClipFeatureDataset", "ClipFeatures", "EncodeClip", "clip_features"]

Int64 = npt.NDArray[np.int64]
EncodeClip = Callable[[torch.Tensor], torch.Tensor]
"""One uint8 clip ``[T, H, W, 3]`` to its features ``f_SE``."""


@dataclass(frozen=True)
class ClipFeatures:
    """Where the features of clips are kept, and how those that are not there are made.

    Args:
        path: the folder.
        shape: steps and features of a step (S, E).
        starts_every: stored frames from one kept start to the next.
        make_encode: makes the encoder; called when a clip is not there.
    """

    path: Path
    shape: tuple[int, int]
    starts_every: int
    make_encode: Callable[[], EncodeClip]


def clip_features(
    frames: FrameStore,
    folder: Path,
    recipe: FeatureRecipe,
    *,
    shape: tuple[int, int],
    starts_every: int,
    make_encode: Callable[[], EncodeClip],
) -> ClipFeatures:
    """Return the place of the features of the clips of ``frames``; nothing is computed yet."""
    path = folder / feature_key(frames.path.name, recipe)
    if not (path / "recipe.json").exists():
        about = {"frames": frames.path.name, "of": "clips", **asdict(recipe)}
        with write_aside(path / "recipe.json") as aside:
            aside.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
    return ClipFeatures(path, shape, starts_every, make_encode)


class ClipFeatureDataset(ClipDataset):
    """The clips of a :class:`ClipDataset` as features of the whole clip, ``f_BSE`` float32.

    Args:
        frames: the frame store.
        features: where they are kept.
        table: see :class:`ClipDataset`.
        **settings: see :class:`ClipDataset`; every frame is seen in its middle.

    Raises:
        UserError: as :class:`ClipDataset`.
    """

    def __init__(
        self, frames: FrameStore, features: ClipFeatures, table: pd.DataFrame, **settings: Any
    ) -> None:
        crop = settings.pop("crop", None) or CropOptions()
        settings["crop"] = crop.model_copy(update={"train": "centre", "test": "centre"})
        super().__init__(frames, table, **settings)
        self.features = features
        self._encode: EncodeClip | None = None

    def __getstate__(self) -> dict[str, object]:
        """Pickle without the encoder."""
        return {**super().__getstate__(), "_encode": None}

    def frame_numbers(self, clips_B: Int64, *, epoch: int, train: bool) -> Int64:
        """Return which stored frames the clips show, ``[B, T]``; training ones start where kept."""
        numbers_BT = super().frame_numbers(clips_B, epoch=epoch, train=train)
        if not train:
            return numbers_BT
        clips_B = np.asarray(clips_B, dtype=np.int64)
        first_B = self._footage.first_N[self.samples_of(clips_B, train=True)]
        late_B = (numbers_BT.min(axis=1) - first_B) % self.features.starts_every
        moved_BT: Int64 = numbers_BT - late_B[:, None]
        return moved_BT

    def read(self, clips_B: Int64, *, epoch: int, train: bool) -> torch.Tensor:
        """Return ``f_BSE``; the arguments are those of ``ClipDataset.read``."""
        clips_B = np.asarray(clips_B, dtype=np.int64)
        numbers_BT = self.frame_numbers(clips_B, epoch=epoch, train=train)
        samples = self.samples_of(clips_B, train=train).tolist()
        f_BSE = torch.empty((len(clips_B), *self.features.shape), dtype=torch.float32)
        for row, sample in enumerate(samples):
            path = self._file(self.samples.video_ids[sample], numbers_BT[row])
            try:
                kept = np.fromfile(path, dtype=np.float32)
            except FileNotFoundError:
                kept = self._make(path, clips_B[row : row + 1], epoch=epoch, train=train)
            f_BSE[row] = torch.from_numpy(kept.reshape(self.features.shape))
        return f_BSE

    def _file(self, video_id: str, numbers_T: Int64) -> Path:
        told = f"{video_id}|{self.order == 'background'}|{','.join(map(str, numbers_T.tolist()))}"
        name = hashlib.sha256(told.encode()).hexdigest()[:32]
        return self.features.path / name[:2] / f"{name}.f32"

    def _make(
        self, path: Path, clip_1: Int64, *, epoch: int, train: bool
    ) -> npt.NDArray[np.float32]:
        """Encode one clip and keep what it gives."""
        if self._encode is None:
            self._encode = self.features.make_encode()
        x_BTHWC = super().read(clip_1, epoch=epoch, train=train)
        made = self._encode(x_BTHWC[0]).float().cpu().numpy()
        with write_aside(path) as aside:
            made.tofile(aside)
        return np.ascontiguousarray(made).reshape(-1)
