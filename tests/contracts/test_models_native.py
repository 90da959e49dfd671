"""Every model at its own size, in real memory: quick configurations might hide what is large."""

from pathlib import Path

import pytest
import torch
from torch import nn

from vidclass.models import create_model, list_models, model_entry, validate_options
from vidclass.models.contract import STEP_SIZES
from vidclass.models.profile import profile

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LARGEST_MIB, LARGEST_GMACS = 4096, 60  # that a small machine without a GPU does in minutes
NUM_CLASSES = 7


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list_models())
def test_models_learn_at_their_own_size(name: str, tmp_path: Path) -> None:
    entry = model_entry(name)
    fields = entry.options.model_fields
    options = {"weights": "none"} if "weights" in fields else {}
    if "cache_features" in fields and not entry.framewise:
        options["freeze"] = "full"
    costs = profile(name, NUM_CLASSES, **options)
    needed_mib = 2 * costs.activation_mib + 4 * costs.weight_mib
    if DEVICE.type == "cpu" and (needed_mib > LARGEST_MIB or costs.gmacs > LARGEST_GMACS):
        pytest.skip(f"needs a GPU: {needed_mib:.0f} MiB, {costs.gmacs:.0f} GMACs a clip")
    torch.manual_seed(0)
    model = create_model(name, NUM_CLASSES, **options).to(DEVICE).train()
    clips = torch.randn(2, *entry.input_shape(validate_options(name, options)), device=DEVICE)
    check_a_step_lowers_the_loss(model, clips)

    torch.save(model.state_dict(), tmp_path / "weights.pth")
    again = create_model(name, NUM_CLASSES, **options).to(DEVICE)
    again.load_state_dict(torch.load(tmp_path / "weights.pth", weights_only=True))
    with torch.no_grad():
        assert torch.equal(model.eval()(clips[:1]), again.eval()(clips[:1]))


def check_a_step_lowers_the_loss(model: nn.Module, clips: torch.Tensor) -> None:
    """Step along the gradient, shorter until the loss falls."""
    start = {key: value.clone() for key, value in model.state_dict().items()}

    def loss_of() -> torch.Tensor:
        logits_NK = model(clips).flatten(0, -2)  # of clips, or of all their steps
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
