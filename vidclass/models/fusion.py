r"""Five ways to fuse time on one trunk (Karpathy et al., 2014, "Large-scale Video Classification").

    single    early         late          slow              average
    F         F F F F F F   F    F        F F F F F F F     F  F  F  F
    |         \_________/   |    |        |_|_|_|  (4 of 4) |  |  |  |
    trunk        trunk      trunk trunk   1  2  3  4        trunk, dense
    |            |           \   /         \/    \/         |  |  |  |
    dense        dense       dense          \    /          mean of logits
                                             dense

A 3-D convolution that spans all its frames equals a 2-D convolution over the frames stacked on the
channels, and that is how it is done here: same numbers, and 2-D kernels on channels-last memory are
several times faster on a CPU.

Legend: B clips, T frames, N towers, C channels, H height, W width, K classes.
"""

from collections.abc import Callable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError
from vidclass.models.registry import (
    NUM_COLOURS,
    ModelOptions,
    check_clips,
    register_model,
)
from vidclass.models.trunk import (
    TrunkOptions,
    channel_counts,
    conv_stage,
    dense_layers,
    trunk_stages,
)

__all__ = [
    "SLOW_FRAMES",
    "SLOW_SPAN",
    "SLOW_STRIDE",
    "AverageOptions",
    "FrameOptions",
    "LateOptions",
    "SingleOptions",
    "SlowOptions",
    "SpreadOptions",
    "TowerOptions",
    "Towers",
    "TwoFrameOptions",
    "average_fusion",
    "early_fusion",
    "even_positions",
    "join_frames",
    "late_fusion",
    "late_positions",
    "single_frame",
    "single_position",
    "slow_fusion",
    "slow_positions",
    "spread_positions",
]

SLOW_FRAMES, SLOW_SPAN, SLOW_STRIDE = 10, 4, 2  # four overlapping towers, then two, then one
QUICK = {"width": 0.125, "input_size": 32}


class FrameOptions(ModelOptions):
    """Which frame a single-frame model sees."""

    frame: Literal["centre", "first", "random", "fixed"] = "centre"
    """Which frame of the window: its centre, the first, one drawn a clip, or frame_index."""
    frame_index: int | None = Field(None, ge=0)
    """The frame of `frame: fixed`, counted from 0."""

    @model_validator(mode="after")
    def _index_fits_frame(self) -> Self:
        if (self.frame == "fixed") != (self.frame_index is not None):
            raise UserError(
                "`frame: fixed` and `frame_index` are given together",
                f"frame {self.frame}, frame_index {self.frame_index}",
                "both, or neither",
            )
        if self.frame_index is not None and self.frame_index >= self.window_frames:
            raise UserError(
                f"frame_index lies in the window of {self.window_frames} frames",
                self.frame_index,
                f"0 to {self.window_frames - 1}",
            )
        return self


class SingleOptions(FrameOptions, TrunkOptions):
    """Options of the single-frame model."""


class TwoFrameOptions(ModelOptions):
    """Which two frames late fusion sees."""

    frame_distance: int = Field(4, ge=1)
    """Frames between the two that are seen; they lie on both sides of the window's centre. The
    paper has 15."""
    shared_towers: bool = True
    """One trunk for both frames, as in the paper, or one for each."""

    @model_validator(mode="after")
    def _distance_fits_window(self) -> Self:
        if self.frame_distance >= self.window_frames:
            raise UserError(
                f"both frames lie in the window of {self.window_frames} frames",
                f"frame_distance {self.frame_distance}",
                f"a frame_distance below {self.window_frames}, or more window_frames",
            )
        return self


class LateOptions(TwoFrameOptions, TrunkOptions):
    """Options of late fusion."""


class TowerOptions(ModelOptions):
    """The towers of slow fusion."""

    shared_towers: bool = True
    """One set of weights for all towers of a layer, as in the paper, or one a tower."""

    @model_validator(mode="after")
    def _window_is_long_enough(self) -> Self:
        if self.window_frames < SLOW_FRAMES:
            raise UserError(
                f"slow fusion sees {SLOW_FRAMES} frames",
                f"window_frames {self.window_frames}",
                f"a window of {SLOW_FRAMES} frames or more",
            )
        return self


class SlowOptions(TowerOptions, TrunkOptions):
    """Options of slow fusion."""


class SpreadOptions(ModelOptions):
    """How many frames a model sees."""

    num_frames: int = Field(4, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""

    @model_validator(mode="after")
    def _frames_fit_window(self) -> Self:
        if self.num_frames > self.window_frames:
            raise UserError(
                f"a model's frames lie in the window of {self.window_frames} frames",
                f"num_frames {self.num_frames}",
                f"num_frames up to {self.window_frames}, or more window_frames",
            )
        return self


class AverageOptions(SpreadOptions, TrunkOptions):
    """Options of average fusion."""


def spread_positions(num_frames: int, window_frames: int) -> FramePositions:
    """Return ``num_frames`` (2 or more) positions from the window's first frame to its last."""
    last = window_frames - 1
    steps = num_frames - 1
    # Whole numbers, so that halves always round up.
    return FramePositions(tuple((2 * k * last + steps) // (2 * steps) for k in range(num_frames)))


def join_frames(x_BTCHW: torch.Tensor, *, span: int, stride: int) -> torch.Tensor:
    """Stack every ``span`` neighbours on the channels, beginning a tower at each ``stride``.

    Channel ``t * C + c`` of a tower is channel ``c`` of its frame ``t``.

    Returns:
        ``x_bCHW`` of shape ``[B * N, span * C, H, W]`` on channels-last memory, the towers of a
        clip next to each other.
    """
    # One copy in whole pixels: 10 % of a slow-fusion step faster than `unfold`, whose copy runs
    # over six dimensions, and than a conv3d, which needs no copy.
    x_BTHWC = x_BTCHW.permute(0, 1, 3, 4, 2)
    past_last_start = x_BTCHW.shape[1] - span + 1
    x_BNHWC = torch.cat([x_BTHWC[:, t : t + past_last_start : stride] for t in range(span)], dim=-1)
    return x_BNHWC.flatten(0, 1).permute(0, 3, 1, 2)


class Towers(nn.Module):
    """The same layers over N towers of a clip, with weights shared over time or one set a tower.

    Args:
        make: makes the layers of one tower, ``x_bCHW -> x_bCHW``.
        num_towers: towers a clip (N).
        shared: one set of weights for all.
    """

    def __init__(self, make: Callable[[], nn.Module], *, num_towers: int, shared: bool) -> None:
        super().__init__()
        self.num_towers = num_towers
        self.layers = nn.ModuleList(make() for _ in range(1 if shared else num_towers))

    def forward(self, x_bCHW: torch.Tensor) -> torch.Tensor:
        """Map ``[B * N, C, H, W]``, the towers of a clip next to each other, to ``x_BNCHW``."""
        if len(self.layers) == 1:
            maps_bCHW: torch.Tensor = self.layers[0](x_bCHW)
            return maps_bCHW.view(-1, self.num_towers, *maps_bCHW.shape[1:])
        x_BNCHW = x_bCHW.view(-1, self.num_towers, *x_bCHW.shape[1:])
        return torch.stack([layer(x_BNCHW[:, n]) for n, layer in enumerate(self.layers)], dim=1)


class StackedFusion(nn.Module):
    """All frames stacked on the channels of the first convolution; with one frame, single frame."""

    def __init__(self, num_frames: int, num_classes: int, options: TrunkOptions) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.input_size = options.input_size
        self.trunk = trunk_stages(NUM_COLOURS * num_frames, options)
        self.dense = dense_layers(num_classes, options)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        x_BCHW = join_frames(x_BTCHW, span=self.num_frames, stride=self.num_frames)
        logits_BK: torch.Tensor = self.dense(self.trunk(x_BCHW))
        return logits_BK


class AverageFusion(nn.Module):
    """The single-frame model on each frame, its logits averaged: no order of frames can matter."""

    def __init__(self, num_classes: int, options: AverageOptions) -> None:
        super().__init__()
        self.num_frames = options.num_frames
        self.input_size = options.input_size
        self.trunk = trunk_stages(NUM_COLOURS, options)
        self.dense = dense_layers(num_classes, options)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        logits_bK: torch.Tensor = self.dense(self.trunk(x_BTCHW.flatten(0, 1)))
        return logits_bK.view(-1, self.num_frames, logits_bK.shape[1]).mean(dim=1)


class LateFusion(nn.Module):
    """A trunk on each of two frames, joined on the channels before the dense layers."""

    def __init__(self, num_classes: int, options: LateOptions) -> None:
        super().__init__()
        self.input_size = options.input_size
        self.trunks = Towers(
            lambda: trunk_stages(NUM_COLOURS, options), num_towers=2, shared=options.shared_towers
        )
        self.dense = dense_layers(num_classes, options, num_maps=2)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=2, input_size=self.input_size)
        maps_BNCHW = self.trunks(x_BTCHW.flatten(0, 1))
        logits_BK: torch.Tensor = self.dense(join_frames(maps_BNCHW, span=2, stride=2))
        return logits_BK


class SlowFusion(nn.Module):
    """Four overlapping towers of four frames, joined in pairs to two, then to one trunk."""

    def __init__(self, num_classes: int, options: SlowOptions) -> None:
        super().__init__()
        self.input_size = options.input_size
        shared = options.shared_towers
        channels = channel_counts(options.width)
        self.conv1 = Towers(
            lambda: conv_stage(0, SLOW_SPAN * NUM_COLOURS, options), num_towers=4, shared=shared
        )
        self.conv2 = Towers(
            lambda: conv_stage(1, 2 * channels[0], options), num_towers=2, shared=shared
        )
        self.trunk = trunk_stages(2 * channels[1], options, first=2)
        self.dense = dense_layers(num_classes, options)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=SLOW_FRAMES, input_size=self.input_size)
        maps_BNCHW = self.conv1(join_frames(x_BTCHW, span=SLOW_SPAN, stride=SLOW_STRIDE))
        maps_BNCHW = self.conv2(join_frames(maps_BNCHW, span=2, stride=2))
        logits_BK: torch.Tensor = self.dense(self.trunk(join_frames(maps_BNCHW, span=2, stride=2)))
        return logits_BK


def single_position(window_frames: int, options: FrameOptions) -> FramePositions:
    """Return the one frame of a single-frame model."""
    index = {
        "centre": window_frames // 2,
        "first": 0,
        "random": 0,
        "fixed": options.frame_index or 0,
    }[options.frame]
    return FramePositions((index,), random=options.frame == "random")


def late_positions(window_frames: int, options: TwoFrameOptions) -> FramePositions:
    """Return the two frames of late fusion."""
    first = (window_frames - options.frame_distance) // 2
    return FramePositions((first, first + options.frame_distance))


def slow_positions(window_frames: int, options: ModelOptions) -> FramePositions:
    """Return the frames of slow fusion's towers."""
    return spread_positions(SLOW_FRAMES, window_frames)


def even_positions(window_frames: int, options: SpreadOptions) -> FramePositions:
    """Return frames evenly spaced over the window, its first and last among them."""
    return spread_positions(options.num_frames, window_frames)


@register_model(
    "single_frame",
    options=SingleOptions,
    uses_order=False,
    frame_positions=single_position,
    quick_options=QUICK,
)
def single_frame(num_classes: int, options: SingleOptions) -> nn.Module:
    """One frame of the window, no time at all."""
    return StackedFusion(1, num_classes, options)


@register_model(
    "early_fusion",
    options=TrunkOptions,
    uses_order=True,
    quick_options=QUICK,
)
def early_fusion(num_classes: int, options: TrunkOptions) -> nn.Module:
    """All frames of the window in the first convolution."""
    return StackedFusion(options.window_frames, num_classes, options)


@register_model(
    "late_fusion",
    options=LateOptions,
    uses_order=True,
    frame_positions=late_positions,
    quick_options=QUICK,
)
def late_fusion(num_classes: int, options: LateOptions) -> nn.Module:
    """Two frames some way apart, joined before the dense layers."""
    return LateFusion(num_classes, options)


@register_model(
    "slow_fusion",
    options=SlowOptions,
    uses_order=True,
    frame_positions=slow_positions,
    quick_options=QUICK,
)
def slow_fusion(num_classes: int, options: SlowOptions) -> nn.Module:
    """Four overlapping groups of four frames, joined step by step."""
    return SlowFusion(num_classes, options)


@register_model(
    "average_fusion",
    options=AverageOptions,
    uses_order=False,
    frame_positions=even_positions,
    quick_options=QUICK,
)
def average_fusion(num_classes: int, options: AverageOptions) -> nn.Module:
    """Logits of several single frames, averaged: more frames, but no order."""
    return AverageFusion(num_classes, options)
