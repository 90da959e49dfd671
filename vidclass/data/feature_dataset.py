"""Training on features: the clips of a data set as what a frozen backbone made of their frames.

Legend: B clips, T frames, D features.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vidclass.data.crops import CropOptions
from vidclass.data.feature_store import Features, FeatureStore
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import BatchTransform, Place
from vidclass.errors import UserError

__all__ = ["FeatureDataset", "FeatureTransform"]

Int64 = npt.NDArray[np.int64]


class FeatureDataset(ClipDataset):
    """The clips of a :class:`ClipDataset` as features: the same frames, ``f_BTD`` float32.

    Args:
        frames: the frame store, which knows times and sizes.
        features: what its frames became.
        table: see :class:`ClipDataset`.
        **settings: see :class:`ClipDataset`; every frame is seen in its middle, so ``crop`` leaves
            no choice of place.

    Raises:
        UserError: as :class:`ClipDataset`; and for the order ``background``, which shows pictures
            that no video has.
    """

    def __init__(
        self, frames: FrameStore, features: FeatureStore, table: pd.DataFrame, **settings: Any
    ) -> None:
        if settings.get("order") == "background":
            raise UserError(
                "features are made of the frames of videos, not of their backgrounds",
                "order background",
                "cache_features: false in this arm",
            )
        crop = settings.pop("crop", None) or CropOptions()
        settings["crop"] = crop.model_copy(update={"train": "centre", "test": "centre"})
        super().__init__(frames, table, **settings)
        self.features = features
        self._arrays: list[Features] | None = None

    def __getstate__(self) -> dict[str, object]:
        """Pickle without the mapped features."""
        return {**super().__getstate__(), "_arrays": None}

    def read(self, clips_B: Int64, *, epoch: int, train: bool) -> torch.Tensor:
        """Return the clips' features ``f_BTD``; the arguments are those of ``ClipDataset.read``."""
        clips_B = np.asarray(clips_B, dtype=np.int64)
        numbers_BT = self.frame_numbers(clips_B, epoch=epoch, train=train)
        f_BTD = torch.empty((*numbers_BT.shape, self.features.num_features), dtype=torch.float32)
        out = f_BTD.numpy()
        if self._arrays is None:
            self._arrays = [self.features.features(name) for name in self.samples.video_ids]
        for row, sample in enumerate(self.samples_of(clips_B, train=train).tolist()):
            out[row] = self._arrays[sample][numbers_BT[row]]
        return f_BTD


class FeatureTransform(BatchTransform):
    """Features reach the model as they are: they are normalised, and augmentation is of pixels."""

    def __init__(self) -> None:
        super().__init__(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def __call__(
        self,
        x_BTHWC: torch.Tensor,
        *,
        train: bool,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Return ``f_BTD`` itself."""
        return x_BTHWC

    def training(
        self,
        x_BTHWC: torch.Tensor,
        y: torch.Tensor,
        generator: torch.Generator,
        place: Place | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``f_BTD`` and its labels themselves."""
        return x_BTHWC, y
