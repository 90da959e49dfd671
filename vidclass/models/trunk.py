"""The convolutional trunk of Karpathy et al. (2014), and what becomes of it on small frames.

    conv1 - N - pool | conv2 - N - pool | conv3 | conv4 | conv5 - pool | dense - dense - classes

Every convolution and both dense layers end in a ReLU; N (a norm) follows the ReLU.

Legend: B images, C channels, H height, W width, F features.
"""

from dataclasses import dataclass
from typing import Self

from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.norms import Norm, make_norm
from vidclass.models.registry import ModelOptions

__all__ = [
    "GEOMETRY_RULE",
    "MIN_INPUT_SIZE",
    "PAPER_MIN_INPUT_SIZE",
    "Geometry",
    "TrunkOptions",
    "channel_counts",
    "conv_stage",
    "dense_layers",
    "geometry_for",
    "trunk_stages",
]

PAPER_CHANNELS = (96, 256, 384, 384, 256)
PAPER_DENSE = 4096
PAPER_MIN_INPUT_SIZE = 128  # the smallest frame that leaves one position after the paper's pools
MIN_INPUT_SIZE = 15  # the same with the small geometry
POOLED_STAGES = (0, 1, 4)
CHANNEL_MULTIPLE = 8  # vector units are 8 floats wide, and 12 channels cost as much as 16

GEOMETRY_RULE = (
    f"From {PAPER_MIN_INPUT_SIZE} px up the trunk is the paper's: conv1 11x11 stride 3, conv2 5x5, "
    "then 3x3, no padding, norm after conv1 and conv2. Below that: conv1 5x5 stride 2, conv2 5x5, "
    "then 3x3, each padded by half its kernel (an input of n gives n / stride, rounded up), norm "
    "after every convolution. Always max-pool 2x2 after conv1, conv2 and conv5. The smallest input "
    f"is {MIN_INPUT_SIZE} px. Width multiplies 96, 256, 384, 384, 256 channels (rounded up to "
    f"multiples of {CHANNEL_MULTIPLE}) and both dense layers of {PAPER_DENSE}."
)


@dataclass(frozen=True)
class Geometry:
    """Kernels, strides and paddings of the five convolutions, and where norms and pools stand.

    Args:
        kernels: side of each kernel.
        strides: step of each convolution.
        same_padding: pad by half the kernel instead of not at all.
        normed_stages: convolutions (from 0) that a norm follows.
        pooled_stages: convolutions (from 0) that a max-pool of 2x2 follows.
    """

    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    same_padding: bool
    normed_stages: tuple[int, ...]
    pooled_stages: tuple[int, ...] = POOLED_STAGES

    def padding(self, stage: int) -> int:
        """Return the zeros added on each side before convolution ``stage`` (from 0)."""
        return self.kernels[stage] // 2 if self.same_padding else 0

    def map_sizes(self, input_size: int) -> tuple[int, ...]:
        """Return the side of the map after each stage, its pool included; 0 where none is left."""
        sizes = []
        size = input_size
        for stage, (kernel, stride) in enumerate(zip(self.kernels, self.strides, strict=True)):
            size = max(0, (size + 2 * self.padding(stage) - kernel) // stride + 1)
            if stage in self.pooled_stages:
                size //= 2
            sizes.append(size)
        return tuple(sizes)


PAPER_GEOMETRY = Geometry((11, 5, 3, 3, 3), (3, 1, 1, 1, 1), False, (0, 1))
SMALL_GEOMETRY = Geometry((5, 5, 3, 3, 3), (2, 1, 1, 1, 1), True, (0, 1, 2, 3, 4))


class TrunkOptions(ModelOptions):
    """Options of all models on the trunk."""

    width: float = Field(1.0, gt=0.0, le=4.0)
    """Multiplier of all channels and dense layers."""
    norm: Norm = "batch"
    """Norm after the convolutions: batch, lrn (the paper's constants), lrn_framework
    (TensorFlow's), layer (over the channels of a position), none."""

    @model_validator(mode="after")
    def _input_survives_pools(self) -> Self:
        if self.input_size < MIN_INPUT_SIZE:
            raise UserError(
                "three pools and a strided convolution must leave one position of the map",
                f"input_size {self.input_size}",
                f"an input_size of {MIN_INPUT_SIZE} or more",
            )
        return self


def geometry_for(input_size: int) -> Geometry:
    """Return the geometry that :data:`GEOMETRY_RULE` states for frames of ``input_size`` pixels."""
    return PAPER_GEOMETRY if input_size >= PAPER_MIN_INPUT_SIZE else SMALL_GEOMETRY


def channel_counts(width: float) -> tuple[int, ...]:
    """Return the channels of the five convolutions: 16, 32, 48, 48, 32 at width 0.125."""
    return tuple(_rounded(count * width) for count in PAPER_CHANNELS)


def _rounded(count: float) -> int:
    return max(CHANNEL_MULTIPLE, -int(-count // CHANNEL_MULTIPLE) * CHANNEL_MULTIPLE)


def conv_stage(stage: int, in_channels: int, options: TrunkOptions) -> nn.Sequential:
    """Return convolution ``stage`` (from 0) with its ReLU, norm and pool: ``x_BCHW -> x_BCHW``.

    Args:
        stage: which of the five.
        in_channels: channels of its input, joined frames or towers included.
        options: width, norm, and the size of the *frame*, which decides the geometry.
    """
    geometry = geometry_for(options.input_size)
    out_channels = channel_counts(options.width)[stage]
    layers: list[nn.Module] = [
        nn.Conv2d(
            in_channels,
            out_channels,
            geometry.kernels[stage],
            geometry.strides[stage],
            geometry.padding(stage),
        ),
        nn.ReLU(inplace=True),
    ]
    if stage in geometry.normed_stages:
        layers.append(make_norm(options.norm, out_channels))
    if stage in geometry.pooled_stages:
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def trunk_stages(in_channels: int, options: TrunkOptions, *, first: int = 0) -> nn.Sequential:
    """Return the convolutions from stage ``first`` (from 0) to the last: ``x_BCHW -> x_BCHW``."""
    channels = channel_counts(options.width)
    inputs = (in_channels, *channels[first:-1])
    return nn.Sequential(*(conv_stage(first + n, count, options) for n, count in enumerate(inputs)))


def dense_layers(num_classes: int, options: TrunkOptions, *, num_maps: int = 1) -> nn.Sequential:
    """Return the two dense layers and the classifier: last maps ``x_BCHW -> logits_BK``.

    Args:
        num_classes: classes (K).
        options: width, and the size of the frame.
        num_maps: last maps that were joined on the channels.
    """
    num_positions = geometry_for(options.input_size).map_sizes(options.input_size)[-1] ** 2
    num_features = num_maps * channel_counts(options.width)[-1] * num_positions
    num_dense = _rounded(PAPER_DENSE * options.width)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(num_features, num_dense),
        nn.ReLU(inplace=True),
        nn.Linear(num_dense, num_dense),
        nn.ReLU(inplace=True),
        nn.Linear(num_dense, num_classes),
    )
