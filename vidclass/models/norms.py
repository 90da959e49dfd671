"""The normalisation N of the convolutional trunk, by name.

Legend: B images, C channels, H height, W width.
"""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the field's own name

__all__ = ["ChannelLayerNorm", "LocalResponseNorm", "Norm", "make_norm"]

Norm = Literal["batch", "lrn", "lrn_framework", "layer", "none"]


def make_norm(norm: Norm, num_channels: int) -> nn.Module:
    """Return the layer of that name over ``x_BCHW``; ``none`` is the identity.

    Args:
        norm: ``batch``: batch norm (Ioffe and Szegedy, 2015). ``lrn``: local response norm with
            the constants of Krizhevsky et al. (2012), who introduced it. ``lrn_framework``: the
            same with TensorFlow's default constants. ``layer``: see :class:`ChannelLayerNorm`.
        num_channels: channels of the map (C).
    """
    match norm:
        case "batch":
            return nn.BatchNorm2d(num_channels)
        case "lrn":
            return LocalResponseNorm(radius=2, bias=2.0, alpha=1e-4, beta=0.75)
        case "lrn_framework":
            return LocalResponseNorm(radius=5, bias=1.0, alpha=1.0, beta=0.5)
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
        radius: neighbours on each side along the channels.
        bias: ``k`` of the paper.
        alpha: weight of the sum of squares.
        beta: exponent.
    """

    def __init__(self, *, radius: int, bias: float, alpha: float, beta: float) -> None:
        super().__init__()
        self.size = 2 * radius + 1
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the normalised map, of the same shape."""
        return F.local_response_norm(
            x_BCHW, self.size, self.alpha * self.size, self.beta, self.bias
        )

    def extra_repr(self) -> str:
        """Tell the constants."""
        return f"size={self.size}, bias={self.bias}, alpha={self.alpha}, beta={self.beta}"


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm (Ba et al., 2016) over the channels of each position, as Keras places it.

    Every position is normalised by itself, so neither other positions nor other clips matter.
    On channels-last memory the permutation is free.
    """

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Return the normalised map, of the same shape."""
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
