"""What nets share that convolve or attend over space and time at once.

    x_BTCHW -> trunk on x_BCTHW -> f_BD -> dropout -> dense -> logits_BK

Legend: B clips, T frames, C channels, H height, W width, D features, K classes.
"""

from collections.abc import Callable
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.pretrained import NO_WEIGHTS
from vidclass.models.registry import ModelOptions, PublishedWeights, check_clips
from vidclass.models.tuning import Freeze, Tuned

__all__ = [
    "PublishedOptions",
    "ScaledOptions",
    "VideoNet",
    "VideoOptions",
    "published_trunk",
    "scaled_channels",
]

CHANNEL_MULTIPLE = 8  # vector units are 8 floats wide


class VideoOptions(ModelOptions):
    """Options of all models on volumes."""

    input_size: int = Field(112, ge=1, le=4096)
    """Height and width of a frame, pixels."""
    window_frames: int = Field(16, ge=1, le=1024)
    """Frames of the study's window; the model sees all of them."""
    dropout: float = Field(0.0, ge=0.0, lt=1.0)
    """Share of the features before the classifier that training leaves out."""

    smallest: ClassVar[tuple[int, int]] = (1, 1)
    """Frames and pixels that leave a place in the last map."""

    @model_validator(mode="after")
    def _a_place_is_left(self) -> Self:
        frames, pixels = self.smallest
        if self.window_frames < frames or self.input_size < pixels:
            raise UserError(
                "strides and pools over space and time must leave one place of the map",
                f"{self.window_frames} frames of {self.input_size} pixels",
                f"window_frames {frames} or more and input_size {pixels} or more",
            )
        return self


class ScaledOptions(VideoOptions):
    """Options of those that come in any width."""

    width: float = Field(1.0, gt=0.0, le=4.0)
    """Multiplier of all channels."""


class PublishedOptions(ScaledOptions):
    """Options of those with published weights."""

    weights: str = NO_WEIGHTS
    """kinetics: those that the net's library publishes, downloaded once into HOME/weights; none: a
    random start; or a file, by its absolute path or its name in HOME/weights."""
    freeze: Freeze = "full"
    """What of the net below the classifier is trained: nothing; its last `last_layers`; all. With
    the training's `unfreeze_after` that begins after so many epochs; `staged` is `last` after a
    quarter of them."""
    last_layers: int = Field(3, ge=1, le=1000)
    """Layers that `freeze: last` trains: convolutions or dense layers, each with its norm."""

    @property
    def published_weights(self) -> PublishedWeights | None:
        """Those of torchvision."""
        return PublishedWeights("kinetics", "torchvision", "BSD-3-Clause")

    @model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.weights != NO_WEIGHTS and self.width != 1.0:
            raise UserError(
                "published weights are those of the full width",
                f"weights {self.weights}, width {self.width}",
                "width: 1, or weights: none",
            )
        return self


def scaled_channels(count: int, width: float) -> int:
    """Return ``count * width`` channels, rounded up to a multiple of 8."""
    return max(CHANNEL_MULTIPLE, -int(-count * width // CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE)


class VideoNet(nn.Module):
    """A trunk over space and time, and a classifier.

    Args:
        trunk: ``x_BCTHW -> f_BD``.
        num_features: length of its output (D).
        num_classes: classes (K).
        options: form of the clips, dropout.
    """

    def __init__(
        self, trunk: nn.Module, num_features: int, num_classes: int, options: VideoOptions
    ) -> None:
        super().__init__()
        self.num_frames = options.window_frames
        self.input_size = options.input_size
        self.trunk = trunk
        self.dropout = nn.Dropout(options.dropout)
        self.classifier = nn.Linear(num_features, num_classes)

    def features(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return what the classifier sees, ``f_BD``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        f_BD: torch.Tensor = self.trunk(x_BTCHW.transpose(1, 2))
        return f_BD

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.classifier(self.dropout(self.features(x_BTCHW)))
        return logits_BK


class _OwnStart(Tuned):
    """A trunk that starts with the weights of a file, or as its library draws them."""

    def __init__(
        self,
        make: Callable[[], nn.Module],
        load: Callable[[nn.Module], None],
        options: PublishedOptions,
    ) -> None:
        self._make = make
        self._load_into = load
        super().__init__(
            random=options.weights == NO_WEIGHTS,
            freeze=options.freeze,
            last_layers=options.last_layers,
        )

    def _random_net(self) -> nn.Module:
        return self._make()

    def _load(self) -> None:
        self._load_into(self.net)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BD``."""
        f_BD: torch.Tensor = self.net(x_BCTHW)
        return f_BD


def published_trunk(
    make: Callable[[], nn.Module],
    load: Callable[[nn.Module], None],
    options: PublishedOptions,
    *,
    own_draws: bool,
) -> nn.Module:
    """Return a trunk that starts as ``options`` say.

    Args:
        make: makes it with random weights.
        load: puts those of a file into it.
        options: which weights, and what of them is trained.
        own_draws: whether a random start is its maker's (tables of positions and tokens are no
            layers, which whoever starts a training would know how to draw).
    """
    if options.weights == NO_WEIGHTS and options.freeze == "full" and not own_draws:
        return make()
    return _OwnStart(make, load, options)
