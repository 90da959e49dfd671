"""Every registered model holds the contract; a new one is tested once it is registered."""

from typing import Any

import pytest
import torch

from vidclass.errors import UserError, UserErrors
from vidclass.models import create_model, list_models, model_entry, validate_options
from vidclass.models.contract import STEP_SIZES, check_model
from vidclass.training.config import TrainConfig
from vidclass.training.losses import make_loss


@pytest.mark.parametrize("name", list_models())
def test_every_model_holds_the_contract(name: str) -> None:
    check_model(name)


@pytest.mark.parametrize("norm", ["lrn", "lrn_framework", "layer", "none"])
@pytest.mark.parametrize("name", ["single_frame", "slow_fusion"])
def test_every_norm_holds_the_contract(name: str, norm: str) -> None:
    check_model(name, norm=norm)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("single_frame", {"frame": "random"}),
        ("single_frame", {"frame": "fixed", "frame_index": 3}),
        ("single_frame", {"input_size": 128}),
        ("early_fusion", {"window_frames": 3}),
        ("late_fusion", {"shared_towers": False, "frame_distance": 9}),
        ("slow_fusion", {"shared_towers": False, "window_frames": 16}),
        ("slow_fusion", {"input_size": 128}),
        ("average_fusion", {"num_frames": 6, "input_size": 15}),
        ("backbone_single_frame", {"cache_features": False}),
        ("backbone_single_frame", {"freeze": "last", "last_layers": 2}),
        ("backbone_single_frame", {"freeze": "full", "backbone": "shufflenet_v2_x0_5"}),
        ("backbone_pooling", {"temporal_pooling": "max", "freeze": "full", "pooling": "max"}),
        ("backbone_tsn", {"consensus": "max", "size_1": 8, "cache_features": False}),
        ("backbone_late_fusion", {"shared_towers": False, "freeze": "full"}),
        ("backbone_early_fusion", {"window_frames": 2, "freeze": "full"}),
        ("backbone_slow_fusion", {"shared_towers": False, "freeze": "last"}),
        ("backbone_tsm", {"backbone": "mobilenet_v3_small", "num_frames": 2, "freeze": "full"}),
        ("concat_mlp", {"size_2": 8, "freeze": "full"}),
        ("lrcn", {"freeze": "full", "num_frames": 2}),
        ("lrcn", {"sequence_model": "gru", "bidirectional": True, "dropout_inside": 0.3}),
        ("lrcn", {"sequence_model": "rnn", "num_recurrent": 2, "size_2": 8, "size_3": 4}),
        ("lrcn", {"sequence_model": "conv1d", "readout": "flatten", "size_2": 8}),
        ("lrcn", {"num_recurrent": 3, "size_2": 8, "size_3": 4, "readout": "mean"}),
        ("lstm_attention", {"bidirectional": True, "num_layers": 2, "cache_features": False}),
        ("temporal_transformer", {"num_layers": 1, "num_frames": 2, "num_heads": 1}),
        ("backbone_single_frame", {"freeze": "staged", "last_layers": 2}),
        ("attentive_probe", {"num_layers": 1, "cache_features": False}),
        ("ms_tcn", {"num_stages": 3, "between_stages": "sigmoid", "smoothing": 0.0}),
        ("temporal_gaussian_mixture", {"num_layers": 2, "num_gaussians": 2}),
    ],
)
def test_options_hold_the_contract(name: str, options: dict[str, Any]) -> None:
    check_model(name, **options)


@pytest.mark.parametrize("name", list_models())
def test_every_model_says_what_it_is(name: str) -> None:
    entry = model_entry(name)
    assert entry.summary.endswith(".") and len(entry.summary) <= 80
    assert min(entry.normalisation(entry.options.model_validate({})).std) > 0
    assert all(field.description for field in entry.options.model_fields.values())


def shortest(name: str) -> dict[str, Any]:
    """Return the quick options of a model with the shortest window that it can see."""
    entry = model_entry(name)
    fields = entry.options.model_fields
    for frames in range(1, 65):
        options = {**entry.quick_options, "window_frames": frames}
        options |= {"num_frames": frames} if "num_frames" in fields else {}
        options |= {"frame_distance": frames - 1} if "frame_distance" in fields else {}
        try:
            entry.frame_positions(frames, validate_options(name, options))
        except (UserError, UserErrors):
            continue
        return options
    raise AssertionError(f"{name} takes no clip of up to 64 frames")


@pytest.mark.parametrize("name", list_models())
def test_every_model_takes_one_clip_of_its_shortest_length(name: str) -> None:
    entry, options = model_entry(name), shortest(name)
    assert options["window_frames"] <= validate_options(name, entry.quick_options).window_frames
    torch.manual_seed(0)
    model = create_model(name, 3, **options).eval()
    with torch.no_grad():
        x = torch.randn(1, *entry.input_shape(validate_options(name, options)))
        logits = model(x)
    steps = x.shape[1:2] if entry.framewise else ()
    assert logits.shape == (1, *steps, 3) and bool(logits.isfinite().all())


@pytest.mark.parametrize("name", list_models())
def test_every_model_learns_several_labels(name: str) -> None:
    entry = model_entry(name)
    y_BK = torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    loss = make_loss(TrainConfig(), y_BK.numpy(), 3, torch.device("cpu"))
    torch.manual_seed(0)
    model = create_model(name, 3, **entry.quick_options).train()
    x = torch.randn(4, *entry.input_shape(validate_options(name, entry.quick_options)))
    start = {key: value.clone() for key, value in model.state_dict().items()}
    for lr in STEP_SIZES:
        model.load_state_dict(start)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer, losses = torch.optim.SGD(trained, lr), []
        for _ in range(2):
            torch.manual_seed(5)  # the same dropout before and after the step
            logits = model(x)
            told = y_BK.repeat_interleave(logits[..., 0].numel() // len(x), dim=0)  # of each step
            summed = loss.summed(logits.flatten(0, -2), told) / loss.total_weight(told)
            losses.append(float(summed.detach()))
            optimizer.zero_grad()
            summed.backward()
            optimizer.step()
        if losses[1] < losses[0]:
            return
    raise AssertionError(f"{name}: {losses}")
