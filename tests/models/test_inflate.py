from pathlib import Path

import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.backbones_library import build_trunk
from vidclass.models.inflate import InflatedConvolution, inflate


def image_net(name: str) -> nn.Module:
    """A net with statistics in which no norm is the identity."""
    torch.manual_seed(0)
    net = build_trunk(name, 64)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return net.eval()


@pytest.mark.parametrize(
    ("name", "time_kernel"),
    [
        ("resnet18", 3),
        pytest.param("resnet50", 3, marks=pytest.mark.slow),
        pytest.param("resnext50_32x4d", 5, marks=pytest.mark.slow),
        pytest.param("densenet121", 3, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", 3, marks=pytest.mark.slow),
        ("mobilenet_v2", 3),
        ("squeezenet1_1", 7),
        pytest.param("vgg11_bn", 1, marks=pytest.mark.slow),
    ],
)
def test_a_still_clip_gives_what_the_image_gives(name: str, time_kernel: int) -> None:
    net = image_net(name)
    x_BCHW = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted_BCHW = net(x_BCHW)
        still_BCTHW = x_BCHW.unsqueeze(2).expand(-1, -1, 3, -1, -1)
        got_BCTHW = inflate(net, time_kernel).eval()(still_BCTHW)
    size = wanted_BCHW.abs().max()
    for t in range(3):
        torch.testing.assert_close(got_BCTHW[:, :, t] / size, wanted_BCHW / size, rtol=0, atol=1e-5)


def test_a_moving_clip_does_not() -> None:
    net = image_net("squeezenet1_1")
    x_BCTHW = torch.randn(1, 3, 3, 64, 64)
    with torch.no_grad():
        got_BCTHW = inflate(net, 3).eval()(x_BCTHW)
        assert (got_BCTHW[:, :, 1] - net(x_BCTHW[:, :, 1])).abs().max() > 1e-3


def test_convolutions_of_one_pixel_see_one_frame() -> None:
    net = inflate(build_trunk("squeezenet1_1", 64), 3)
    kernels = {
        module.kernel_size for module in net.modules() if isinstance(module, InflatedConvolution)
    }
    assert kernels == {(3, 3, 3), (1, 1, 1)}


def test_real_weights_of_images_are_those_of_the_clip(shared_data: Path) -> None:
    file = shared_data.parent / "weights" / "squeezenet1_1_imagenet_torchvision.pth"
    if not file.is_file():
        pytest.skip(f"needs {file.name}, which is not part of the repository")
    options = {"backbone": "squeezenet1_1", "weights": str(file), "input_size": 64}
    clips = create_model("inflated", 3, window_frames=2, **options).eval()
    images = create_model(
        "backbone_single_frame", 3, cache_features=False, freeze="full", **options
    ).eval()
    x_BCHW = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        got_BD = clips.features(x_BCHW.unsqueeze(1).expand(-1, 2, -1, -1, -1))
        wanted_BTD = images.features(x_BCHW.unsqueeze(1))
    torch.testing.assert_close(got_BD, wanted_BTD[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["vit_b_16", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_nets_that_are_tied_to_images_are_refused(backbone: str) -> None:
    with pytest.raises(UserErrors, match="convolutions, batch norms and pools"):
        create_model("inflated", 3, backbone=backbone, input_size=224)
