"""Learning without labels, before the training: a model fills in or gives back what it sees.

Whether and on what is said by ``TrainConfig.pretrain_epochs`` and ``pretrain_on``; how is the
model's own business, ``pretrain_loss(x_BTCHW)``. Validation and test clips are never seen here.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

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
from vidclass.training.workers import ALONE, SummedGradients, Workers

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
    workers: Workers = ALONE,
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
        workers: who trains together; the first one writes.

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
    states = _states(checkpoints) if checkpoints and workers.is_first else None
    trained = _Pretraining(model, data, config, transform, device, seed, workers)
    done = trained.resume(states)
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


def _last_whole(states: CheckpointFolder | None) -> tuple[int, dict[str, Any]]:
    for name in reversed(states.names() if states else []):
        assert states is not None
        try:
            return states.sidecar(name).epoch, states.load(name)
        except CheckpointError:  # torn by the end of its attempt: the one before it is as good
            continue
    return 0, {}


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
        workers: Workers,
    ) -> None:
        self.model = model
        self.workers = workers
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
        self.summed = SummedGradients(model, workers)

    def resume(self, states: CheckpointFolder | None) -> int:
        """Go on from the last epoch whose file is whole; return its number, 0 if there is none."""
        epoch, payload = self.workers.told(_last_whole(states))
        if epoch:
            self.model.load_state_dict(payload["model"])
            self.optimizer.load_state_dict(payload["optimizer"])
            self.schedule.load_state_dict(payload["schedule"])
        return epoch

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
        rank = self.workers.rank
        torch.manual_seed(derived_seed(self.seed, epoch, "pretrain_model", rank))
        generator = torch.Generator().manual_seed(
            derived_seed(self.seed, epoch, "pretrain_augment")
        )
        order_C = np.random.default_rng(
            derived_seed(self.seed, epoch, "pretrain_order")
        ).permutation(self.data.num_samples)
        batches = cut(order_C, self.config.batch_size)
        parts = [self.workers.parts(clips_B) for clips_B in batches]
        own = [of_batch[rank] for of_batch in parts]
        self.model.train()
        reading = read_batches(
            self.data,
            [part.clips_P for part in own],
            epoch=epoch,
            train=True,
            ahead=self.device.type != "cpu",
        )
        losses: list[torch.Tensor] = []
        for batch, of_batch, part in zip(reading, parts, own, strict=True):
            x_BTCHW, _ = self.transform.training(
                batch.x_BTHWC.to(self.device, non_blocking=True),
                batch.y.to(self.device),
                generator,
                part.place,
            )
            # Of nothing but padding one clip is left, of weight 0: batch norms wait for all
            # workers, and for the same number of times.
            num_clips = sum(each.num_real for each in of_batch)
            least = min(max(1, each.num_real) for each in of_batch)
            num_parts = min(self.config.accumulate, max(1, least // 2))
            x_BTCHW = x_BTCHW[: max(1, part.num_real)]
            losses.append(self._step(x_BTCHW, part.num_real / num_clips, num_parts) * num_clips)
        self.workers.average_statistics(self.model)
        return float(torch.stack(losses).sum().cpu()) / len(order_C)

    def _step(self, x_BTCHW: torch.Tensor, weight: float, num_parts: int) -> torch.Tensor:
        """Make one optimizer step; return the batch's mean loss.

        Args:
            x_BTCHW: this worker's clips of the batch.
            weight: their share of the batch.
            num_parts: into which they are cut to save memory.
        """
        self.schedule.before_step()
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        for x_part in x_BTCHW.tensor_split(num_parts):
            with autocast(resolve_precision(self.config.precision, self.device), self.device):
                loss: torch.Tensor = self.model.pretrain_loss(x_part)  # type: ignore[operator]
            loss = loss * (weight * len(x_part) / len(x_BTCHW))
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        total = self.summed(total)
        if self.config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        return total
