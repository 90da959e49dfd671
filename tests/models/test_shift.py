import pytest
import torch
from torch import nn

from vidclass.errors import UserError
from vidclass.models.backbones_library import build_trunk
from vidclass.models.shift import TemporalShift, shift_in_time


def test_channels_come_from_the_frames_beside() -> None:
    x_BTC = torch.arange(1.0, 13.0).view(1, 3, 4)  # three frames of four channels
    shifted = TemporalShift(num_frames=3, part=4).shifted(x_BTC.view(3, 4, 1, 1)).view(3, 4)
    assert shifted.tolist() == [[0, 6, 3, 4], [1, 10, 7, 8], [5, 0, 11, 12]]
    tokens_bNC = x_BTC.view(3, 1, 4)
    assert TemporalShift(3, 4).shifted(tokens_bNC).view(3, 4).tolist() == shifted.tolist()


def test_clips_do_not_mix() -> None:
    shift = TemporalShift(num_frames=2, part=2)
    x_bCHW = torch.randn(4, 8, 1, 1)
    torch.testing.assert_close(shift.shifted(x_bCHW)[2:], shift.shifted(x_bCHW[2:]))


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("resnet18", [f"layer{n}.{m}.conv1" for n in (1, 2, 3, 4) for m in (0, 1)]),
        ("mobilenet_v2", [f"features.{n}.conv" for n in (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)]),
        ("vgg11", [f"features.{n}" for n in (3, 6, 8, 11, 13, 16, 18)]),
        ("timm:vit_tiny_patch16_224", [f"blocks.{n}.attn" for n in range(12)]),
        ("vit_b_16", [f"encoder.layers.encoder_layer_{n}.ln_1" for n in range(12)]),
    ],
)
def test_blocks_are_shifted_inside_their_branch(name: str, places: list[str]) -> None:
    if ":" in name:
        pytest.importorskip("timm")
    with torch.device("meta"):
        net = build_trunk(name, 224)
    keys = list(net.state_dict())
    shift_in_time(net, num_frames=4, part=8)
    assert [key for key, part in net.named_modules() if part._forward_pre_hooks] == places
    assert list(net.state_dict()) == keys
    assert net(torch.empty(8, 3, 224, 224, device="meta")).shape[0] == 8


def test_a_net_without_a_place_is_refused() -> None:
    with pytest.raises(UserError, match="none that are known"):
        shift_in_time(nn.Sequential(nn.Conv2d(3, 8, 3)), num_frames=4, part=8)
