"""Inception-v1 over volumes: I3D (Carreira and Zisserman, 2017) and S3D (Xie et al., 2018).

    7x7x7 /2 - pool | 1x1x1 - 3x3x3 - pool | 3b 3c - pool | 4b 4c 4d 4e 4f - pool | 5b 5c - pool

I3D has the names of weights of its public PyTorch port (`i3d_weights.py` maps the original's), S3D
those of torchvision.

Legend: B clips, T frames, C channels, H height, W width, D features.
"""

from collections import OrderedDict
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from vidclass.errors import UserError
from vidclass.models.i3d_weights import load_i3d_weights
from vidclass.models.registry import NUM_COLOURS, Normalisation, PublishedWeights, register_model
from vidclass.models.video_library import KINETICS, load_video_weights, video_facts
from vidclass.models.video_net import (
    PublishedOptions,
    VideoNet,
    published_trunk,
    scaled_channels,
)

__all__ = ["I3dOptions", "S3dOptions", "i3d", "i3d_features", "i3d_trunk", "s3d", "within_one"]

FLOW_CHANNELS = 2  # the first two of a stored frame: motion to the right, motion down
BATCH_NORM_EPSILON = 1e-3
POOL_MAP = (2, 7, 7)
QUICK = {"width": 0.125, "input_size": 32, "window_frames": 8}


class Mixed(NamedTuple):
    """Channels of an Inception block: 1x1x1 | 1x1x1, 3x3x3 | 1x1x1, 3x3x3 | pool, 1x1x1."""

    alone: int
    before_second: int
    second: int
    before_third: int
    third: int
    pooled: int

    @property
    def total(self) -> int:
        """Channels of its output."""
        return self.alone + self.second + self.third + self.pooled


BLOCKS = {
    "Mixed_3b": Mixed(64, 96, 128, 16, 32, 32),
    "Mixed_3c": Mixed(128, 128, 192, 32, 96, 64),
    "Mixed_4b": Mixed(192, 96, 208, 16, 48, 64),
    "Mixed_4c": Mixed(160, 112, 224, 24, 64, 64),
    "Mixed_4d": Mixed(128, 128, 256, 24, 64, 64),
    "Mixed_4e": Mixed(112, 144, 288, 32, 64, 64),
    "Mixed_4f": Mixed(256, 160, 320, 32, 128, 128),
    "Mixed_5b": Mixed(256, 160, 320, 32, 128, 128),
    "Mixed_5c": Mixed(384, 192, 384, 48, 128, 128),
}


class InceptionOptions(PublishedOptions):
    """Options of both."""

    input_size: int = Field(224, ge=1, le=4096)
    """Height and width of a frame, pixels."""
    window_frames: int = Field(64, ge=1, le=1024)
    """Frames of the study's window; the model sees all of them."""


class I3dOptions(InceptionOptions):
    """Options of I3D."""

    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the features before the classifier that training leaves out."""
    stream: Literal["rgb", "flow"] = "rgb"
    """What the frames hold: colours; or optical flow, stored as a video whose first two channels
    are the motion to the right and down, 128 for none, 20 pixels at both ends."""

    @property
    def published_weights(self) -> PublishedWeights | None:
        """None: its authors' file has to be given."""
        return None

    @model_validator(mode="after")
    def _a_file_is_named(self) -> Self:
        if self.weights == KINETICS:
            raise UserError(
                "no library publishes weights of I3D",
                f"weights {self.weights}",
                "weights: FILE, of the PyTorch port or with the original's names; or weights: none",
            )
        return self


class S3dOptions(InceptionOptions):
    """Options of S3D."""

    window_frames: int = Field(16, ge=1, le=1024)
    """Frames of the study's window; the model sees all of them."""
    dropout: float = Field(0.2, ge=0.0, lt=1.0)
    """Share of the features before the classifier that training leaves out."""

    smallest: ClassVar[tuple[int, int]] = (5, 17)


def _scaled(block: Mixed, width: float) -> Mixed:
    return Mixed(*(scaled_channels(count, width) for count in block))


def _same_padding(shape: torch.Size, kernel: tuple[int, ...], stride: tuple[int, ...]) -> list[int]:
    """Return what ``F.pad`` adds so that a map of n places becomes n / stride, rounded up."""
    pads: list[int] = []
    for size, length, step in zip(shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        # As the original's framework pads: one more behind than before where it is odd.
        missing = max((-(-size // step) - 1) * step + length - size, 0)
        pads += [missing // 2, missing - missing // 2]
    return pads


class _SamePool(nn.MaxPool3d):
    """A max-pool of maps that are nowhere negative, padded to n / stride places."""

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return the pooled map."""
        kernel, stride = tuple(self.kernel_size), tuple(self.stride)  # type: ignore[arg-type]
        padded_BCTHW = F.pad(x_BCTHW, _same_padding(x_BCTHW.shape, kernel, stride))
        pooled_BCTHW: torch.Tensor = super().forward(padded_BCTHW)
        return pooled_BCTHW


class _Unit(nn.Module):
    """Convolution, batch norm, ReLU; the map has n / stride places."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        # "same" is what the framework of the original does, for a stride of 1.
        padding: Any = "same" if stride == 1 else 0
        self.conv3d = nn.Conv3d(inside, outside, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(outside, eps=BATCH_NORM_EPSILON, momentum=0.01)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return the map."""
        kernel, stride = self.conv3d.kernel_size, self.conv3d.stride
        if max(stride) > 1:
            x_BCTHW = F.pad(x_BCTHW, _same_padding(x_BCTHW.shape, kernel, stride))
        return F.relu(self.bn(self.conv3d(x_BCTHW)), inplace=True)


class _MixedUnits(nn.Module):
    """An Inception block of I3D, under the names of its PyTorch port."""

    def __init__(self, inside: int, block: Mixed) -> None:
        super().__init__()
        self.b0 = _Unit(inside, block.alone, 1)
        self.b1a = _Unit(inside, block.before_second, 1)
        self.b1b = _Unit(block.before_second, block.second, 3)
        self.b2a = _Unit(inside, block.before_third, 1)
        self.b2b = _Unit(block.before_third, block.third, 3)
        self.b3a = nn.MaxPool3d(3, 1, 1)
        self.b3b = _Unit(inside, block.pooled, 1)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return the four branches, one after the other on the channels."""
        branches = (
            self.b0(x_BCTHW),
            self.b1b(self.b1a(x_BCTHW)),
            self.b2b(self.b2a(x_BCTHW)),
            self.b3b(self.b3a(x_BCTHW)),
        )
        return torch.cat(branches, dim=1)


class _I3dTrunk(nn.Module):
    """I3D without its classifier: ``x_BCTHW -> f_BD``; of flow it takes the first two channels."""

    def __init__(self, *, width: float, flow: bool) -> None:
        super().__init__()
        self.in_channels = FLOW_CHANNELS if flow else NUM_COLOURS
        first, third = scaled_channels(64, width), scaled_channels(192, width)
        layers: OrderedDict[str, nn.Module] = OrderedDict(
            Conv3d_1a_7x7=_Unit(self.in_channels, first, 7, 2),
            MaxPool3d_2a_3x3=_SamePool((1, 3, 3), (1, 2, 2)),
            Conv3d_2b_1x1=_Unit(first, first, 1),
            Conv3d_2c_3x3=_Unit(first, third, 3),
            MaxPool3d_3a_3x3=_SamePool((1, 3, 3), (1, 2, 2)),
        )
        inside = third
        for name, published in BLOCKS.items():
            if name == "Mixed_4b":
                layers["MaxPool3d_4a_3x3"] = _SamePool((3, 3, 3), (2, 2, 2))
            if name == "Mixed_5b":
                layers["MaxPool3d_5a_2x2"] = _SamePool((2, 2, 2), (2, 2, 2))
            block = _scaled(published, width)
            layers[name] = _MixedUnits(inside, block)
            inside = block.total
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BD``."""
        x_BCTHW = x_BCTHW[:, : self.in_channels]
        for layer in self.children():
            x_BCTHW = layer(x_BCTHW)
        return _pooled(x_BCTHW)


class _S3dTrunk(nn.Module):
    """S3D without its classifier: ``x_BCTHW -> f_BD``."""

    def __init__(self, *, width: float) -> None:
        super().__init__()
        self.features = _s3d_features(width)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BD``."""
        return _pooled(self.features(x_BCTHW))


def _s3d_features(width: float) -> nn.Sequential:
    """Return torchvision's layers of S3D, in any width."""
    # The module, which the package hides behind the function of its name.
    import importlib

    library = importlib.import_module("torchvision.models.video.s3d")
    norm = partial(nn.BatchNorm3d, eps=BATCH_NORM_EPSILON, momentum=0.001)
    first, third = scaled_channels(64, width), scaled_channels(192, width)
    layers = [
        library.TemporalSeparableConv(NUM_COLOURS, first, 7, 2, 3, norm),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        library.Conv3dNormActivation(first, first, kernel_size=1, stride=1, norm_layer=norm),
        library.TemporalSeparableConv(first, third, 3, 1, 1, norm),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    ]
    inside = third
    for name, published in BLOCKS.items():
        if name == "Mixed_4b":
            layers.append(nn.MaxPool3d(3, 2, 1))
        if name == "Mixed_5b":
            layers.append(nn.MaxPool3d(2, 2))
        block = _scaled(published, width)
        layers.append(library.SepInceptionBlock3D(inside, *block, norm))
        inside = block.total
    return nn.Sequential(*layers)


def _pooled(x_BCTHW: torch.Tensor) -> torch.Tensor:
    """Return the mean over windows of 2x7x7 places (or the whole map, where it is smaller)."""
    window = [min(size, most) for size, most in zip(x_BCTHW.shape[2:], POOL_MAP, strict=True)]
    return F.avg_pool3d(x_BCTHW, window, stride=1).mean(dim=(2, 3, 4))


def _num_features(width: float) -> int:
    return _scaled(BLOCKS["Mixed_5c"], width).total


def i3d_features(options: I3dOptions) -> int:
    """Return the length of what I3D makes of a clip (D)."""
    return _num_features(options.width)


def i3d_trunk(options: I3dOptions) -> nn.Module:
    """Return I3D without its classifier, ``x_BCTHW -> f_BD``."""
    return published_trunk(
        lambda: _I3dTrunk(width=options.width, flow=options.stream == "flow"),
        lambda net: load_i3d_weights(net, options.weights),
        options,
        own_draws=False,
    )


def within_one(options: I3dOptions) -> Normalisation:
    """Return what brings pixels to -1..1, as I3D's published weights expect them."""
    half = (127.5, 127.5, 127.5)
    return Normalisation(half, half)


@register_model(
    "i3d",
    options=I3dOptions,
    uses_order=True,
    normalisation=within_one,
    quick_options=QUICK,
)
def i3d(num_classes: int, options: I3dOptions) -> nn.Module:
    """I3D: Inception-v1 inflated over time, for colours or optical flow."""
    return VideoNet(i3d_trunk(options), i3d_features(options), num_classes, options)


@register_model(
    "s3d",
    options=S3dOptions,
    uses_order=True,
    normalisation=lambda options: video_facts("s3d").normalisation,
    quick_options=QUICK,
)
def s3d(num_classes: int, options: S3dOptions) -> nn.Module:
    """S3D: Inception-v1 with 1x3x3 and then 3x1x1 for each 3x3x3."""
    trunk = published_trunk(
        lambda: _S3dTrunk(width=options.width),
        lambda net: load_video_weights(net, "s3d", options.weights),
        options,
        own_draws=False,
    )
    return VideoNet(trunk, _num_features(options.width), num_classes, options)
