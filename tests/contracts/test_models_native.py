"""Every model at its own size, in real memory: quick configurations might hide what is large."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vidclass.models import create_model, list_models, model_entry, validate_options
from vidclass.models.contract import STEP_SIZES
from vidclass.models.profile import profile
from vidclass.training.precision import autocast

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LARGEST_MIB, LARGEST_GMACS = 4096, 60  # that a small machine without a GPU does in minutes
NUM_CLASSES = 7


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list_models())
def test_models_learn_at_their_own_size(name: str, tmp_path: Path) -> None:
    options = native_options(name)
    costs = profile(name, NUM_CLASSES, **options)
    needed_mib = 2 * costs.activation_mib + 4 * costs.weight_mib
    if DEVICE.type == "cpu" and (needed_mib > LARGEST_MIB or costs.gmacs > LARGEST_GMACS):
        pytest.skip(f"needs a GPU: {needed_mib:.0f} MiB, {costs.gmacs:.0f} GMACs a clip")
    model, clips = made(name)
    check_a_step_lowers_the_loss(model.train(), clips)

    torch.save(model.state_dict(), tmp_path / "weights.pth")
    again = create_model(name, NUM_CLASSES, **options).to(DEVICE)
    again.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
    with torch.no_grad():
        assert torch.equal(model.eval()(clips[:1]), again.eval()(clips[:1]))


def native_options(name: str) -> dict[str, Any]:
    """Return the model's defaults, trained as a whole, from no weights."""
    entry = model_entry(name)
    fields = entry.options.model_fields
    options: dict[str, Any] = {"weights": "none"} if "weights" in fields else {}
    if "cache_features" in fields and not entry.framewise:
        options["freeze"] = "full"
    return options


def made(name: str) -> tuple[nn.Module, torch.Tensor]:
    """Return the model at its own size, and two clips for it."""
    options = native_options(name)
    torch.manual_seed(0)
    model = create_model(name, NUM_CLASSES, **options).to(DEVICE)
    shape = model_entry(name).input_shape(validate_options(name, options))
    return model, torch.randn(2, *shape, device=DEVICE)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["late_fusion", "backbone_tsm", "lrcn", "attentive_probe", "s3d"])
def test_models_learn_in_bfloat16_at_their_own_size(name: str) -> None:
    model, clips = made(name)
    with torch.no_grad():
        exact = model.eval()(clips)
        with autocast("bfloat16", DEVICE):
            rounded = model(clips)
    assert rounded.dtype == torch.bfloat16  # it ran in it
    # Eight bits of a factor over tens of layers: a few per cent of the largest answer.
    assert float((rounded - exact).abs().max()) < 0.05 * max(1.0, float(exact.abs().max()))
    check_a_step_lowers_the_loss(model.train(), clips, precision="bfloat16")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["late_fusion", "backbone_pooling", "temporal_transformer", "s3d"])
def test_compiled_models_answer_and_learn_as_they_do_otherwise(name: str) -> None:
    model, clips = made(name)
    model.eval()  # dropout is drawn otherwise in compiled code
    compiled = torch.compile(model)
    gradients: list[torch.Tensor] = []
    for each in (model, compiled):
        model.zero_grad()
        logits_BK = each(clips)
        logits_BK.square().mean().backward()
        grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
        gradients.append(torch.cat([logits_BK.detach().flatten(), *(g.flatten() for g in grads)]))
    scale = float(gradients[0].abs().max())
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-3 * scale, rtol=1e-3)


def check_a_step_lowers_the_loss(
    model: nn.Module, clips: torch.Tensor, precision: str = "float32"
) -> None:
    """Step along the gradient, shorter until the loss falls."""
    start = {key: value.clone() for key, value in model.state_dict().items()}

    def loss_of() -> torch.Tensor:
        with autocast(precision, DEVICE):
            logits_NK = model(clips).flatten(0, -2).float()  # of clips, or of all their steps
        labels_N = torch.arange(len(logits_NK), device=DEVICE) % NUM_CLASSES
        return nn.functional.cross_entropy(logits_NK, labels_N)

    for lr in STEP_SIZES:
        model.load_state_dict(start)
        torch.manual_seed(5)  # the same dropout before and after the step
        loss = loss_of()
        model.zero_grad()
        loss.backward()
        # What only a pretraining uses, as a decoder, gets none; the contract names what gets none.
        given = [weight for weight in model.parameters() if weight.grad is not None]
        gradients = [weight.grad for weight in given if weight.grad is not None]
        assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)
        torch.optim.SGD(given, lr).step()
        torch.manual_seed(5)
        with torch.no_grad():
            after = loss_of()
        assert bool(loss.isfinite())
        if after < loss:
            return
    raise AssertionError(f"{float(loss)}, then {float(after)}")
