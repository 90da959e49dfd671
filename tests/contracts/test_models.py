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
    ],
)
def test_options_hold_the_contract(name: str, options: dict[str, Any]) -> None:
    check_model(name, **options)


@pytest.mark.parametrize("name", list_models())
def test_every_model_says_what_it_is(name: str) -> None:
    entry = model_entry(name)
    assert entry.summary.endswith(".") and len(entry.summary) <= 80
    assert min(entry.normalisation(entry.options()).std) > 0
    assert all(field.description for field in entry.options.model_fields.values())
