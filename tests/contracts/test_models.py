"""Every registered model holds the contract; a new one is tested once it is registered."""

from typing import Any

import pytest

from vidclass.models import list_models, model_entry
from vidclass.models.contract import check_model


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
