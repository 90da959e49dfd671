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
    ("labels", "expected"),
    [
        ([0, 1, 2], [1, 1, 1]),
        ([0, 0, 0, 1], [2 / 3, 2, 0]),
        ([2, 2], [0, 0, 1]),
    ],
)
def test_class_weights_average_to_one_over_the_samples(labels, expected):
    label_N = np.array(labels)
    weight_K = class_weights(label_N, 3)
    np.testing.assert_allclose(weight_K, expected, rtol=1e-6)
    assert weight_K[label_N].mean() == pytest.approx(1.0)
