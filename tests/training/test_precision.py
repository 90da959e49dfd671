import pytest
import torch
from torch import nn

from vidclass.training.precision import autocast, has_native_bfloat16, resolve_precision, to_device

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"architecture": "arm64"}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_it_is_native(monkeypatch, found, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    assert resolve_precision("auto", CPU) == expected
    assert has_native_bfloat16(CPU) is (expected == "bfloat16")
    assert resolve_precision("bfloat16", CPU) == "bfloat16"


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_autocast_sets_the_type_of_products(precision, dtype):
    with autocast(precision, CPU):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == dtype


def test_convolutions_of_frames_and_of_volumes_lie_channels_last():
    model = nn.ModuleDict({"frames": nn.Conv2d(4, 4, 3), "volumes": nn.Conv3d(4, 4, 3)})
    weights = dict(model.named_parameters())
    to_device(model, CPU)
    assert weights["frames.weight"].is_contiguous(memory_format=torch.channels_last)
    assert weights["volumes.weight"].is_contiguous(memory_format=torch.channels_last_3d)
    to_device(model, CPU, torch.contiguous_format)
    assert all(weight.is_contiguous() for weight in model.parameters())
    assert all(model.get_parameter(name) is weight for name, weight in weights.items())
