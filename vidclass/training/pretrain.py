"""Learning without labels, before the training: a model fills in or gives back what it sees.

Whether and on what is said by ``TrainConfig.pretrain_epochs`` and ``pretrain_on``; how is the
model's own business, ``pretrain_loss(x_BTCHW)``. Validation and test clips are never seen here.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import BatchTransform
from vidclass.errors import UserError
from vidclass.models import Pretrains
from vidclass.training.batches import cut, derived_seed, read_batches
from vidclass.training.checkpoints import CheckpointError, CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.optimizers import make_optimizer
from vidclass.training.precision import autocast, resolve_precision
from vidclass.training.schedules import Schedule

__all__ = ["PretrainReport", "forget_pretraining", "pretrain"]


class PretrainReport(NamedTuple):
    """What is told after each epoch of pretraining: its number, mean loss, clips and seconds."""

    epoch: int
    loss: float
    num_clips: int
    seconds: float


def pretrain(
    model: nn.Module,
    data: ClipDataset,
    config: TrainConfig,
    *,
    transform: BatchTransform,
    device: torch.device,
    seed: int,
    report: Callable[[PretrainReport], None],
    checkpoints: CheckpointFolder | None = None,
) -> int:
    """Train ``model`` on its own ``pretrain_loss`` for ``config.pretrain_epochs``.

    AdamW and one cycle up to ``pretrain_lr``; batch size, weight decay, clipping of gradients and
    precision are those of the training.

    Args:
        model: on the device, its weights drawn.
        data: clips whose labels are not read.
        config: how to train.
        transform: from clips to the model's input, as in training.
        device: where to train.
        seed: of order, augmentation and masks.
        report: called once an epoch.
        checkpoints: of the training. Every epoch is kept beside them, and an interrupted
            pretraining goes on from the last whole one, of whatever attempt: its content follows
            from seed, data and settings alone.

    Returns:
        Clips seen, in epochs of earlier attempts too.

    Raises:
        UserError: when the model can't learn without labels.
        FloatingPointError: when the loss is not finite.
    """
    if not isinstance(model, Pretrains):
        raise UserError(
            "pretrain_epochs are for models that can learn without labels",
            f"{type(model).__name__} has no pretrain_loss",
            "convlstm_autoencoder, frame_autoencoder or masked_transformer; or pretrain_epochs: 0",
        )
    states = _states(checkpoints) if checkpoints else None
    trained = _Pretraining(model, data, config, transform, device, seed)
    done = trained.resume(states) if states else 0
    for epoch in range(done + 1, config.pretrain_epochs + 1):
        started = time.perf_counter()
        loss = trained.epoch(epoch)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the pretraining loss is not finite in epoch {epoch}")
        if states:
            states.keep_only(trained.save(states, epoch, loss))
        report(PretrainReport(epoch, loss, data.num_samples, time.perf_counter() - started))
    return config.pretrain_epochs * data.num_samples


def forget_pretraining(checkpoints: CheckpointFolder) -> None:
    """Remove what is kept for going on with a pretraining, once the training has ended."""
    _states(checkpoints).keep_only()


def _states(checkpoints: CheckpointFolder) -> CheckpointFolder:
    """Return a folder of its own: the epochs of the training are counted from 1 again."""
    return CheckpointFolder(checkpoints.path / "pretrain", checkpoints.attempt)


class _Pretraining:
    """A model, its optimizer and schedule between two epochs of pretraining."""

    def __init__(
        self,
        model: nn.Module,
        data: ClipDataset,
        config: TrainConfig,
        transform: BatchTransform,
        device: torch.device,
        seed: int,
    ) -> None:
        self.model = model
        self.data = data
        self.config = config
        self.transform = transform
        self.device = device
        self.seed = seed
        settings = config.model_copy(
            update={
                "epochs": config.pretrain_epochs,
                "lr": config.pretrain_lr,
                "optimizer": "adamw",
                "schedule": "one_cycle",
                "backbone_lr_factor": 1.0,
                "unfreeze_after": 0,
            }
        )
        self.optimizer = make_optimizer(model, settings)
        num_steps = settings.epochs * len(cut(np.arange(data.num_samples), config.batch_size))
        self.schedule = Schedule(self.optimizer, settings, num_steps)

    def resume(self, states: CheckpointFolder) -> int:
        """Go on from the last epoch whose file is whole; return its number, 0 if there is none."""
        for name in reversed(states.names()):
            try:
                payload = states.load(name)
            except CheckpointError:  # torn by the end of its attempt: the one before it is as good
                continue
            self.model.load_state_dict(payload["model"])
            self.optimizer.load_state_dict(payload["optimizer"])
            self.schedule.load_state_dict(payload["schedule"])
            return states.sidecar(name).epoch
        return 0

    def save(self, states: CheckpointFolder, epoch: int, loss: float) -> str:
        """Write what an interrupted pretraining needs; return the file's name."""
        payload = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }
        return states.save(epoch, payload, {"pretrain_loss": loss})

    def epoch(self, epoch: int) -> float:
        """See every clip once; return the mean loss."""
        torch.manual_seed(derived_seed(self.seed, epoch, "pretrain_model"))
        generator = torch.Generator().manual_seed(
            derived_seed(self.seed, epoch, "pretrain_augment")
        )
        order_C = np.random.default_rng(
            derived_seed(self.seed, epoch, "pretrain_order")
        ).permutation(self.data.num_samples)
        batches = cut(order_C, self.config.batch_size)
        self.model.train()
        ahead = self.device.type != "cpu"
        losses: list[torch.Tensor] = []
        for batch in read_batches(self.data, batches, epoch=epoch, train=True, ahead=ahead):
            x_BTCHW, _ = self.transform.training(
                batch.x_BTHWC.to(self.device, non_blocking=True), batch.y.to(self.device), generator
            )
            losses.append(self._step(x_BTCHW) * len(batch.y))
        return float(torch.stack(losses).sum().cpu()) / len(order_C)

    def _step(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Make one optimizer step; return the batch's mean loss."""
        self.schedule.before_step()
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        num_parts = min(self.config.accumulate, max(1, len(x_BTCHW) // 2))
        for x_part in x_BTCHW.tensor_split(num_parts):
            with autocast(resolve_precision(self.config.precision, self.device), self.device):
                loss: torch.Tensor = self.model.pretrain_loss(x_part)  # type: ignore[operator]
            loss = loss * (len(x_part) / len(x_BTCHW))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        return total
