"""Sequence models over the features of frames: joined frames, LRCN.

LRCN (Donahue et al., 2015): a backbone on each frame, one to three recurrent layers or convolutions
over time on what it makes, dense layers, classes.

Legend: B clips, T frames, D features, H units, K classes.
"""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.backbones import (
    QUICK,
    BackboneOptions,
    feature_source,
    normalisation_of,
    on_backbone,
)
from vidclass.models.fusion import SpreadOptions, even_positions
from vidclass.models.heads import SizeOptions, dense_tail
from vidclass.models.registry import register_model

__all__ = [
    "ConcatOptions",
    "Lrcn",
    "LrcnOptions",
    "SequenceLayer",
    "StepDropout",
    "concat_mlp",
    "lrcn",
    "run_recurrent",
]

SequenceModel = Literal["lstm", "gru", "rnn", "conv1d"]
RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class ConcatOptions(BackboneOptions, SpreadOptions, SizeOptions):
    """Options of the dense layers over joined frames."""

    size_1: int = Field(512, ge=0, le=8192)
    """Units of the first layer; 0 drops it, and the later ones must then be 0 as well."""
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of units left out in training, after each dense layer and before the classes."""


class LrcnOptions(BackboneOptions, SpreadOptions, SizeOptions):
    """Options of LRCN.

    The first ``num_recurrent`` sizes are layers over time, the others dense layers.
    """

    num_frames: int = Field(5, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""
    sequence_model: SequenceModel = "lstm"
    """Layers over time: lstm, gru, rnn (the plain one, with tanh) or conv1d (with ReLU)."""
    num_recurrent: int = Field(1, ge=1, le=3)
    """Layers over time, stacked; each takes the whole sequence of the one before."""
    size_1: int = Field(256, ge=1, le=8192)
    """Units of the first layer over time, in each direction."""
    size_2: int = Field(0, ge=0, le=8192)
    """Units of the second layer: over time where num_recurrent is 2 or more, else dense; 0 drops
    it."""
    size_3: int = Field(0, ge=0, le=8192)
    """Units of the third layer: over time where num_recurrent is 3, else dense; 0 drops it."""
    bidirectional: bool = False
    """Whether each recurrent layer also runs from the last frame to the first."""
    readout: Literal["last", "mean", "flatten"] = "last"
    """What of the sequence goes on: last: its last step (of the backward direction: its own last,
    at the first frame); mean of all steps; flatten: all steps side by side."""
    kernel_size: int = Field(3, ge=2, le=64)
    """Steps that a convolution over time (conv1d) spans; it pads nothing."""
    dropout_inside: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the inputs of each layer over time left out in training, the same at every step."""
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of units left out in training, after each dense layer and before the classes."""

    @model_validator(mode="after")
    def _layers_fit_together(self) -> Self:
        if len(self.sizes) < self.num_recurrent:
            raise UserError(
                "every layer over time has a size",
                f"num_recurrent {self.num_recurrent}, sizes {', '.join(map(str, self.sizes))}",
                "sizes up to that number above 0, or a smaller num_recurrent",
            )
        if self.sequence_model != "conv1d":
            return self
        if self.bidirectional:
            raise UserError(
                "a convolution looks both ways already",
                "bidirectional: true, sequence_model: conv1d",
                "bidirectional: false",
            )
        if self.num_frames <= self.num_recurrent * (self.kernel_size - 1):
            raise UserError(
                "the convolutions over time leave at least one step",
                f"num_frames {self.num_frames}, num_recurrent {self.num_recurrent}, kernel_size "
                f"{self.kernel_size}",
                f"num_frames of {self.num_recurrent * (self.kernel_size - 1) + 1} or more",
            )
        return self


class StepDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence (Gal and Ghahramani, 2016)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``x_BTD``, in training with some of its D set to 0 and the others scaled."""
        if not self.training or self.share == 0.0:
            return x_BTD
        kept_B1D = torch.rand_like(x_BTD[:, :1]) >= self.share
        return x_BTD * kept_B1D / (1.0 - self.share)

    def extra_repr(self) -> str:
        """Tell the share."""
        return f"share={self.share}"


def run_recurrent(layer: nn.Module, x_BTD: torch.Tensor) -> torch.Tensor:
    """Return all steps of a recurrent layer, ``[B, T, H]``, or ``[B, T, 2 H]`` in two directions.

    On a CPU it runs in float32: most have no bfloat16 for it, autocast or not.
    """
    if x_BTD.device.type != "cpu":
        steps_BTH: torch.Tensor = layer(x_BTD)[0]
        return steps_BTH
    with torch.autocast("cpu", enabled=False):
        steps_BTH = layer(x_BTD.float())[0]
        return steps_BTH


class SequenceLayer(nn.Module):
    """One layer over time: ``x_BTD -> (steps_BTH, last_BH)``."""

    def __init__(self, num_inputs: int, num_units: int, options: LrcnOptions) -> None:
        super().__init__()
        self.dropout = StepDropout(options.dropout_inside)
        self.num_units = num_units
        self.bidirectional = options.bidirectional
        self.layer: nn.Module
        if options.sequence_model == "conv1d":
            self.layer = nn.Conv1d(num_inputs, num_units, options.kernel_size)
        else:
            self.layer = RECURRENT[options.sequence_model](
                num_inputs, num_units, batch_first=True, bidirectional=options.bidirectional
            )
        self.num_outputs = num_units * (2 if options.bidirectional else 1)

    def forward(self, x_BTD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return all steps, and what the layer ends with."""
        x_BTD = self.dropout(x_BTD)
        if isinstance(self.layer, nn.Conv1d):
            steps_BTH = self.layer(x_BTD.transpose(1, 2)).transpose(1, 2).relu()
            return steps_BTH, steps_BTH[:, -1]
        steps_BTH = run_recurrent(self.layer, x_BTD)
        if not self.bidirectional:
            return steps_BTH, steps_BTH[:, -1]
        forward_BH = steps_BTH[:, -1, : self.num_units]
        backward_BH = steps_BTH[:, 0, self.num_units :]
        return steps_BTH, torch.cat([forward_BH, backward_BH], dim=1)


class Lrcn(nn.Module):
    """Layers over time and dense layers on the features of frames: ``f_BTD -> logits_BK``."""

    def __init__(self, num_features: int, num_classes: int, options: LrcnOptions) -> None:
        super().__init__()
        self.readout = options.readout
        layers: list[SequenceLayer] = []
        num_steps, width = options.num_frames, num_features
        for size in options.sizes[: options.num_recurrent]:
            layers.append(SequenceLayer(width, size, options))
            width = layers[-1].num_outputs
            if options.sequence_model == "conv1d":
                num_steps -= options.kernel_size - 1
        self.layers = nn.ModuleList(layers)
        self.dense = dense_tail(
            width * (num_steps if self.readout == "flatten" else 1),
            options.sizes[options.num_recurrent :],
            options.dropout,
            num_classes,
        )

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        steps_BTH = f_BTD
        for layer in self.layers:
            steps_BTH, last_BH = layer(steps_BTH)
        match self.readout:
            case "last":
                read_BF = last_BH
            case "mean":
                read_BF = steps_BTH.mean(dim=1)
            case _:
                read_BF = steps_BTH.flatten(1)
        logits_BK: torch.Tensor = self.dense(read_BF)
        return logits_BK


class Concat(nn.Module):
    """The features of all frames side by side, then dense layers: ``f_BTD -> logits_BK``."""

    def __init__(self, num_features: int, num_classes: int, options: ConcatOptions) -> None:
        super().__init__()
        self.dense = dense_tail(
            options.num_frames * num_features, options.sizes, options.dropout, num_classes
        )

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.dense(f_BTD.flatten(1))
        return logits_BK


_ENTRY: dict[str, Any] = {
    "uses_order": True,
    "frame_positions": even_positions,
    "normalisation": normalisation_of,
    "features": feature_source,
}


@register_model(
    "concat_mlp", options=ConcatOptions, quick_options={**QUICK, "size_1": 16}, **_ENTRY
)
def concat_mlp(num_classes: int, options: ConcatOptions) -> nn.Module:
    """Dense layers over the features of all frames, side by side."""
    return on_backbone(options, options.num_frames, lambda size: Concat(size, num_classes, options))


@register_model("lrcn", options=LrcnOptions, quick_options={**QUICK, "size_1": 16}, **_ENTRY)
def lrcn(num_classes: int, options: LrcnOptions) -> nn.Module:
    """A backbone on each frame, then LSTM, GRU, RNN or convolutions over time."""
    return on_backbone(options, options.num_frames, lambda size: Lrcn(size, num_classes, options))
