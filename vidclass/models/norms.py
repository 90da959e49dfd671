"""The normalisation N of the convolutional trunk, by name.

Legend: B images, C channels, H height, W width.
"""

from typing import Literal

import torch
from torch import nn

__all__ = ["ChannelLayerNorm", "LocalResponseNorm", "Norm", "make_norm"]

Norm = Literal["batch", "lrn", "lrn_framework", "layer", "none"]


def make_norm(norm: Norm, num_channels: int) -> nn.Module:
    """Return the layer of that name over ``x_BCHW``; ``none`` is the identity.

    Args:
        norm: ``batch``: batch norm (Ioffe and Szegedy, 2015). ``lrn``: local response norm with
            the constants that Karpathy et al. (2014) print (they call them those of Krizhevsky et
            al., 2012, who introduced it with beta 0.75). ``lrn_framework``: the same with
            TensorFlow's default constants. ``layer``: see :class:`ChannelLayerNorm`.
        num_channels: channels of the map (C).
    """
    match norm:
        case "batch":
            return nn.BatchNorm2d(num_channels)
        case "lrn":
            return LocalResponseNorm(num_channels, radius=2, bias=2.0, alpha=1e-4, beta=0.5)
        case "lrn_framework":
            return LocalResponseNorm(num_channels, radius=5, bias=1.0, alpha=1.0, beta=0.5)
        case "layer":
            return ChannelLayerNorm(num_channels)
        case "none":
            return nn.Identity()


class LocalResponseNorm(nn.Module):
    """Divide each channel by the energy of its neighbours: ``x / (bias + alpha * sum x^2)^beta``.

    ``alpha`` weighs the *sum* of the ``2 * radius + 1`` squares, as in the paper and in TensorFlow.
    PyTorch's own layer weighs their mean: the framework constants are ``size=11, alpha=11,
    beta=0.5, k=1`` there. It has no parameters.

    Args:
        num_channels: channels of the map (C).
        radius: neighbours on each side along the channels.
        bias: ``k`` of the paper.
        alpha: weight of the sum of squares.
        beta: exponent.
    """

    neighbours_CC: torch.Tensor

    def __init__(
        self, num_channels: int, *, radius: int, bias: float, alpha: float, beta: float
    ) -> None:
        super().__init__()
        self.radius = radius
        self.bias = bias
        self.alpha = alpha
        self.beta = beta
        channels = torch.arange(num_channels)
        near_CC = (channels[:, None] - channels).abs() <= radius
        self.register_buffer("neighbours_CC", alpha * near_CC.float(), persistent=False)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the normalised map, of the same shape."""
        # The sum over neighbours is a product with a band matrix: on a CPU forward and backward
        # took a third of the time of torch's layer.
        x_BHWC = x_BCHW.permute(0, 2, 3, 1)
        energy_BHWC = x_BHWC.square() @ self.neighbours_CC
        return (x_BHWC * (self.bias + energy_BHWC).pow(-self.beta)).permute(0, 3, 1, 2)

    def extra_repr(self) -> str:
        """Tell the constants."""
        return f"radius={self.radius}, bias={self.bias}, alpha={self.alpha}, beta={self.beta}"


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm (Ba et al., 2016) over the channels of each position, as Keras places it.

    Every position is normalised by itself, so neither other positions nor other clips matter.
    On channels-last memory the permutation is free.
    """

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the normalised map, of the same shape."""
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
