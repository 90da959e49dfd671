r"""Ways to fuse time on any backbone: the fusions of Karpathy et al. (2014), pooling, TSN and TSM.

    single    pooling, tsn   late         early          slow            tsm
    F         F F F          F    F       F F F F F F    F F F F F F F   F F F
    |         | | |          |    |       \_________/    |_|_|_| (4)     |x|x|  channels move
    backbone  backbone       backbones    backbone       backbones       backbone
    |         mean or max    \    /       |              pairs, pairs    mean of logits
    classes   classes        classes      classes        classes

Early and slow fusion widen the backbone's first convolution over time; the others leave it as it
is. What frozen backbones make of single frames comes from the feature store (see ``backbones``).

Legend: B clips, T frames, N towers, C channels, H height, W width, D features, U units, K classes.
"""

from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError
from vidclass.models.backbones import (
    QUICK,
    Backbone,
    BackboneOptions,
    OnFrames,
    feature_source,
    normalisation_of,
    on_backbone,
)
from vidclass.models.backbones_library import num_features
from vidclass.models.fusion import (
    SLOW_FRAMES,
    SLOW_SPAN,
    SLOW_STRIDE,
    FrameOptions,
    SpreadOptions,
    TowerOptions,
    Towers,
    TwoFrameOptions,
    even_positions,
    join_frames,
    late_positions,
    single_position,
    slow_positions,
)
from vidclass.models.heads import SizeOptions, dense_tail
from vidclass.models.registry import check_clips, register_model
from vidclass.models.shift import shift_in_time

__all__ = [
    "BackboneEarlyOptions",
    "BackboneLateOptions",
    "BackbonePoolingOptions",
    "BackboneSingleOptions",
    "BackboneSlowOptions",
    "BackboneTsmOptions",
    "BackboneTsnOptions",
    "ProgressiveHead",
    "backbone_early_fusion",
    "backbone_late_fusion",
    "backbone_pooling",
    "backbone_single_frame",
    "backbone_slow_fusion",
    "backbone_tsm",
    "backbone_tsn",
    "segment_positions",
]

Consensus = Literal["avg", "max"]


class BackboneHeadOptions(BackboneOptions, SizeOptions):
    """Options of a backbone with dense layers after it."""


class BackboneSingleOptions(BackboneHeadOptions, FrameOptions):
    """Options of a single frame on a backbone."""


class BackbonePoolingOptions(BackboneHeadOptions, SpreadOptions):
    """Options of pooling over time."""

    temporal_pooling: Consensus = "avg"
    """How the features of the frames become one vector: avg or max."""


class BackboneTsnOptions(BackboneHeadOptions, SpreadOptions):
    """Options of temporal segment networks."""

    num_frames: int = Field(3, ge=2)
    """Segments of the window; the middle frame of each is seen. With the study's `data.clips` the
    frame of a segment can be drawn."""
    consensus: Consensus = "avg"
    """How the logits of the segments become one: avg or max."""


class BackboneTsmOptions(BackboneHeadOptions, SpreadOptions):
    """Options of temporal shift modules."""

    num_frames: int = Field(8, ge=2)
    """Frames that are seen, evenly spaced over the whole window."""
    shift_part: int = Field(8, ge=2, le=64)
    """One channel in so many comes from the frame before, and as many from the frame after."""


class BackboneLateOptions(BackboneHeadOptions, TwoFrameOptions):
    """Options of late fusion on a backbone."""

    @model_validator(mode="after")
    def _separate_towers_learn(self) -> Self:
        _check_towers(self, self.shared_towers)
        return self


class BackboneEarlyOptions(BackboneHeadOptions):
    """Options of early fusion on a backbone."""


class BackboneSlowOptions(BackboneHeadOptions, TowerOptions):
    """Options of slow fusion on a backbone."""

    fusion_units: int = Field(256, ge=1, le=8192)
    """Units of the two layers that join neighbouring towers."""

    @model_validator(mode="after")
    def _separate_towers_learn(self) -> Self:
        _check_towers(self, self.shared_towers)
        return self


def _check_towers(options: BackboneOptions, shared: bool) -> None:
    if not shared and options.freeze == "frozen":
        raise UserError(
            "separate towers begin alike and differ only once they are trained",
            "shared_towers: false, freeze: frozen",
            "shared_towers: true, or freeze: last or full",
        )


class PooledHead(nn.Module):
    """Mean or maximum of the frames' features, then dense layers: ``f_BTD -> logits_BK``."""

    def __init__(self, num_features: int, num_classes: int, options: BackbonePoolingOptions):
        super().__init__()
        self.pooling = options.temporal_pooling
        self.dense = dense_tail(num_features, options.sizes, options.dropout, num_classes)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.dense(_over_time(f_BTD, self.pooling))
        return logits_BK


class ConsensusHead(nn.Module):
    """Dense layers on each frame, then the mean or maximum of the logits."""

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        options: BackboneHeadOptions,
        consensus: Consensus = "avg",
    ) -> None:
        super().__init__()
        self.consensus: Consensus = consensus
        self.dense = dense_tail(num_features, options.sizes, options.dropout, num_classes)

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        return _over_time(self.dense(f_BTD), self.consensus)


def _over_time(x_BTF: torch.Tensor, how: Consensus) -> torch.Tensor:
    return x_BTF.mean(dim=1) if how == "avg" else x_BTF.amax(dim=1)


class JoinedHead(nn.Module):
    """The features of all frames next to each other, then dense layers."""

    def __init__(
        self, num_frames: int, num_features: int, num_classes: int, options: BackboneHeadOptions
    ) -> None:
        super().__init__()
        self.dense = dense_tail(
            num_frames * num_features, options.sizes, options.dropout, num_classes
        )

    def forward(self, f_BTD: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        logits_BK: torch.Tensor = self.dense(f_BTD.flatten(1))
        return logits_BK


class WideBackbones(nn.Module):
    """Backbones that see several frames at once, and a head: early and slow fusion.

    Args:
        options: of the backbone.
        span: frames that one backbone sees.
        stride: frames from one tower's first frame to the next one's.
        num_towers: towers of a clip (N).
        shared: one backbone for all towers, or one a tower.
        head: ``f_BND -> logits_BK``.
    """

    def __init__(
        self,
        options: BackboneOptions,
        head: nn.Module,
        *,
        span: int,
        stride: int,
        num_towers: int,
        shared: bool,
    ) -> None:
        super().__init__()
        self.span, self.stride = span, stride
        self.num_frames = span + stride * (num_towers - 1)
        self.input_size = options.input_size
        self.backbones = Towers(
            lambda: Backbone(options, num_frames=span), num_towers=num_towers, shared=shared
        )
        self.head = head

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        f_BND = self.backbones(join_frames(x_BTCHW, span=self.span, stride=self.stride))
        logits_BK: torch.Tensor = self.head(f_BND)
        return logits_BK


class ProgressiveHead(nn.Module):
    """Four towers joined in pairs to two, these to one: ``f_BND -> logits_BK``.

    Args:
        num_features: length of a tower's output (D).
        num_units: units of both joining layers (U).
        dense: what follows, ``x_BU -> logits_BK``.
    """

    def __init__(self, num_features: int, num_units: int, dense: nn.Module) -> None:
        super().__init__()
        self.first = nn.Linear(2 * num_features, num_units)
        self.second = nn.Linear(2 * num_units, num_units)
        self.dense = dense

    def forward(self, f_BND: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        pairs_B2U = self.first(torch.cat([f_BND[:, 0::2], f_BND[:, 1::2]], dim=2)).relu()
        whole_BU = self.second(pairs_B2U.flatten(1)).relu()
        logits_BK: torch.Tensor = self.dense(whole_BU)
        return logits_BK


def segment_positions(window_frames: int, options: SpreadOptions) -> FramePositions:
    """Return the middle frame of each of ``num_frames`` equal parts of the window."""
    parts = options.num_frames
    return FramePositions(tuple((2 * k + 1) * window_frames // (2 * parts) for k in range(parts)))


_CACHED: dict[str, Any] = {
    "normalisation": normalisation_of,
    "features": feature_source,
    "quick_options": QUICK,
}
_ON_CLIPS: dict[str, Any] = {"normalisation": normalisation_of, "quick_options": QUICK}


@register_model(
    "backbone_single_frame",
    options=BackboneSingleOptions,
    uses_order=False,
    frame_positions=single_position,
    **_CACHED,
)
def backbone_single_frame(num_classes: int, options: BackboneSingleOptions) -> nn.Module:
    """One frame of the window on a backbone."""
    return on_backbone(options, 1, lambda size: JoinedHead(1, size, num_classes, options))


@register_model(
    "backbone_pooling",
    options=BackbonePoolingOptions,
    uses_order=False,
    frame_positions=even_positions,
    **_CACHED,
)
def backbone_pooling(num_classes: int, options: BackbonePoolingOptions) -> nn.Module:
    """Features of several frames on a backbone, averaged or their maximum."""
    return on_backbone(
        options, options.num_frames, lambda size: PooledHead(size, num_classes, options)
    )


@register_model(
    "backbone_tsn",
    options=BackboneTsnOptions,
    uses_order=False,
    frame_positions=segment_positions,
    **_CACHED,
)
def backbone_tsn(num_classes: int, options: BackboneTsnOptions) -> nn.Module:
    """Temporal segments on a backbone: their logits averaged or their maximum."""
    return on_backbone(
        options,
        options.num_frames,
        lambda size: ConsensusHead(size, num_classes, options, options.consensus),
    )


@register_model(
    "backbone_late_fusion",
    options=BackboneLateOptions,
    uses_order=True,
    frame_positions=late_positions,
    **_CACHED,
)
def backbone_late_fusion(num_classes: int, options: BackboneLateOptions) -> nn.Module:
    """Two frames some way apart on a backbone, their features joined."""
    return on_backbone(
        options,
        2,
        lambda size: JoinedHead(2, size, num_classes, options),
        shared=options.shared_towers,
    )


@register_model("backbone_early_fusion", options=BackboneEarlyOptions, uses_order=True, **_ON_CLIPS)
def backbone_early_fusion(num_classes: int, options: BackboneEarlyOptions) -> nn.Module:
    """All frames of the window in the first convolution of a backbone."""
    size, span = num_features(options.backbone, options.input_size), options.window_frames
    head = JoinedHead(1, size, num_classes, options)
    return WideBackbones(options, head, span=span, stride=span, num_towers=1, shared=True)


@register_model(
    "backbone_slow_fusion",
    options=BackboneSlowOptions,
    uses_order=True,
    frame_positions=slow_positions,
    **_ON_CLIPS,
)
def backbone_slow_fusion(num_classes: int, options: BackboneSlowOptions) -> nn.Module:
    """Four overlapping groups of four frames on backbones, joined step by step."""
    size, units = num_features(options.backbone, options.input_size), options.fusion_units
    dense = dense_tail(units, options.sizes, options.dropout, num_classes)
    return WideBackbones(
        options,
        ProgressiveHead(size, units, dense),
        span=SLOW_SPAN,
        stride=SLOW_STRIDE,
        num_towers=(SLOW_FRAMES - SLOW_SPAN) // SLOW_STRIDE + 1,
        shared=options.shared_towers,
    )


@register_model(
    "backbone_tsm",
    options=BackboneTsmOptions,
    uses_order=True,
    frame_positions=even_positions,
    **_ON_CLIPS,
)
def backbone_tsm(num_classes: int, options: BackboneTsmOptions) -> nn.Module:
    """Temporal shift: channels inside a backbone move between neighbouring frames."""
    size = num_features(options.backbone, options.input_size)

    def shifted() -> nn.Module:
        backbone = Backbone(options)
        shift_in_time(backbone.net, num_frames=options.num_frames, part=options.shift_part)
        return backbone

    return OnFrames(
        shifted,
        ConsensusHead(size, num_classes, options),
        num_frames=options.num_frames,
        input_size=options.input_size,
    )
