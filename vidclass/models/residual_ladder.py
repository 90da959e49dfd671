"""The controlled ladder of Tran et al. (2018): one residual net, and where it convolves over time.

    r2d        all frames in the first convolution, then none over time
    fr2d       no convolution over time: each frame by itself, averaged at the end
    mc3        over time in the first convolution and the first stage
    r3d        over time everywhere, 3x3x3
    r2plus1d   over time everywhere, 1x3x3 and then 3x1x1

All are ResNets of 18 layers. The blocks are torchvision's, and so are the names of the weights.

Legend: B clips, T frames, C channels, H height, W width, D features.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from vidclass.models.registry import NUM_COLOURS, Normalisation, register_model
from vidclass.models.video_library import load_video_weights, video_facts
from vidclass.models.video_net import (
    PublishedOptions,
    ScaledOptions,
    VideoNet,
    published_trunk,
    scaled_channels,
)

__all__ = ["FactorisedOptions", "VideoResidualTrunk", "matched_channels"]

Kind = Literal["r2d", "fr2d", "mc3", "r3d", "r2plus1d"]
QUICK = {"width": 0.125, "input_size": 24, "window_frames": 3}
STAGES = (64, 128, 256, 512)
BLOCKS = 2  # a stage of ResNet-18
STEM_MIDDLE = 45  # channels between the two convolutions of the (2+1)D stem


class FactorisedOptions(PublishedOptions):
    """Options of R(2+1)D."""

    middle: Literal["block", "layer"] = "block"
    """Channels between the convolution over space and that over time. block: one count for both
    pairs of a block, as in torchvision and its published weights; layer: each pair has as many
    weights as the 3x3x3 convolution that it replaces, as in the paper."""


def matched_channels(inside: int, outside: int) -> int:
    """Return the channels between 1x3x3 and 3x1x1 that give the weights of one 3x3x3."""
    return 27 * inside * outside // (9 * inside + 3 * outside)


class VideoResidualTrunk(nn.Module):
    """A ResNet-18 over volumes without its classifier: ``x_BCTHW -> f_BD``.

    Args:
        kind: where it convolves over time.
        width: multiplier of all channels.
        num_frames: frames of a clip (T), which the first convolution of r2d spans.
        middle: of :class:`FactorisedOptions`.
    """

    def __init__(self, kind: Kind, *, width: float, num_frames: int, middle: str = "block") -> None:
        super().__init__()
        channels = [scaled_channels(count, width) for count in STAGES]
        self.num_features = channels[-1]
        self.stem = _stem(kind, channels[0], width=width, num_frames=num_frames)
        inside = channels[0]
        for number, count in enumerate(channels):
            stage = _stage(_convolution(kind, number, middle), inside, count, first=number == 0)
            self.add_module(f"layer{number + 1}", stage)
            inside = count

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BD``, the mean over time and space."""
        for part in self.children():
            x_BCTHW = part(x_BCTHW)
        return x_BCTHW.mean(dim=(2, 3, 4))


def _blocks() -> Any:
    """Return torchvision's blocks, whose import takes a second that other models need not."""
    from torchvision.models.video import resnet

    return resnet


def _stem(kind: Kind, channels: int, *, width: float, num_frames: int) -> nn.Sequential:
    if kind == "r2plus1d":
        middle = max(1, round(STEM_MIDDLE * width))
        return nn.Sequential(
            _first(middle, 1),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, channels, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(channels),
            nn.ReLU(inplace=True),
        )
    frames = {"r2d": num_frames, "fr2d": 1}.get(kind, 3)
    return nn.Sequential(
        _first(channels, frames, over_all=kind == "r2d"),
        nn.BatchNorm3d(channels),
        nn.ReLU(inplace=True),
    )


def _first(channels: int, frames: int, *, over_all: bool = False) -> nn.Conv3d:
    padding = (0 if over_all else frames // 2, 3, 3)
    return nn.Conv3d(NUM_COLOURS, channels, (frames, 7, 7), (1, 2, 2), padding, bias=False)


def _convolution(kind: Kind, stage: int, middle: str) -> Any:
    """Return torchvision's maker of the convolutions of a stage (from 0)."""
    blocks = _blocks()
    if kind in ("r2d", "fr2d") or (kind == "mc3" and stage > 0):
        return blocks.Conv3DNoTemporal
    if kind != "r2plus1d":
        return blocks.Conv3DSimple
    if middle == "block":
        return blocks.Conv2Plus1D

    class Matched(blocks.Conv2Plus1D):  # type: ignore[misc, name-defined]
        """Each pair with a count of its own, whatever its block suggests."""

        def __init__(self, inside: int, outside: int, _: int, stride: int = 1) -> None:
            super().__init__(inside, outside, matched_channels(inside, outside), stride)

    return Matched


def _stage(convolution: Any, inside: int, outside: int, *, first: bool) -> nn.Sequential:
    block = _blocks().BasicBlock
    stride = 1 if first else 2
    shortcut = None
    if inside != outside or not first:
        strides = convolution.get_downsample_stride(stride)
        shortcut = nn.Sequential(
            nn.Conv3d(inside, outside, 1, strides, bias=False), nn.BatchNorm3d(outside)
        )
    rest = [block(outside, outside, convolution) for _ in range(BLOCKS - 1)]
    return nn.Sequential(block(inside, outside, convolution, stride, shortcut), *rest)


def _of_kinetics(name: str) -> Callable[[ScaledOptions], Normalisation]:
    return lambda options: video_facts(name).normalisation


def _published(
    name: str, kind: Kind, num_classes: int, options: PublishedOptions, middle: str = "block"
) -> nn.Module:
    def make() -> VideoResidualTrunk:
        frames = options.window_frames
        return VideoResidualTrunk(kind, width=options.width, num_frames=frames, middle=middle)

    trunk = published_trunk(
        make,
        lambda net: load_video_weights(net, name, options.weights),
        options,
        own_draws=False,
    )
    return VideoNet(trunk, scaled_channels(STAGES[-1], options.width), num_classes, options)


def _plain(kind: Kind, num_classes: int, options: ScaledOptions) -> nn.Module:
    frames = options.window_frames
    trunk = VideoResidualTrunk(kind, width=options.width, num_frames=frames)
    return VideoNet(trunk, trunk.num_features, num_classes, options)


@register_model(
    "r2d_18",
    options=ScaledOptions,
    uses_order=True,
    normalisation=_of_kinetics("r3d_18"),
    quick_options=QUICK,
)
def r2d_18(num_classes: int, options: ScaledOptions) -> nn.Module:
    """ResNet-18 with all frames in its first convolution."""
    return _plain("r2d", num_classes, options)


@register_model(
    "fr2d_18",
    options=ScaledOptions,
    uses_order=False,
    normalisation=_of_kinetics("r3d_18"),
    quick_options=QUICK,
)
def fr2d_18(num_classes: int, options: ScaledOptions) -> nn.Module:
    """ResNet-18 on each frame by itself, averaged over time."""
    return _plain("fr2d", num_classes, options)


@register_model(
    "mc3_18",
    options=PublishedOptions,
    uses_order=True,
    normalisation=_of_kinetics("mc3_18"),
    quick_options=QUICK,
)
def mc3_18(num_classes: int, options: PublishedOptions) -> nn.Module:
    """ResNet-18, 3x3x3 in the first stage, frames by themselves after it."""
    return _published("mc3_18", "mc3", num_classes, options)


@register_model(
    "r3d_18",
    options=PublishedOptions,
    uses_order=True,
    normalisation=_of_kinetics("r3d_18"),
    quick_options=QUICK,
)
def r3d_18(num_classes: int, options: PublishedOptions) -> nn.Module:
    """ResNet-18 with 3x3x3 convolutions throughout."""
    return _published("r3d_18", "r3d", num_classes, options)


@register_model(
    "r2plus1d_18",
    options=FactorisedOptions,
    uses_order=True,
    normalisation=_of_kinetics("r2plus1d_18"),
    quick_options=QUICK,
)
def r2plus1d_18(num_classes: int, options: FactorisedOptions) -> nn.Module:
    """ResNet-18 with 1x3x3 and then 3x1x1 for each 3x3x3."""
    return _published("r2plus1d_18", "r2plus1d", num_classes, options, options.middle)
