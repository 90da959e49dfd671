"""A sequence model over poses: pixels against body parts, in one study.

Legend: B clips, T frames, D numbers a frame, H units, K classes.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from vidclass.data.poses import PoseOptions
from vidclass.models.fusion import SpreadOptions, even_positions
from vidclass.models.heads import dense_tail
from vidclass.models.recurrent import run_recurrent
from vidclass.models.registry import PoseSource, check_features, register_model

__all__ = ["PoseLstm", "PoseLstmOptions", "pose_lstm", "pose_source"]


class PoseLstmOptions(SpreadOptions, PoseOptions):
    """Options of the LSTM over poses."""

    num_frames: int = Field(10, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""
    num_features: int = Field(16, ge=1, le=65536)
    """Numbers a frame: 2 for each body part of each animal (3 with scores). A wrong one is told
    with the right one."""
    units: int = Field(64, ge=1, le=4096)
    """Units of each layer, in each direction."""
    num_layers: int = Field(1, ge=1, le=4)
    """LSTM layers, stacked."""
    bidirectional: bool = False
    """Whether each layer also runs from the last frame to the first."""
    readout: Literal["last", "mean"] = "mean"
    """What of the sequence goes on: its last step, or the mean of all steps."""
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of units left out in training before the classes."""


def pose_source(options: PoseLstmOptions) -> PoseSource:
    """Return how the model's features are read."""
    own = {name: getattr(options, name) for name in PoseOptions.model_fields}
    return PoseSource(PoseOptions(**own), options.num_features)


class PoseLstm(nn.Module):
    """Normalised numbers, LSTM over the frames, classes: ``f_BTD -> logits_BK``."""

    def __init__(self, num_classes: int, options: PoseLstmOptions) -> None:
        super().__init__()
        self.options = options
        # Pixels, body lengths and scores differ in size by orders of magnitude.
        self.norm = nn.BatchNorm1d(options.num_features)
        self.lstm = nn.LSTM(
            options.num_features,
            options.units,
            num_layers=options.num_layers,
            batch_first=True,
            bidirectional=options.bidirectional,
        )
        width = options.units * (2 if options.bidirectional else 1)
        self.dense = dense_tail(width, (), options.dropout, num_classes)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        options = self.options
        check_features(f_BTD, num_frames=options.num_frames, num_features=options.num_features)
        normal_BTD = self.norm(f_BTD.transpose(1, 2)).transpose(1, 2)
        steps_BTH = run_recurrent(self.lstm, normal_BTD)
        read_BH = steps_BTH[:, -1] if options.readout == "last" else steps_BTH.mean(dim=1)
        logits_BK: torch.Tensor = self.dense(read_BH)
        return logits_BK


@register_model(
    "pose_lstm",
    options=PoseLstmOptions,
    uses_order=True,
    frame_positions=even_positions,
    features=pose_source,
    quick_options={"num_frames": 4, "num_features": 6, "units": 8},
)
def pose_lstm(num_classes: int, options: PoseLstmOptions) -> nn.Module:
    """LSTM over the poses of DeepLabCut or SLEAP, no pixels."""
    return PoseLstm(num_classes, options)
