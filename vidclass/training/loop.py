"""One epoch of training: from clips to stepped weights.

Legend: B clips of a batch, T frames, C channels, H height, W width, K classes.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vidclass.data.samples import Labels
from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import BatchTransform
from vidclass.training.batches import (
    Batch,
    Stream,
    cut,
    derived_seed,
    epoch_order,
    read_batches,
)
from vidclass.training.config import TrainConfig
from vidclass.training.losses import make_loss
from vidclass.training.multilabel import NO_CHOICE, decide, exact_match
from vidclass.training.optimizers import WeightAverage, held_parts, initialise, make_optimizer
from vidclass.training.precision import autocast, resolve_precision, to_device
from vidclass.training.schedules import Schedule
from vidclass.training.scoring import probabilities
from vidclass.training.steps import Forward, StepLoss, labelled_steps, stages_of
from vidclass.training.workers import ALONE, Part, SummedGradients, Workers

__all__ = ["Diverged", "EpochResult", "Trainer"]

STAGED_SHARE = 0.25
"""Share of the epochs in which the head of a model with `freeze: staged` learns alone, where
`unfreeze_after` names no number of epochs."""
STEPS_BETWEEN_CHECKS = 50  # reading a loss back from an accelerator makes it wait


class Diverged(Exception):
    """The loss is not a finite number; the message says where."""


@dataclass(frozen=True)
class EpochResult:
    """What one epoch of training gave; predictions are those made while the weights moved.

    Attributes:
        labels: of the clips: the class ``label_C``, or ``label_CK`` where several may hold.
        said: the class ``[C]`` that was said, or the probability of each, ``[C, K]``.
        loss: mean over the clips.
        seconds_data: waited for clips.
        seconds_step: spent on steps.
    """

    labels: Labels
    said: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    loss: float
    seconds_data: float
    seconds_step: float

    @property
    def accuracy(self) -> float:
        """Share of the epoch's clips answered right; of several classes, in all of them."""
        if self.labels.ndim == 2:
            return exact_match(self.labels, decide(self.said.astype(np.float32), NO_CHOICE))
        return float(np.mean(self.labels == self.said))


class Trainer:
    """A model in training, with all that a checkpoint must hold of it.

    Args:
        model: trained in place; its weights are drawn anew from ``seed``.
        data: the training clips.
        config: how to train.
        num_classes: K.
        transform: from clips to the model's input, on the device.
        device: where to train.
        seed: of weights, order, dropout and augmentation.
        workers: who trains the model together; each gets its part of every batch.
        stream: where clips come from, if not from ``data``.
    """

    def __init__(
        self,
        model: nn.Module,
        data: ClipDataset,
        config: TrainConfig,
        *,
        num_classes: int,
        transform: BatchTransform,
        device: torch.device,
        seed: int,
        workers: Workers = ALONE,
        stream: Stream | None = None,
    ) -> None:
        assert workers.size == 1 or not data.framewise, "stretches are not divided over workers"
        self.model = model
        self._workers = workers
        self._stream = stream
        self.device = device
        self._data = data
        self._config = config
        self._transform = transform
        self._seed = seed
        self._precision = resolve_precision(config.precision, device)
        torch.manual_seed(derived_seed(seed, 0, "model"))
        # Drawn on the CPU in plain layout: the order of the draws follows the memory's.
        to_device(model, torch.device("cpu"), torch.contiguous_format)
        initialise(model, config.init)
        workers.start_alike(model, device)
        to_device(model, device)
        self._loss = make_loss(config, data.labels, num_classes, device)
        self._forward: Forward = model
        if data.framewise:
            self._loss = StepLoss(self._loss, model, several=data.labels.ndim == 2)
            self._forward = stages_of(model)
        self._several = data.labels.ndim == 2
        self._parts = held_parts(model)
        for part in self._parts:
            part.hold(False)  # the optimizer takes what is ever trained
        self._optimizer = make_optimizer(model, config)
        num_steps = config.epochs * len(cut(self._order(1), config.batch_size))
        self._schedule = Schedule(self._optimizer, config, num_steps)
        self._average = WeightAverage(model, config.ema_decay) if config.ema_decay else None
        self._summed = SummedGradients(model, workers)

    @property
    def evaluated(self) -> nn.Module:
        """The model that is evaluated and kept: the average of the weights where one is made."""
        return self._average.model if self._average else self.model

    @property
    def lr(self) -> float:
        """Learning rate of the last step."""
        return self._schedule.lr

    @property
    def rounds_over(self) -> bool:
        """Whether the schedule has ended before its epochs."""
        return self._schedule.ended

    def after_epoch(self, improved: bool) -> bool:
        """Tell the schedule whether the selection metric became better.

        Returns:
            Whether the training is to go on from its best weights, see :meth:`restart`.
        """
        fell = self._schedule.after_epoch(improved)
        return fell and (self._config.schedule == "rounds" or self._config.reload_best)

    def restart(self, weights: dict[str, torch.Tensor]) -> None:
        """Go on from ``weights`` as a new training would: the optimizer forgets what it saw."""
        self.model.load_state_dict(weights)
        if self._average:
            self._average.restart(weights)
        self._optimizer.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return all that :meth:`load_state_dict` needs to go on; random state is in the seed."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "average": self._average.state_dict() if self._average else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        if self._average:
            self._average.load_state_dict(state["average"])

    def train_epoch(self, epoch: int) -> EpochResult:
        """Train on every video once (or on every class equally often).

        Args:
            epoch: from 1; with the seed it gives order, windows, augmentation and dropout.

        Raises:
            Diverged: as soon as the loss is seen not to be finite.
        """
        workers = self._workers
        torch.manual_seed(derived_seed(self._seed, epoch, "model", workers.rank))
        generator = torch.Generator().manual_seed(derived_seed(self._seed, epoch, "augment"))
        self._hold(epoch)
        self.model.train()
        batches = cut(self._order(epoch), self._config.batch_size)
        on_cpu = self.device.type == "cpu"
        check_every = 1 if on_cpu else STEPS_BETWEEN_CHECKS

        losses: list[torch.Tensor] = []
        labels: list[torch.Tensor] = []
        said: list[torch.Tensor] = []
        seconds_data = 0.0
        started = before = time.perf_counter()
        for step, (batch, part) in enumerate(self._reading(batches, epoch), start=1):
            seconds_data += time.perf_counter() - before
            loss, label, answer = self._step(batch, part, generator)
            losses.append(loss)
            labels.append(label)
            said.append(answer)
            if step % check_every == 0 or step == len(batches):
                workers.settle(self.device)
                _check_finite(losses[-check_every:], epoch, step)
            before = time.perf_counter()
        workers.average_statistics(self.model)
        if self._average:
            self._average.take_statistics(self.model)
        seconds = time.perf_counter() - started
        of_epoch = torch.cat(labels).cpu(), torch.cat(said).cpu(), [len(label) for label in labels]
        answers = workers.gathered(of_epoch)
        size_S = np.sum([sizes for _, _, sizes in answers], axis=0)
        return EpochResult(
            labels=torch.cat([label for label, _, _ in answers]).numpy(),
            said=torch.cat([answer for _, answer, _ in answers]).numpy(),
            loss=float(np.average(torch.stack(losses).cpu().numpy(), weights=size_S)),
            seconds_data=seconds_data,
            seconds_step=seconds - seconds_data,
        )

    def _reading(
        self, batches: list[npt.NDArray[np.int64]], epoch: int
    ) -> Iterator[tuple[Batch, Part]]:
        """Yield this worker's clips of each batch, and what part of it they are."""
        parts = [self._workers.parts(clips_B) for clips_B in batches]
        own = [of_batch[self._workers.rank] for of_batch in parts]
        reading = read_batches(
            self._data,
            [part.clips_P for part in own],
            epoch=epoch,
            train=True,
            ahead=self.device.type != "cpu",
            stream=self._stream,
            parts=[part.clips_P for of_batch in parts for part in of_batch],
        )
        yield from zip(reading, own, strict=True)

    def _hold(self, epoch: int) -> None:
        """Keep what started with trained weights as it is in the first epochs, then train it."""
        config = self._config
        for part in self._parts:
            staged = getattr(part, "freeze", None) == "staged"
            first = math.ceil(config.epochs * STAGED_SHARE) if staged else 0
            if held := config.unfreeze_after or first:
                part.hold(epoch <= held)

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return epoch_order(
            self._data.clip_labels,
            balance=self._config.class_balance,
            exponent=self._config.balance_exponent,
            seed=self._seed,
            epoch=epoch,
        )

    def _step(
        self, batch: Batch, part: Part, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Make one optimizer step; return the batch's loss, its labels, and what was said of it.

        Labels and answers are those of this worker's clips without its padding. A clip that was
        mixed of two counts as the one that has the larger share.
        """
        x_BTCHW, y = self._transform.training(
            batch.x_BTHWC.to(self.device, non_blocking=True),
            batch.y.to(self.device, non_blocking=True),
            generator,
            part.place,
        )
        num_real = part.num_real
        self._schedule.before_step()
        self._optimizer.zero_grad()
        # Parts of a batch add up to the gradient of the whole: each is divided by its weight.
        total_weight = self._workers.total(self._loss.total_weight(y[:num_real]))
        num_parts = min(self._config.accumulate, max(1, len(y) // 2))
        losses: list[torch.Tensor] = []
        logits: list[torch.Tensor] = []
        left = num_real
        for x_part, y_part in zip(
            x_BTCHW.tensor_split(num_parts), y.tensor_split(num_parts), strict=True
        ):
            with autocast(self._precision, self.device):
                logits_BK = self._forward(x_part)
            if left < len(y_part):  # what follows is padding
                logits_BK, y_part = logits_BK[:left], y_part[:left]
            loss = self._loss.summed(logits_BK, y_part) / total_weight
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
            logits.append(logits_BK.detach())
            left -= len(y_part)
        loss = self._summed(torch.stack(losses).sum())
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._config.clip_norm)
        self._optimizer.step()
        if self._average:
            self._average.update(self.model)
        if self._data.framewise:
            said_BK, y = labelled_steps(torch.cat(logits, dim=1)[-1], y)
        else:
            said_BK, y = torch.cat(logits), y[:num_real]
        if self._several:
            return loss, (y >= NO_CHOICE).float(), probabilities(said_BK, several=True)
        return loss, y if y.dim() == 1 else y.argmax(dim=1), said_BK.argmax(dim=1)


def _check_finite(losses: list[torch.Tensor], epoch: int, step: int) -> None:
    finite = torch.isfinite(torch.stack(losses)).tolist()
    if not all(finite):
        first = step - len(finite) + 1 + finite.index(False)
        raise Diverged(f"the training loss is not finite at step {first} of epoch {epoch}")
