r"""Ways to fuse time around I3D, beside I3D itself, which sees the whole window at once.

    single      late              slow
    F           F F F . F F F     F F F F F F F F F F
    |           \___/   \___/     \_____/ \_____/       four groups that overlap
    I3D          I3D     I3D      1  2  3  4
    |              \     /        pairs, pairs
    classes        classes        classes

Legend: B clips, T frames, N towers, C channels, H height, W width, D features, K classes.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError
from vidclass.models.fusion import FrameOptions, Towers, single_position, spread_positions
from vidclass.models.fusion_backbone import ProgressiveHead
from vidclass.models.heads import dense_tail
from vidclass.models.i3d import I3dOptions, i3d_features, i3d_trunk, within_one
from vidclass.models.registry import check_clips, register_model

__all__ = [
    "I3dLateOptions",
    "I3dSingleOptions",
    "I3dSlowOptions",
    "i3d_late_fusion",
    "i3d_single_frame",
    "i3d_slow_fusion",
]

NUM_TOWERS, STEPS = 4, 5  # towers of two steps each, one step apart, over five steps
QUICK = {"width": 0.125, "input_size": 32, "window_frames": 5}


class I3dSingleOptions(I3dOptions, FrameOptions):
    """Options of I3D on one frame."""


class I3dLateOptions(I3dOptions):
    """Options of late fusion of I3D."""

    shared_towers: bool = True
    """One net for both halves of the window, or one for each."""

    @model_validator(mode="after")
    def _window_has_halves(self) -> Self:
        _check_window(self, 2)
        return self


class I3dSlowOptions(I3dOptions):
    """Options of slow fusion of I3D."""

    shared_towers: bool = True
    """One net for all four groups of frames, or one for each."""
    fusion_units: int = Field(256, ge=1, le=8192)
    """Units of the two layers that join neighbouring groups."""

    @model_validator(mode="after")
    def _window_has_steps(self) -> Self:
        _check_window(self, STEPS)
        return self


def _check_window(options: I3dOptions, least: int) -> None:
    if options.window_frames < least:
        raise UserError(
            "every group of frames has one at least",
            f"window_frames {options.window_frames}",
            f"a window of {least} frames or more",
        )


class VolumeTowers(nn.Module):
    """I3D on N groups of a clip's frames, and a head: ``x_BTCHW -> logits_BK``.

    Args:
        options: of I3D.
        span: frames of a group.
        stride: frames from one group's first to the next one's.
        num_towers: groups (N).
        shared: one net for all, or one a group.
        head: ``f_BND -> logits_BK``.
    """

    def __init__(
        self,
        options: I3dOptions,
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
        self.towers = Towers(lambda: i3d_trunk(options), num_towers=num_towers, shared=shared)
        self.head = head

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=self.num_frames, input_size=self.input_size)
        x_BNCHWT = x_BTCHW.unfold(1, self.span, self.stride)
        f_BND = self.towers(x_BNCHWT.permute(0, 1, 2, 5, 3, 4).flatten(0, 1))
        logits_BK: torch.Tensor = self.head(f_BND)
        return logits_BK


def _joined(num_towers: int, num_classes: int, options: I3dOptions) -> nn.Module:
    size = num_towers * i3d_features(options)
    return nn.Sequential(nn.Flatten(), dense_tail(size, (), options.dropout, num_classes))


def _slow_positions(window_frames: int, options: I3dSlowOptions) -> FramePositions:
    return spread_positions(window_frames // STEPS * STEPS, window_frames)


@register_model(
    "i3d_single_frame",
    options=I3dSingleOptions,
    uses_order=False,
    frame_positions=single_position,
    normalisation=within_one,
    quick_options=QUICK,
)
def i3d_single_frame(num_classes: int, options: I3dSingleOptions) -> nn.Module:
    """One frame of the window on I3D."""
    head = _joined(1, num_classes, options)
    return VolumeTowers(options, head, span=1, stride=1, num_towers=1, shared=True)


@register_model(
    "i3d_late_fusion",
    options=I3dLateOptions,
    uses_order=True,
    normalisation=within_one,
    quick_options=QUICK,
)
def i3d_late_fusion(num_classes: int, options: I3dLateOptions) -> nn.Module:
    """The two halves of the window on I3D, their features joined."""
    half = options.window_frames // 2
    return VolumeTowers(
        options,
        _joined(2, num_classes, options),
        span=half,
        stride=options.window_frames - half,
        num_towers=2,
        shared=options.shared_towers,
    )


@register_model(
    "i3d_slow_fusion",
    options=I3dSlowOptions,
    uses_order=True,
    frame_positions=_slow_positions,
    normalisation=within_one,
    quick_options=QUICK,
)
def i3d_slow_fusion(num_classes: int, options: I3dSlowOptions) -> nn.Module:
    """Four overlapping groups of frames on I3D, joined step by step."""
    step, units = options.window_frames // STEPS, options.fusion_units
    dense = dense_tail(units, (), options.dropout, num_classes)
    return VolumeTowers(
        options,
        ProgressiveHead(i3d_features(options), units, dense),
        span=2 * step,
        stride=step,
        num_towers=NUM_TOWERS,
        shared=options.shared_towers,
    )
