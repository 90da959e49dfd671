import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from vidclass.training.balance import class_weights
from vidclass.training.config import TrainConfig
from vidclass.training.losses import ClipLoss

CPU = torch.device("cpu")
LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 2])


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(8, 3, generator=generator), torch.from_numpy(LABELS)


def mean_loss(**settings):
    loss = ClipLoss(TrainConfig(**settings), LABELS, 3, CPU)
    logits_BK, y_B = batch()
    return loss.summed(logits_BK, y_B) / loss.total_weight(y_B)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_torchs(smoothing):
    expected = F.cross_entropy(*batch(), label_smoothing=smoothing)
    torch.testing.assert_close(mean_loss(label_smoothing=smoothing), expected)


def test_weighted_cross_entropy_is_torchs():
    weight_K = torch.from_numpy(class_weights(LABELS, 3))
    expected = F.cross_entropy(*batch(), weight=weight_K)
    torch.testing.assert_close(mean_loss(class_balance="weights"), expected)


def test_focal_loss_is_its_formula():
    logits_BK, y_B = batch()
    prob_B = logits_BK.softmax(dim=1).gather(1, y_B[:, None])[:, 0]
    expected = (-((1 - prob_B) ** 1.5) * prob_B.log()).mean()
    torch.testing.assert_close(mean_loss(loss="focal", focal_gamma=1.5), expected)


def test_focal_loss_of_a_sure_clip_has_a_finite_gradient():
    logits_BK = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    loss = ClipLoss(TrainConfig(loss="focal", focal_gamma=0.5), LABELS, 3, CPU)
    loss.summed(logits_BK, torch.tensor([0])).backward()
    assert torch.isfinite(logits_BK.grad).all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"label_smoothing": 0.1},
        {"class_balance": "weights"},
        {"loss": "focal", "focal_gamma": 1.5, "label_smoothing": 0.1},
        {"loss": "focal", "class_balance": "effective_number", "effective_beta": 0.9},
    ],
)
def test_shares_of_classes_are_the_sum_of_their_losses(settings):
    loss = ClipLoss(TrainConfig(**settings), LABELS, 3, CPU)
    logits_BK, y_B = batch()
    other_B = (y_B + 1) % 3
    one_hot = torch.nn.functional.one_hot
    share_BK = 0.7 * one_hot(y_B, 3) + 0.3 * one_hot(other_B, 3)
    expected = 0.7 * loss.summed(logits_BK, y_B) + 0.3 * loss.summed(logits_BK, other_B)
    torch.testing.assert_close(loss.summed(logits_BK, share_BK), expected)
    weight = 0.7 * loss.total_weight(y_B) + 0.3 * loss.total_weight(other_B)
    assert float(loss.total_weight(share_BK)) == pytest.approx(float(weight))


def test_weights_by_effective_number_reach_the_loss():
    plain, by_number, half = (
        float(mean_loss(class_balance="effective_number", effective_beta=0.9, **settings))
        for settings in ({"balance_exponent": 0.0}, {}, {"balance_exponent": 0.5})
    )
    assert plain == pytest.approx(float(mean_loss()))
    assert min(plain, by_number) < half < max(plain, by_number)
