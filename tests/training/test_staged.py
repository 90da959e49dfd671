"""`freeze: staged` and `unfreeze_after`: when what started with trained weights begins to move."""

from typing import Any

import pytest
import torch
from torch import nn

from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import BatchTransform
from vidclass.models.tuning import Freeze, Tuned
from vidclass.training.config import TrainConfig
from vidclass.training.fit import EpochReport, fit


class Part(Tuned):
    """Two layers, as a backbone has many."""

    def __init__(self, freeze: Freeze) -> None:
        super().__init__(random=True, freeze=freeze, last_layers=1)

    def _random_net(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2))

    def forward(self, x_bCHW: torch.Tensor) -> torch.Tensor:
        f_bD: torch.Tensor = self.net(x_bCHW).mean((2, 3))
        return f_bD


class Whole(nn.Module):
    def __init__(self, freeze: Freeze) -> None:
        super().__init__()
        self.backbone = Part(freeze)
        self.head = nn.Linear(4, 3)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        f_bD = self.backbone(x_BTCHW.flatten(0, 1))
        logits_BK: torch.Tensor = self.head(f_bD.view(len(x_BTCHW), -1, 4).mean(1))
        return logits_BK


@pytest.mark.parametrize(
    ("freeze", "after", "first", "last"),
    [  # the epoch from which on the first and the last layer of the backbone move; 0 is never
        ("frozen", 0, 0, 0),
        ("last", 0, 0, 1),
        ("last", 2, 0, 3),
        ("full", 2, 3, 3),
        ("staged", 0, 0, 3),  # a quarter of 8 epochs
        ("staged", 4, 0, 5),
    ],
)
def test_layers_begin_to_move_when_they_are_said_to(
    clips: Any, freeze: Freeze, after: int, first: int, last: int
) -> None:
    model = Whole(freeze)
    seen: list[dict[str, torch.Tensor]] = []

    def report(told: EpochReport) -> bool:
        seen.append({name: part.detach().clone() for name, part in model.named_parameters()})
        return False

    train: ClipDataset = clips(0, 24)
    config = TrainConfig(epochs=8, batch_size=8, unfreeze_after=after, weight_decay=0.0)
    fit(
        model,
        train,
        clips(24, 36),
        config,
        num_classes=3,
        transform=BatchTransform((128.0,) * 3, (64.0,) * 3),
        device=torch.device("cpu"),
        seed=0,
        report=report,
    )
    moved = {
        name: [not torch.equal(a[name], b[name]) for a, b in zip(seen, seen[1:], strict=False)]
        for name in seen[0]
    }
    for name, since in (("backbone.net.0.weight", first), ("backbone.net.2.weight", last)):
        # moved[n] tells of epoch n + 2.
        assert moved[name] == [bool(since) and epoch >= since for epoch in range(2, 9)], name
    assert all(moved["head.weight"])
