import pytest
import torch
from torch import nn

from vidclass.models import create_model
from vidclass.models.trunk import TrunkOptions, channel_counts, geometry_for, trunk_stages


@pytest.mark.parametrize(
    ("input_size", "sizes"),
    [
        (170, (27, 11, 9, 7, 2)),
        (128, (20, 8, 6, 4, 1)),  # the smallest that the paper's geometry leaves a position of
        (127, (32, 16, 16, 16, 8)),
        (64, (16, 8, 8, 8, 4)),
        (32, (8, 4, 4, 4, 2)),
        (15, (4, 2, 2, 2, 1)),
        (14, (3, 1, 1, 1, 0)),
    ],
)
def test_map_sizes(input_size: int, sizes: tuple[int, ...]) -> None:
    assert geometry_for(input_size).map_sizes(input_size) == sizes


@pytest.mark.parametrize("input_size", [15, 16, 17, 32, 33, 64, 127, 128, 129, 170])
def test_stated_sizes_are_those_of_the_layers(input_size: int) -> None:
    options = TrunkOptions(input_size=input_size, width=0.05)
    with torch.device("meta"):
        map_BCHW = trunk_stages(3, options)(torch.empty(1, 3, input_size, input_size))
    assert map_BCHW.shape[-1] == geometry_for(input_size).map_sizes(input_size)[-1]


@pytest.mark.parametrize(
    ("width", "channels"),
    [
        (1.0, (96, 256, 384, 384, 256)),
        (0.125, (16, 32, 48, 48, 32)),
        (0.25, (24, 64, 96, 96, 64)),
        (0.001, (8, 8, 8, 8, 8)),
    ],
)
def test_width_gives_multiples_of_eight(width: float, channels: tuple[int, ...]) -> None:
    assert channel_counts(width) == channels


def test_dense_layers_of_an_eighth_have_512() -> None:
    model = create_model("single_frame", 8, width=0.125, input_size=32)
    sizes = [layer.out_features for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [512, 512, 8]


@pytest.mark.parametrize(
    ("input_size", "layers"),
    [
        (
            170,
            [
                "conv relu norm pool",
                "conv relu norm pool",
                "conv relu",
                "conv relu",
                "conv relu pool",
            ],
        ),
        (32, ["conv relu norm pool"] * 2 + ["conv relu norm"] * 2 + ["conv relu norm pool"]),
    ],
)
def test_norm_follows_the_relu_and_precedes_the_pool(input_size: int, layers: list[str]) -> None:
    names = {nn.Conv2d: "conv", nn.ReLU: "relu", nn.BatchNorm2d: "norm", nn.MaxPool2d: "pool"}
    with torch.device("meta"):
        stages = trunk_stages(3, TrunkOptions(input_size=input_size))
    assert [
        " ".join(names[type(layer)] for layer in stage.children()) for stage in stages
    ] == layers
