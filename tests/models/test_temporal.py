from typing import Any

import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import create_model, validate_options
from vidclass.models.temporal import SelfAttention

QUICK = {"backbone": "squeezenet1_1", "weights": "none", "input_size": 32}
FEATURES = 512


def test_attention_equals_torchs_own() -> None:
    torch.manual_seed(0)
    ours, reference = SelfAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    with torch.no_grad():
        reference.in_proj_weight.copy_(ours.inputs.weight)
        reference.in_proj_bias.copy_(ours.inputs.bias)
    reference.out_proj.load_state_dict(ours.output.state_dict())
    x_BSW = torch.randn(3, 5, 8)
    seen_BSW, weights_BSS = reference(x_BSW, x_BSW, x_BSW)
    torch.testing.assert_close(ours(x_BSW), seen_BSW, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.weights(x_BSW), weights_BSS, atol=1e-5, rtol=1e-5)


def test_attention_weights_are_for_plots() -> None:
    model = create_model("lstm_attention", 3, **QUICK, units=8, num_frames=6).eval()
    f_BTD = torch.randn(2, 6, FEATURES)
    weights_BTT = model.head.attention_weights(model.features(f_BTD))
    assert weights_BTT.shape == (2, 6, 6)
    torch.testing.assert_close(weights_BTT.sum(dim=2), torch.ones(2, 6))


def test_attention_weights_of_a_model_that_takes_clips() -> None:
    model = create_model("lstm_attention", 3, **QUICK, num_frames=2, freeze="full").eval()
    features_BTD = model.features(torch.randn(1, 2, 3, 32, 32))
    assert model.head.attention_weights(features_BTD).shape == (1, 2, 2)


@pytest.mark.parametrize("name", ["lstm_attention", "temporal_transformer"])
def test_order_of_frames_matters(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, 3, **QUICK).eval()
    f_BTD = torch.randn(2, 8, FEATURES)
    difference = (model(f_BTD) - model(f_BTD.flip(1))).abs().max()
    assert float(difference.detach()) > 1e-4


def test_every_weight_of_the_transformer_is_drawn_anew() -> None:
    """A fit depends on its seed alone, so that no weight may be left from before."""
    from vidclass.training.optimizers import initialise

    def drawn() -> dict[str, torch.Tensor]:
        model = create_model("temporal_transformer", 3, **QUICK, width=16)
        torch.manual_seed(1)
        initialise(model, "default")
        return model.state_dict()

    first, second = drawn(), drawn()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("lstm_attention", {"units": 10, "num_heads": 4}),
        ("temporal_transformer", {"width": 30, "num_heads": 4}),
    ],
)
def test_heads_share_units_evenly(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserErrors, match="share its units evenly"):
        validate_options(name, {**QUICK, **wrong})
    if name == "lstm_attention":
        validate_options(name, {**QUICK, **wrong, "bidirectional": True})
