"""Clips without colour, for nets that are to see shape alone.

Legend: B clips, T frames, C channels, H height, W width.
"""

import torch

from vidclass.models.registry import NUM_COLOURS, ModelOptions

__all__ = ["GreyscaleOptions", "to_input_channels"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as image libraries turn colours to grey


class GreyscaleOptions(ModelOptions):
    """Whether a model sees colours."""

    greyscale: bool = True
    """Whether the frames lose their colours before the first layer."""

    @property
    def in_channels(self) -> int:
        """Channels of the first layer's input."""
        return 1 if self.greyscale else NUM_COLOURS


def to_input_channels(x_BTCHW: torch.Tensor, *, greyscale: bool) -> torch.Tensor:
    """Return the clips with one channel, or as they are."""
    if not greyscale:
        return x_BTCHW
    weights_C = x_BTCHW.new_tensor(LUMA)
    return torch.einsum("btchw,c->bthw", x_BTCHW, weights_C).unsqueeze(2)
