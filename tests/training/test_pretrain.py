from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import BatchTransform
from vidclass.errors import UserError
from vidclass.models import create_model
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.pretrain import PretrainReport, pretrain

CPU = torch.device("cpu")
CONFIG = TrainConfig(pretrain_epochs=3, epochs=1, batch_size=16)
OPTIONS: dict[str, Any] = {"input_size": 16, "window_frames": 4, "width": 0.125}


@pytest.fixture
def transform() -> BatchTransform:
    """Pixels from 0 to 1, as autoencoders take them."""
    return BatchTransform(mean=(0.0,) * 3, std=(255.0,) * 3)


class Interrupted(Exception):
    """The process ends."""


def autoencoder() -> nn.Module:
    torch.manual_seed(0)
    return create_model("frame_autoencoder", 3, **OPTIONS)


def run(model: nn.Module, data: ClipDataset, transform, config=CONFIG, **options):
    told: list[PretrainReport] = []
    arguments = {"transform": transform, "device": CPU, "seed": 3, "report": told.append}
    num_clips = pretrain(model, data, config, **{**arguments, **options})
    return told, num_clips


def test_the_loss_falls_and_every_clip_is_seen_once_an_epoch(clips, transform) -> None:
    told, num_clips = run(autoencoder(), clips(0, 40), transform)
    assert [report.epoch for report in told] == [1, 2, 3]
    assert told[-1].loss < told[0].loss
    assert {report.num_clips for report in told} == {40} and num_clips == 120


def test_no_label_is_read(clips, transform) -> None:
    first, second = autoencoder(), autoencoder()
    run(first, clips(0, 20), transform)
    run(second, clips(0, 20, labels=[0] * 20), transform)
    for key, weight in first.state_dict().items():
        assert torch.equal(weight, second.state_dict()[key]), key


@pytest.mark.parametrize("torn", [False, True])
def test_an_interrupted_pretraining_ends_with_the_same_weights(
    torn: bool, clips, transform, tmp_path: Path
) -> None:
    whole = autoencoder()
    run(whole, clips(0, 40), transform)

    def stop(report: PretrainReport) -> None:
        if report.epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        first = CheckpointFolder(tmp_path, attempt=0)
        run(autoencoder(), clips(0, 40), transform, report=stop, checkpoints=first)
    if torn:
        (tmp_path / "pretrain" / "2.0").write_bytes(b"half a file")
    resumed = autoencoder()
    second = CheckpointFolder(tmp_path, attempt=1)
    told, num_clips = run(resumed, clips(0, 40), transform, checkpoints=second)
    assert [report.epoch for report in told] == ([1, 2, 3] if torn else [3])
    assert num_clips == 120
    for key, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[key]), key


def test_accumulated_parts_give_the_step_of_the_whole_batch(clips, transform) -> None:
    models = [autoencoder(), autoencoder()]
    for model, accumulate in zip(models, (1, 4), strict=True):
        config = CONFIG.model_copy(update={"accumulate": accumulate, "pretrain_epochs": 1})
        run(model, clips(0, 16), transform, config)
    for key, weight in models[0].state_dict().items():
        torch.testing.assert_close(weight, models[1].state_dict()[key], rtol=1e-3, atol=1e-4)


def test_a_model_that_needs_labels_is_refused(clips, transform, make_model) -> None:
    with pytest.raises(UserError, match="convlstm_autoencoder"):
        run(make_model(), clips(0, 20), transform)


class Seen(ClipDataset):
    """Notes which samples are read, and when."""

    read_samples: list[int]

    def read(self, clips_B, *, epoch: int, train: bool) -> torch.Tensor:
        self.read_samples.extend(self.samples_of(clips_B, train=train).tolist())
        return super().read(clips_B, epoch=epoch, train=train)


def seen(data: ClipDataset) -> Seen:
    data.__class__ = Seen
    data.read_samples = []
    return data


def test_fit_pretrains_first_on_the_clips_it_was_given_and_on_no_other(
    clips, transform, run_fit
) -> None:
    unlabelled, valid = seen(clips(120, 140)), seen(clips(90, 120))
    told: list[PretrainReport] = []
    before: list[int] = []

    def pretrained(report: PretrainReport) -> None:
        told.append(report)
        before.append(len(valid.read_samples))

    result, reports = run_fit(
        autoencoder(),
        CONFIG,
        valid=valid,
        pretrain_on=unlabelled,
        report_pretraining=pretrained,
    )
    assert len(told) == 3 and before == [0, 0, 0]
    assert sorted(unlabelled.read_samples) == sorted(list(range(20)) * 3)
    assert result.epochs_run == 1
    # 4 frames of 3 x 20 clips without labels and of 90 with
    assert reports[0].metrics["frames_seen"] == 4 * (60 + 90)


def test_a_training_begins_with_what_pretraining_learned(
    run_fit, clips, transform, tmp_path: Path
) -> None:
    checkpoints = CheckpointFolder(tmp_path)
    still = CONFIG.model_copy(update={"lr": 1e-9, "ema_decay": 0.5})
    pretrained, plain = autoencoder(), autoencoder()
    run_fit(pretrained, still, train=clips(0, 40), checkpoints=checkpoints)
    run_fit(plain, still.model_copy(update={"pretrain_epochs": 0}), train=clips(0, 40))
    x_BTCHW = transform(clips(40, 60).read(list(range(20)), epoch=0, train=False), train=False)
    with torch.no_grad():
        losses = [float(model.pretrain_loss(x_BTCHW)) for model in (pretrained, plain)]
    assert losses[0] < 0.9 * losses[1]
    assert not list((tmp_path / "pretrain").iterdir())


def test_a_pretraining_that_diverges_ends_the_training(run_fit) -> None:
    class Broken(nn.Linear):
        def pretrain_loss(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
            return self.weight.sum() * float("nan")

    result, reports = run_fit(Broken(2, 2), CONFIG)
    assert result.status == "diverged" and "pretraining loss" in result.reason
    assert reports == []
