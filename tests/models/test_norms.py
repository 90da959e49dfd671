import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional as F

from vidclass.models.norms import LocalResponseNorm, Norm, make_norm


def response_norm(
    x_BCHW: npt.NDArray[np.float64], radius: int, bias: float, alpha: float, beta: float
) -> npt.NDArray[np.float64]:
    """The formula as papers write it, channel by channel."""
    out = np.empty_like(x_BCHW)
    for channel in range(x_BCHW.shape[1]):
        near = x_BCHW[:, max(0, channel - radius) : channel + radius + 1]
        out[:, channel] = x_BCHW[:, channel] / (bias + alpha * (near**2).sum(axis=1)) ** beta
    return out


@pytest.mark.parametrize("num_channels", [3, 16, 24])
@pytest.mark.parametrize(
    ("norm", "constants"),
    [("lrn", (2, 2.0, 1e-4, 0.5)), ("lrn_framework", (5, 1.0, 1.0, 0.5))],
)
def test_local_response_norm_follows_the_formula(
    norm: Norm, constants: tuple[int, float, float, float], num_channels: int
) -> None:
    x_BCHW = 10 * np.random.default_rng(0).standard_normal((2, num_channels, 3, 4))
    got = make_norm(norm, num_channels)(torch.from_numpy(x_BCHW).float())
    np.testing.assert_allclose(got.numpy(), response_norm(x_BCHW, *constants), rtol=1e-4)


def test_framework_constants_equal_torch_with_alpha_times_size() -> None:
    x_BCHW = torch.randn(2, 16, 3, 4)
    wanted = F.local_response_norm(x_BCHW, size=11, alpha=11.0, beta=0.5, k=1.0)
    torch.testing.assert_close(make_norm("lrn_framework", 16)(x_BCHW), wanted)


def test_local_response_norm_keeps_nothing_in_the_state() -> None:
    norm = make_norm("lrn", 16)
    assert isinstance(norm, LocalResponseNorm)
    assert norm.state_dict() == {} and list(norm.parameters()) == []


def test_layer_norm_runs_over_the_channels_of_each_position() -> None:
    x_BCHW = torch.randn(2, 16, 3, 4)
    mean = x_BCHW.mean(dim=1, keepdim=True)
    var = x_BCHW.var(dim=1, keepdim=True, unbiased=False)
    wanted = (x_BCHW - mean) / (var + 1e-5).sqrt()
    torch.testing.assert_close(make_norm("layer", 16)(x_BCHW), wanted, rtol=1e-4, atol=1e-5)


def test_none_changes_nothing() -> None:
    x_BCHW = torch.randn(2, 16, 3, 4)
    assert torch.equal(make_norm("none", 16)(x_BCHW), x_BCHW)


@pytest.mark.parametrize("norm", ["batch", "lrn", "lrn_framework", "layer", "none"])
def test_norms_keep_channels_last_memory(norm: Norm) -> None:
    x_BCHW = torch.randn(2, 16, 3, 4).contiguous(memory_format=torch.channels_last)
    out = make_norm(norm, 16)(x_BCHW)
    assert out.is_contiguous(memory_format=torch.channels_last)
