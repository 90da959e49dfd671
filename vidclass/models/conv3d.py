"""Plain 3-D convolutions: C3D (Tran et al., 2015) and a smaller net after it.

    c3d        64 pool | 128 pool | 256 256 pool | 512 512 pool | 512 512 pool | dense 4096, 4096
    c3d_small  32 pool | 64 pool | 128 128 pool | 256 256 pool | dense 256, 128

Legend: B clips, T frames, C channels, H height, W width, D features, K classes.
"""

from itertools import pairwise
from typing import ClassVar

from pydantic import Field
from torch import nn

from vidclass.models.registry import register_model
from vidclass.models.video_net import ScaledOptions, VideoNet, scaled_channels

__all__ = ["C3dOptions", "C3dSmallOptions", "c3d", "c3d_small"]

QUICK = {"width": 0.125, "input_size": 16, "window_frames": 16}
SMALL_QUICK = {"width": 0.125, "input_size": 54, "window_frames": 11}
POOL_SPACE = (1, 2, 2)


class C3dOptions(ScaledOptions):
    """Options of C3D."""

    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the features after each dense layer that training leaves out."""

    smallest: ClassVar[tuple[int, int]] = (16, 16)

    @property
    def num_places(self) -> int:
        """Places of the last map."""
        side = self.input_size // 16 // 2 + 1
        return self.window_frames // 16 * side**2


class C3dSmallOptions(ScaledOptions):
    """Options of the small C3D."""

    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of the features after the first dense layer that training leaves out."""

    smallest: ClassVar[tuple[int, int]] = (11, 54)

    @property
    def num_places(self) -> int:
        """Places of the last map: convolutions without padding take from each border."""
        side = self.input_size
        for lost in (2, 2, 4, 2):
            side = (side - lost) // 2
        return (self.window_frames - 10) * side**2


def _convolutions(channels: list[int], *, kernel: int, padding: int) -> list[nn.Module]:
    """Return a convolution with its ReLU from each count of channels to the next."""
    layers: list[nn.Module] = []
    for inside, outside in pairwise(channels):
        layers += [nn.Conv3d(inside, outside, kernel, padding=padding), nn.ReLU(inplace=True)]
    return layers


@register_model("c3d", options=C3dOptions, uses_order=True, quick_options=QUICK)
def c3d(num_classes: int, options: C3dOptions) -> nn.Module:
    """C3D: eight convolutions of 3x3x3 and two dense layers."""
    a, b, c, d, dense = (scaled_channels(n, options.width) for n in (64, 128, 256, 512, 4096))
    trunk = nn.Sequential(
        *_convolutions([3, a], kernel=3, padding=1),
        nn.MaxPool3d(POOL_SPACE),
        *_convolutions([a, b], kernel=3, padding=1),
        nn.MaxPool3d(2),
        *_convolutions([b, c, c], kernel=3, padding=1),
        nn.MaxPool3d(2),
        *_convolutions([c, d, d], kernel=3, padding=1),
        nn.MaxPool3d(2),
        *_convolutions([d, d, d], kernel=3, padding=1),
        nn.MaxPool3d(2, padding=(0, 1, 1)),  # 112 pixels are 7 here, and the paper has 4 places
        nn.Flatten(),
        nn.Linear(d * options.num_places, dense),
        nn.ReLU(inplace=True),
        nn.Dropout(options.dropout),
        nn.Linear(dense, dense),
        nn.ReLU(inplace=True),
    )
    return VideoNet(trunk, dense, num_classes, options)


@register_model("c3d_small", options=C3dSmallOptions, uses_order=True, quick_options=SMALL_QUICK)
def c3d_small(num_classes: int, options: C3dSmallOptions) -> nn.Module:
    """A smaller C3D without padding, its dense layers linear."""
    a, b, c, d, e = (scaled_channels(n, options.width) for n in (32, 64, 128, 256, 128))
    trunk = nn.Sequential(
        *_convolutions([3, a], kernel=3, padding=0),
        nn.MaxPool3d(POOL_SPACE),
        *_convolutions([a, b], kernel=3, padding=0),
        nn.MaxPool3d(POOL_SPACE),
        *_convolutions([b, c, c], kernel=3, padding=0),
        nn.MaxPool3d(POOL_SPACE),
        *_convolutions([c, d, d], kernel=2, padding=0),
        nn.MaxPool3d(POOL_SPACE),
        nn.Flatten(),
        nn.Linear(d * options.num_places, d),
        nn.Dropout(options.dropout),
        nn.Linear(d, e),
    )
    return VideoNet(trunk, e, num_classes, options)
