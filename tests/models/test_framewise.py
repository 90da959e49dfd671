from typing import Any

import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model, model_entry, validate_options
from vidclass.models.backbones import QUICK
from vidclass.models.framewise import GaussianMixture, MsTcn, MsTcnOptions

ARMS = ("ms_tcn", "temporal_gaussian_mixture", "recording_transformer")


def quick(name: str, **options: Any) -> Any:
    settings = {**model_entry(name).quick_options, "window_frames": 4, **options}
    torch.manual_seed(0)
    return create_model(name, 3, **settings).eval()


@pytest.mark.parametrize("name", ARMS)
def test_a_step_sees_the_steps_round_it(name: str) -> None:
    model = quick(name)
    f_BSD = torch.randn(1, 16, model.num_features, requires_grad=True)
    logits_BSK = model(f_BSD)
    assert logits_BSK.shape == (1, 16, 3)
    logits_BSK[0, 8, 0].backward()
    assert f_BSD.grad is not None
    seen = f_BSD.grad[0].abs().sum(1) > 0
    assert seen[8] and seen[7] and seen[9]


def test_a_stage_sees_as_far_as_its_dilations_reach() -> None:
    options = MsTcnOptions(**QUICK, num_stages=1, num_layers=3, num_channels=4)
    model = MsTcn(5, 2, options).eval()
    f_BSD = torch.randn(1, 41, 5, requires_grad=True)
    model(f_BSD)[0, 20, 0].backward()
    assert f_BSD.grad is not None
    seen = (f_BSD.grad[0].abs().sum(1) > 0).nonzero().flatten()
    assert seen.min() >= 20 - 7 and seen.max() <= 20 + 7  # 1 + 2 + 4


def test_later_stages_refine_the_answers_before_them() -> None:
    model = quick("ms_tcn", num_stages=3)
    f_BSD = torch.randn(2, 16, model.num_features)
    stages_RBSK = model.stage_logits(f_BSD)
    assert stages_RBSK.shape == (3, 2, 16, 3)
    assert torch.equal(stages_RBSK[-1], model(f_BSD))
    first, second = model.head.stages[:2]
    answers = first(f_BSD.transpose(1, 2))
    torch.testing.assert_close(second(answers.softmax(1)).transpose(1, 2), stages_RBSK[1])
    assert model.smoothing == 0.15


def test_kernels_are_mixtures_of_gaussians() -> None:
    torch.manual_seed(0)
    layer = GaussianMixture(2, 3, num_gaussians=4, length=21)
    with torch.no_grad():
        layer.centres_M.copy_(torch.tensor([-10.0, 0.0, 0.0, 10.0]))
        layer.widths_M.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
        layer.mixture_OIM.fill_(-30.0)
        layer.mixture_OIM[0, 0, 1] = 30.0
        layer.mixture_OIM[1, 1, 3] = 30.0
    kernels = layer.kernels().detach()
    torch.testing.assert_close(kernels.sum(2), torch.ones(3, 2))
    steps = torch.arange(21) - 10.0
    normal = (-steps.square() / 2).exp()
    torch.testing.assert_close(kernels[0, 0], normal / normal.sum())
    assert int(kernels[1, 1].argmax()) == 20
    # The same kernel runs over all units of a step.
    x_BIWS = torch.randn(1, 2, 5, 30)
    with torch.no_grad():
        torch.testing.assert_close(layer(x_BIWS)[:, :, 3:4], layer(x_BIWS[:, :, 3:4]))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("ms_tcn", {"freeze": "full"}, "freeze"),
        ("ms_tcn", {"cache_features": False}, "cache_features"),
        ("temporal_gaussian_mixture", {"kernel_size": 4}, "kernel_size: 5"),
        ("recording_transformer", {"width": 30, "num_heads": 4}, "divides 30"),
    ],
)
def test_what_does_not_fit_is_told(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserErrors, match=said):
        validate_options(name, {**QUICK, **options})
