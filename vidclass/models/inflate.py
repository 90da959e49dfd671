"""An image net inflated over time: weights of images begin a net over volumes.

Each convolution that sees more than one pixel gets ``time_kernel`` frames, its weights divided by
their number (Carreira and Zisserman, 2017). The first and last frame are repeated beyond the clip's
ends, so that a still clip gives exactly what the image net gives for its one frame.

Legend: B clips, T frames, C channels, H height, W width, D features.
"""

import copy
from functools import lru_cache
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from vidclass.errors import UserError
from vidclass.models.backbones_library import backbone_facts, build_trunk, num_features
from vidclass.models.pretrained import (
    NO_WEIGHTS,
    find_weights,
    fitting_state,
    load_state,
    read_state,
)
from vidclass.models.registry import NUM_COLOURS, Normalisation, PublishedWeights, register_model
from vidclass.models.tuning import Freeze, Tuned
from vidclass.models.video_net import VideoNet, VideoOptions

__all__ = ["InflatedConvolution", "InflatedOptions", "inflate"]

ANY_MAP = (
    nn.Dropout,
    nn.Hardsigmoid,
    nn.Hardswish,
    nn.Identity,
    nn.ReLU,
    nn.ReLU6,
    nn.Sequential,  # an empty one
    nn.Sigmoid,
    nn.SiLU,
)
"""Layers that take maps of images and volumes alike."""
QUICK = {"backbone": "squeezenet1_1", "weights": NO_WEIGHTS, "input_size": 32, "window_frames": 3}


class InflatedOptions(VideoOptions):
    """Options of an inflated image net."""

    input_size: int = Field(224, ge=1, le=4096)
    """Height and width of a frame, pixels."""
    backbone: str = "resnet18"
    """A convolutional image net of torchvision, such as resnet50 or mobilenet_v2."""
    weights: str = NO_WEIGHTS
    """imagenet: those that the net's library publishes, downloaded once into HOME/weights; none: a
    random start; or a file of the image net, by its absolute path or its name in HOME/weights."""
    time_kernel: Literal[1, 3, 5, 7] = 3
    """Frames that a convolution sees."""
    freeze: Freeze = "full"
    """What of the net below the classifier is trained: nothing; its last `last_layers`; all. With
    the training's `unfreeze_after` that begins after so many epochs."""
    last_layers: int = Field(3, ge=1, le=1000)
    """Layers that `freeze: last` trains: convolutions, each with its norm."""

    @property
    def published_weights(self) -> PublishedWeights | None:
        """Those that the library of the backbone publishes."""
        facts = backbone_facts(self.backbone)
        return PublishedWeights("imagenet", facts.library, facts.licence) if facts.file else None

    @model_validator(mode="after")
    def _the_backbone_inflates(self) -> Self:
        _check_inflates(self.backbone, self.input_size)
        return self


class InflatedConvolution(nn.Conv3d):
    """A convolution of images over time as well, each end of the clip repeated.

    Args:
        image: the convolution of images; its weights are divided over time.
        time_kernel: frames that it sees, an odd number.
    """

    def __init__(self, image: nn.Conv2d, time_kernel: int) -> None:
        assert not isinstance(image.padding, str) and image.padding_mode == "zeros"
        super().__init__(
            image.in_channels,
            image.out_channels,
            _over_time(image.kernel_size, time_kernel),
            _over_time(image.stride),
            _over_time(image.padding, 0),
            _over_time(image.dilation),
            image.groups,
            bias=image.bias is not None,
            device=image.weight.device,
        )
        with torch.no_grad():
            weight = image.weight.unsqueeze(2).expand(-1, -1, time_kernel, -1, -1)
            self.weight.copy_(weight / time_kernel)
            if image.bias is not None and self.bias is not None:
                self.bias.copy_(image.bias)

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return the map, of as many frames."""
        beyond = self.kernel_size[0] // 2
        if beyond:
            x_BCTHW = F.pad(x_BCTHW, (0, 0, 0, 0, beyond, beyond), mode="replicate")
        return super().forward(x_BCTHW)


def inflate(image_net: nn.Module, time_kernel: int) -> nn.Module:
    """Return a net over ``x_BCTHW`` made of a convolutional one over ``x_BCHW``.

    Args:
        image_net: left as it is.
        time_kernel: frames that each convolution of more than one pixel sees.

    Raises:
        UserError: when it has a layer that is tied to images.
    """
    net = copy.deepcopy(image_net)
    for path, module in list(net.named_modules()):
        if next(module.children(), None) is not None or not path:
            continue
        inflated = _inflated(module, time_kernel)
        if inflated is module:
            continue
        if inflated is None:
            raise _not_inflated(f"{type(module).__name__} at {path}")
        parent, _, name = path.rpartition(".")
        setattr(net.get_submodule(parent), name, inflated)
    return net


@lru_cache(maxsize=64)
def _check_inflates(backbone: str, input_size: int) -> None:
    """Refuse a backbone that makes no map of a volume, found out on the meta device."""
    num_features(backbone, input_size)  # refuses unknown ones and frames that are too small
    with torch.device("meta"):
        net = inflate(build_trunk(backbone, input_size), 3).eval()
        try:
            maps = net(torch.empty(1, NUM_COLOURS, 2, input_size, input_size))
        except (ValueError, RuntimeError, AssertionError) as error:
            raise _not_inflated(f"{backbone}: {str(error).splitlines()[0]}") from error
    if maps.ndim != 5:
        raise _not_inflated(f"{backbone}, whose output has {maps.ndim} dimensions")


def _not_inflated(received: str) -> UserError:
    return UserError(
        "an inflated net is made of convolutions, batch norms and pools",
        received,
        "a convolutional net of torchvision, such as resnet18, vgg16 or mobilenet_v2",
    )


def _inflated(module: nn.Module, time_kernel: int) -> nn.Module | None:
    """Return a layer over volumes: the same one if it fits any map, None if there is none."""
    match module:
        case nn.Conv2d():
            return InflatedConvolution(module, time_kernel if max(module.kernel_size) > 1 else 1)
        case nn.BatchNorm2d():
            norm = nn.BatchNorm3d(module.num_features, module.eps, module.momentum)
            norm.to(module.weight.device).load_state_dict(module.state_dict())
            return norm
        case nn.MaxPool2d() | nn.AvgPool2d():
            kind = nn.MaxPool3d if isinstance(module, nn.MaxPool2d) else nn.AvgPool3d
            return kind(
                _over_time(module.kernel_size),
                _over_time(module.stride),
                _over_time(module.padding, 0),
                ceil_mode=module.ceil_mode,
            )
        case nn.AdaptiveAvgPool2d() if module.output_size in (1, (1, 1)):
            return nn.AdaptiveAvgPool3d(1)
        case _ if isinstance(module, ANY_MAP) or type(module).__name__ == "StochasticDepth":
            return module
        case _:
            return None


def _over_time(value: Any, over_time: int = 1) -> tuple[int, int, int]:
    height, width = value if isinstance(value, tuple) else (value, value)
    return over_time, height, width


class _InflatedTrunk(Tuned):
    """An inflated image net without its classifier: ``x_BCTHW -> f_BD``, the mean over all."""

    def __init__(self, options: InflatedOptions) -> None:
        self.options = options
        super().__init__(
            random=options.weights == NO_WEIGHTS,
            freeze=options.freeze,
            last_layers=options.last_layers,
        )

    def forward(self, x_BCTHW: torch.Tensor) -> torch.Tensor:
        """Return ``f_BD``."""
        f_BD: torch.Tensor = self.net(x_BCTHW).mean(dim=(2, 3, 4))
        return f_BD

    def _random_net(self) -> nn.Module:
        return inflate(self._image_net(), self.options.time_kernel)

    def _image_net(self) -> nn.Module:
        return build_trunk(self.options.backbone, self.options.input_size)

    def _load(self) -> None:
        options = self.options
        path = find_weights(options.backbone, options.weights)
        facts = backbone_facts(options.backbone)
        images = self._image_net()
        state = fitting_state(read_state(path), images, facts, options.input_size)
        load_state(images, state, source=str(path), without=facts.classifiers)
        self.net.load_state_dict(inflate(images, options.time_kernel).state_dict())


def _of_backbone(options: InflatedOptions) -> Normalisation:
    return backbone_facts(options.backbone).normalisation


@register_model(
    "inflated",
    options=InflatedOptions,
    uses_order=True,
    normalisation=_of_backbone,
    quick_options=QUICK,
)
def inflated(num_classes: int, options: InflatedOptions) -> nn.Module:
    """A convolutional image net inflated over time, with the weights of images."""
    size = num_features(options.backbone, options.input_size)
    return VideoNet(_InflatedTrunk(options), size, num_classes, options)
