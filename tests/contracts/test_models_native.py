"""Every model at its own size, in real memory: quick configurations might hide what is large."""

import pytest
import torch
from torch import nn

from vidclass.models import create_model, list_models, model_entry, validate_options
from vidclass.models.profile import profile

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LARGEST_MIB, LARGEST_GMACS = 4096, 60  # that a small machine without a GPU does in minutes
NUM_CLASSES = 7


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list_models())
def test_models_learn_at_their_own_size(name: str) -> None:
    entry = model_entry(name)
    fields = entry.options.model_fields
    options = {"weights": "none"} if "weights" in fields else {}
    if "cache_features" in fields:
        options["freeze"] = "full"
    costs = profile(name, NUM_CLASSES, **options)
    needed_mib = 2 * costs.activation_mib + 3 * costs.weight_mib
    if DEVICE.type == "cpu" and (needed_mib > LARGEST_MIB or costs.gmacs > LARGEST_GMACS):
        pytest.skip(f"needs a GPU: {needed_mib:.0f} MiB, {costs.gmacs:.0f} GMACs a clip")
    torch.manual_seed(0)
    model = create_model(name, NUM_CLASSES, **options).to(DEVICE).train()
    clips = torch.randn(2, *entry.input_shape(validate_options(name, options)), device=DEVICE)
    loss = nn.functional.cross_entropy(model(clips), torch.tensor([0, 1], device=DEVICE))
    loss.backward()
    assert bool(loss.isfinite())
    # What only a pretraining uses, as a decoder, gets none; the contract names what gets it never.
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)
