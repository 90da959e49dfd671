"""A model of your own: frames made small, joined, and two dense layers."""

import torch
from pydantic import Field
from torch import nn

from vidclass.models import ModelOptions, check_clips, register_model


class TinyOptions(ModelOptions):
    """Options of the model; each has its meaning beneath it."""

    hidden: int = Field(32, ge=1, le=512)
    """Units of the hidden layer."""


class Tiny(nn.Module):
    """Frames made small, joined, and two dense layers: x_BTCHW -> logits_BK."""

    def __init__(self, num_classes: int, options: TinyOptions) -> None:
        super().__init__()
        self.options = options
        self.shrink = nn.AdaptiveAvgPool2d(8)
        self.layers = nn.Sequential(
            nn.Linear(options.window_frames * 3 * 8 * 8, options.hidden),
            nn.ReLU(),
            nn.Linear(options.hidden, num_classes),
        )

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return the logits of the clips."""
        check_clips(
            x_BTCHW, num_frames=self.options.window_frames, input_size=self.options.input_size
        )
        small_BTCHW = self.shrink(x_BTCHW.flatten(0, 1)).unflatten(0, x_BTCHW.shape[:2])
        return self.layers(small_BTCHW.flatten(1))


@register_model(
    "tiny",
    options=TinyOptions,
    uses_order=True,
    quick_options={"input_size": 16, "window_frames": 4},
)
def tiny(num_classes: int, options: TinyOptions) -> nn.Module:
    """Frames made 8 x 8, joined, and two dense layers."""
    return Tiny(num_classes, options)
