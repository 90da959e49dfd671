import pickle

import pytest
import torch
from pydantic import Field
from torch import nn

from vidclass.errors import UserError, UserErrors
from vidclass.models import (
    ModelOptions,
    create_model,
    list_models,
    model_entry,
    register_model,
)


class MeanOptions(ModelOptions):
    depth: int = Field(2, ge=1, le=8)
    """Number of blocks."""


class MeanColour(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(3, num_classes)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return self.dense(x_BTCHW.mean(dim=(1, 3, 4)))


def mean_colour(num_classes: int, options: MeanOptions) -> nn.Module:
    """The mean colour of a clip.

    And no more.
    """
    return MeanColour(num_classes)


def test_the_five_arms_are_registered() -> None:
    assert set(list_models()) >= {
        "average_fusion",
        "early_fusion",
        "late_fusion",
        "single_frame",
        "slow_fusion",
    }


def test_patterns_select_names() -> None:
    assert list_models("s*_f[ru]*") == ["single_frame", "slow_fusion"]
    assert list_models("nothing*") == []


def test_order_free_arms_are_declared() -> None:
    order_free = {name for name in list_models() if not model_entry(name).uses_order}
    assert order_free >= {"average_fusion", "backbone_pooling", "backbone_tsn", "single_frame"}
    assert not order_free & {"backbone_tsm", "early_fusion", "lrcn", "slow_fusion"}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("slow_fusoin", "did you mean slow_fusion"), ("zzz", "`vidclass models` lists all")],
)
def test_unknown_model_is_told_with_close_names(name: str, remedy: str) -> None:
    with pytest.raises(UserError) as told:
        create_model(name, 5)
    assert told.value.received == name and remedy in told.value.remedy


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(UserErrors) as told:
        create_model("late_fusion", 5, widht=0.5, width=9, norm="bacth", frame_distance="far")
    texts = {str(error) for error in told.value.errors}
    assert len(texts) == 4
    for part in ("did you mean width?", "less than or equal to 4", "'lrn_framework'", "'far'"):
        assert any(part in text for text in texts), part


@pytest.mark.parametrize("width", [0.0, -1.0, float("nan"), float("inf"), "wide", None])
def test_width_is_a_number_above_zero(width: object) -> None:
    with pytest.raises(UserErrors, match="width"):
        create_model("single_frame", 5, width=width)


def test_one_class_is_refused() -> None:
    with pytest.raises(UserError, match="at least two classes"):
        create_model("single_frame", 1)


def test_errors_survive_the_way_between_processes() -> None:
    with pytest.raises(UserErrors) as told:
        create_model("single_frame", 5, widht=1)
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)


@pytest.mark.usefixtures("own_registry")
def test_a_function_and_its_options_are_a_model() -> None:
    register_model("mean_colour", options=MeanOptions, uses_order=False)(mean_colour)
    entry = model_entry("mean_colour")
    assert entry.summary == "The mean colour of a clip."
    assert entry.searchable == ("depth",)
    assert entry.num_frames(MeanOptions(window_frames=6)) == 6
    assert create_model("mean_colour", 4, depth=3)(torch.zeros(2, 6, 3, 8, 8)).shape == (2, 4)


@pytest.mark.usefixtures("own_registry")
def test_a_plug_in_may_be_loaded_twice_but_takes_no_other_models_name() -> None:
    register_model("mean_colour", options=MeanOptions, uses_order=False)(mean_colour)
    register_model("mean_colour", options=MeanOptions, uses_order=False)(mean_colour)
    with pytest.raises(UserError, match="a name of its own"):
        register_model("slow_fusion", options=MeanOptions, uses_order=False)(mean_colour)


def test_study_wide_options_are_not_searchable() -> None:
    searchable = model_entry("late_fusion").searchable
    assert searchable == ("width", "norm", "frame_distance", "shared_towers")
