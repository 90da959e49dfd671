"""A small convolutional net on one frame, with two, three or four convolutions.

    64 3x3 - pool | 64 3x3 - pool [| 64 3x3 - pool [| 64 2x2 - pool]] | dense 64 | classes

No padding; a ReLU after every layer but the last.

Legend: B clips, C channels, H height, W width, K classes.
"""

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.fusion import FrameOptions, single_position
from vidclass.models.greyscale import GreyscaleOptions, to_input_channels
from vidclass.models.registry import Normalisation, check_clips, register_model

__all__ = ["SmallCnn", "SmallCnnOptions", "small_cnn"]

KERNELS = {2: (3, 3), 3: (3, 3, 3), 4: (3, 3, 3, 2)}
QUICK = {"input_size": 16, "num_channels": 8, "num_convolutions": 2}


class SmallCnnOptions(FrameOptions, GreyscaleOptions):
    """Options of the small net."""

    num_convolutions: Literal[2, 3, 4] = 4
    """Convolutions, each with a pool that halves the map."""
    num_channels: int = Field(64, ge=1, le=4096)
    """Channels of each convolution."""
    num_dense: int = Field(64, ge=1, le=8192)
    """Units of the dense layer before the classes."""

    @model_validator(mode="after")
    def _a_place_is_left(self) -> Self:
        if self.map_size < 1:
            raise UserError(
                f"{self.num_convolutions} convolutions and pools must leave one place of the map",
                f"input_size {self.input_size}",
                "a larger input_size, or fewer convolutions",
            )
        return self

    @property
    def map_size(self) -> int:
        """Height and width of the last map."""
        size = self.input_size
        for kernel in KERNELS[self.num_convolutions]:
            size = (size - kernel + 1) // 2
        return size


class SmallCnn(nn.Module):
    """The net on one frame: ``x_B1CHW -> logits_BK``."""

    def __init__(self, num_classes: int, options: SmallCnnOptions) -> None:
        super().__init__()
        self.input_size = options.input_size
        self.greyscale = options.greyscale
        layers: list[nn.Module] = []
        inside = options.in_channels
        for kernel in KERNELS[options.num_convolutions]:
            convolution = nn.Conv2d(inside, options.num_channels, kernel)
            layers += [convolution, nn.ReLU(inplace=True), nn.MaxPool2d(2)]
            inside = options.num_channels
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inside * options.map_size**2, options.num_dense),
            nn.ReLU(inplace=True),
            nn.Linear(options.num_dense, num_classes),
        )

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=1, input_size=self.input_size)
        x_BCHW = to_input_channels(x_BTCHW, greyscale=self.greyscale)[:, 0]
        logits_BK: torch.Tensor = self.dense(self.convolutions(x_BCHW))
        return logits_BK


@register_model(
    "small_cnn",
    options=SmallCnnOptions,
    uses_order=False,
    frame_positions=single_position,
    normalisation=Normalisation((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    quick_options=QUICK,
)
def small_cnn(num_classes: int, options: SmallCnnOptions) -> nn.Module:
    """Two to four convolutions on one frame, as first studies of animals have them."""
    return SmallCnn(num_classes, options)
