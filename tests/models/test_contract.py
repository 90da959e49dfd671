from collections.abc import Callable

import pytest
import torch
from pydantic import ConfigDict
from torch import nn

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError, UserErrors
from vidclass.models import ModelOptions, check_clips, register_model
from vidclass.models.contract import ContractError, check_model

pytestmark = pytest.mark.usefixtures("own_registry")

QUICK = {"input_size": 8, "window_frames": 4}


class Good(nn.Module):
    """Mean colours of each frame, in order; the broken ones below derive from it."""

    def __init__(self, num_classes: int, options: ModelOptions) -> None:
        super().__init__()
        self.options = options
        self.dense = nn.Linear(3 * options.window_frames, num_classes)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        options = self.options
        check_clips(x_BTCHW, num_frames=options.window_frames, input_size=options.input_size)
        return self.dense(x_BTCHW.mean(dim=(3, 4)).flatten(1))


class UnusedWeight(Good):
    def __init__(self, num_classes: int, options: ModelOptions) -> None:
        super().__init__(num_classes, options)
        self.unused = nn.Linear(2, 2)


class MixedClips(Good):
    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        logits_BK = super().forward(x_BTCHW)
        return logits_BK - logits_BK.mean(dim=0)


class AnyShape(Good):
    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return self.dense(x_BTCHW.mean(dim=(3, 4)).flatten(1))


class Probabilities(Good):
    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return super().forward(x_BTCHW).softmax(dim=1)[:, :-1]


class HiddenState(Good):
    def __init__(self, num_classes: int, options: ModelOptions) -> None:
        super().__init__(num_classes, options)
        self.scale = float(torch.rand(()))

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return super().forward(x_BTCHW) * self.scale


class Pretrained(Good):
    def pretrain_loss(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return self.dense.weight.square().sum()


class OwnDraws(Good):
    generator = torch.Generator()

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return super().forward(x_BTCHW) + torch.rand((), generator=self.generator)


class RootAtZero(Good):
    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        return super().forward(x_BTCHW) + self.dense.bias.sub(self.dense.bias).sqrt()


class Fails(Good):
    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("out of ideas")


class LooseOptions(ModelOptions):
    model_config = ConfigDict(extra="ignore")
    depth: int = 2


def register(model: Callable[[int, ModelOptions], nn.Module], **entry: object) -> None:
    settings = {"options": ModelOptions, "uses_order": True, "quick_options": QUICK, **entry}
    register_model("mine", **settings)(model)  # type: ignore[arg-type]


def test_a_good_model_passes() -> None:
    register(Good)
    check_model("mine")


@pytest.mark.parametrize(
    ("model", "entry", "check", "received"),
    [
        (UnusedWeight, {}, "gradients_are_finite", "no gradient in unused.weight"),
        (RootAtZero, {}, "gradients_are_finite", "not finite in dense.bias"),
        (MixedClips, {}, "clips_do_not_mix", "one by one"),
        (AnyShape, {}, "other_shapes_are_refused", "no error for another size"),
        (Probabilities, {}, "logits_have_shape", "[4, 2]"),
        (HiddenState, {}, "state_round_trip", "other logits"),
        (OwnDraws, {}, "same_seed_same_model", "two results"),
        (Pretrained, {}, "pretraining_loss", "pretrains=False of a model with pretrain_loss"),
        (Good, {"pretrains": True}, "pretraining_loss", "without pretrain_loss"),
        (Fails, {}, "logits_have_shape", "RuntimeError: out of ideas"),
        (Good, {"uses_order": False}, "order_is_as_declared", "change places"),
        (
            Good,
            {"frame_positions": lambda window, options: FramePositions((1, 2, 3, 4))},
            "frames_inside_window",
            "(1, 2, 3, 4) of 4 frames",
        ),
        (Good, {"options": LooseOptions}, "options_are_checked", "extra='ignore'"),
        (Good, {"options": LooseOptions}, "options_are_checked", "no text under depth"),
    ],
)
def test_a_broken_promise_is_named(
    model: type[Good], entry: dict[str, object], check: str, received: str
) -> None:
    register(model, **entry)
    with pytest.raises(ContractError) as told:
        check_model("mine")
    found = [error for error in told.value.errors if check in error.rule]
    assert any(received in str(error.received) for error in found), str(told.value)


def test_all_broken_promises_are_named_together() -> None:
    register(UnusedWeight, uses_order=False)
    with pytest.raises(ContractError) as told:
        check_model("mine")
    assert len(told.value.errors) == 2


def test_the_callers_random_state_stays() -> None:
    register(Good)
    before = torch.get_rng_state()
    check_model("mine")
    assert torch.equal(before, torch.get_rng_state())


def test_unknown_names_and_options_are_user_errors() -> None:
    with pytest.raises(UserError, match="registered names"):
        check_model("lstm")
    with pytest.raises(UserErrors, match="norm"):
        check_model("single_frame", norm="weight")
