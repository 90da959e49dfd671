"""Learning without labels learns: what it makes of clips it never saw beats what needs no net."""

from typing import Any

import numpy as np
import pytest
import torch

from vidclass.data.transforms import BatchTransform
from vidclass.models import create_model
from vidclass.training.config import TrainConfig
from vidclass.training.pretrain import pretrain

CPU = torch.device("cpu")
SLOW = pytest.mark.slow
OPTIONS: dict[str, Any] = {"input_size": 16, "window_frames": 4}
ARMS: dict[str, dict[str, Any]] = {
    "frame_autoencoder": {"width": 0.125},
    "convlstm_autoencoder": {"width": 0.125},
    "masked_transformer": {
        "patch_size": 4,
        "num_features": 48,
        "num_layers": 2,
        "num_heads": 4,
        "mask_share": 0.5,
    },
}


def learned(name: str, clips, transform: BatchTransform, epochs: int, **changes: Any):
    torch.manual_seed(0)
    model = create_model(name, 3, **{**OPTIONS, **ARMS[name]})
    losses: list[float] = []
    config = TrainConfig(
        pretrain_epochs=epochs, epochs=1, batch_size=8, precision="float32", **changes
    )
    pretrain(
        model,
        clips(0, 120),
        config,
        transform=transform,
        device=CPU,
        seed=3,
        report=lambda told: losses.append(told.loss),
    )
    return model.eval(), losses


@pytest.mark.parametrize(
    ("name", "epochs", "times"),
    [
        ("frame_autoencoder", 8, 3),
        pytest.param("convlstm_autoencoder", 12, 2, marks=[SLOW, pytest.mark.timeout(900)]),
    ],
)
def test_a_reconstruction_beats_the_mean_frame_on_videos_never_seen(
    name: str, epochs: int, times: float, clips
) -> None:
    transform = BatchTransform(mean=(0.0,) * 3, std=(255.0,) * 3)
    model, losses = learned(name, clips, transform, epochs, pretrain_lr=4e-3)
    assert losses[-1] < losses[0]
    seen_BTCHW = transform(clips(0, 120).read(np.arange(120), epoch=0, train=False), train=False)
    new_BTCHW = transform(clips(120, 150).read(np.arange(30), epoch=0, train=False), train=False)
    with torch.no_grad():
        error = float(model.pretrain_loss(new_BTCHW))
    mean_HW = seen_BTCHW.mean(dim=(0, 1, 2))
    of_mean_frame = float((new_BTCHW.mean(dim=2) - mean_HW).square().mean())
    assert times * error < of_mean_frame, (error, of_mean_frame, losses)


def test_masked_pretraining_fills_in_clips_never_seen(clips) -> None:
    transform = BatchTransform(mean=(128.0,) * 3, std=(64.0,) * 3)
    untaught, _ = learned("masked_transformer", clips, transform, epochs=1, pretrain_lr=1e-9)
    model, losses = learned("masked_transformer", clips, transform, epochs=8, pretrain_lr=4e-3)
    new_BTCHW = transform(clips(120, 150).read(np.arange(30), epoch=0, train=False), train=False)
    errors = []
    for each in (untaught, model):
        torch.manual_seed(1)  # the same tubes hidden
        with torch.no_grad():
            errors.append(float(each.pretrain_loss(new_BTCHW)))
    # Most of what is hidden is noise, which nobody can fill in: 1 is what no knowledge costs.
    assert losses[-1] < losses[0] and errors[1] < 0.8 * errors[0] and errors[1] < 1, errors
