import pytest
import torch
from torch import nn

from vidclass.training.config import TrainConfig
from vidclass.training.losses import ClipLoss, MultilabelLoss
from vidclass.training.steps import StepLoss, labelled_steps, stages_of

CPU = torch.device("cpu")


class TwoStages(nn.Module):
    smoothing = 0.0

    def stage_logits(self, f_BSD: torch.Tensor) -> torch.Tensor:
        return torch.stack([f_BSD, 2 * f_BSD])

    def forward(self, f_BSD: torch.Tensor) -> torch.Tensor:
        return self.stage_logits(f_BSD)[-1]


def test_only_labelled_steps_count_in_every_stage() -> None:
    logits_BSK = torch.randn(2, 5, 3)
    y_BS = torch.tensor([[0, -1, 2, -1, 1], [-1, -1, -1, 2, 2]])
    loss = StepLoss(
        ClipLoss(TrainConfig(), torch.tensor([0, 1, 2]).numpy(), 3, CPU),
        TwoStages(),
        several=False,
    )
    logits_NK, y_N = labelled_steps(logits_BSK, y_BS)
    assert y_N.tolist() == [0, 2, 1, 2, 2] and loss.total_weight(y_BS) == 5
    wanted = sum(
        nn.functional.cross_entropy(scale * logits_NK, y_N, reduction="sum") for scale in (1, 2)
    )
    torch.testing.assert_close(
        loss.summed(stages_of(TwoStages())(logits_BSK), y_BS), torch.as_tensor(wanted)
    )


def test_smoothing_asks_each_step_to_follow_the_one_before() -> None:
    model = TwoStages()
    model.smoothing = 1.0
    loss = StepLoss(
        MultilabelLoss(TrainConfig(), torch.zeros(2, 2).numpy(), CPU), model, several=True
    )
    y_BSK = torch.zeros(1, 4, 2)
    y_BSK[:, 2:] = -1  # without a label, and smooth all the same
    steady = torch.zeros(1, 1, 4, 2, requires_grad=True)
    jumping = torch.tensor([0.0, 0.0, 3.0, 0.0])[None, None, :, None].repeat(1, 1, 1, 2)
    jumping.requires_grad_(True)
    rough = loss.summed(jumping, y_BSK)
    assert rough > loss.summed(steady, y_BSK)
    rough.backward()
    assert jumping.grad is not None
    assert (jumping.grad[0, 0, 2] > 0).all() and (jumping.grad[0, 0, 3] < 0).all()


def test_a_batch_without_labels_has_a_loss_of_nothing() -> None:
    loss = StepLoss(
        ClipLoss(TrainConfig(), torch.tensor([0, 1]).numpy(), 2, CPU), TwoStages(), several=False
    )
    y_BS = torch.full((2, 3), -1)
    assert loss.total_weight(y_BS) == 1.0
    assert float(loss.summed(torch.randn(1, 2, 3, 2), y_BS)) == 0.0


def test_a_model_without_stages_is_one_of_one() -> None:
    model = nn.Linear(4, 3)
    assert stages_of(model)(torch.zeros(2, 5, 4)).shape == (1, 2, 5, 3)
    assert (
        pytest.approx(0.0)
        == StepLoss(
            ClipLoss(TrainConfig(), torch.tensor([0]).numpy(), 3, CPU), model, several=False
        )._smoothing
    )
