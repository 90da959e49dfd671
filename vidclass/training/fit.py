"""Train a model, watch it on validation clips, keep its best epoch.

``fit`` is plain PyTorch and knows nothing of a study: what it learned goes to ``report``, once an
epoch, and what ``report`` returns may end it.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import BatchTransform
from vidclass.training.batches import Stream
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.evaluate import Predictions, evaluate
from vidclass.training.loop import Diverged, EpochResult, Trainer
from vidclass.training.pretrain import PretrainReport, forget_pretraining, pretrain
from vidclass.training.process_state import CpuMeter, memory_gib, process_state
from vidclass.training.scoring import (
    Thresholds,
    is_collapsed,
    learned_nothing,
    right_samples,
    scores,
    thresholds_of,
)
from vidclass.training.selection import Metrics, check_training, is_better
from vidclass.training.workers import ALONE, Workers

__all__ = ["EpochReport", "FitResult", "fit"]

Status = Literal["completed", "stopped", "diverged", "collapsed"]
_Ending = tuple[Status, str]


@dataclass(frozen=True)
class EpochReport:
    """What ``fit`` tells after each epoch.

    ``frames_seen`` counts the training frames since the first epoch; seconds are of this epoch;
    ``cpu_percent`` is of one core. ``checkpoint`` is what a later attempt can resume from.
    """

    epoch: int
    metrics: Metrics
    checkpoint: str | None
    best: bool


@dataclass(frozen=True)
class FitResult:
    """How a training ended. ``best_*`` are None and empty when no epoch was finished.

    ``thresholds`` say from which probability on each class holds, where several may: those of the
    best F1 on the validation samples at the best epoch; None where there is one class a sample.

    ``completed`` is also said of a training that its own settings ended early (patience, training
    accuracy); ``stopped`` of one that ``report`` ended. ``reason`` says which.
    """

    status: Status
    reason: str
    best_epoch: int | None
    best_metrics: Metrics
    best_checkpoint: str | None
    epochs_run: int
    thresholds: Thresholds | None = None


@dataclass
class _Progress:
    """Where a training stands; part of every checkpoint."""

    epoch: int = 0
    best_epoch: int | None = None
    best_metrics: Metrics = field(default_factory=dict)
    best_checkpoint: str | None = None
    frames_seen: int = 0
    ending: _Ending | None = None
    thresholds: Thresholds | None = None


def fit(
    model: nn.Module,
    train: ClipDataset,
    valid: ClipDataset,
    config: TrainConfig,
    *,
    num_classes: int,
    transform: BatchTransform,
    device: torch.device,
    seed: int,
    report: Callable[[EpochReport], bool],
    select: str = "valid_accuracy",
    keep: Literal["best", "last"] = "best",
    checkpoints: CheckpointFolder | None = None,
    resume_from: str | None = None,
    num_threads: int = 1,
    pretrain_on: ClipDataset | None = None,
    report_pretraining: Callable[[PretrainReport], None] = lambda told: None,
    workers: Workers = ALONE,
    stream: Stream | None = None,
) -> FitResult:
    """Train ``model`` from weights drawn from ``seed``; leave it with those of its best epoch.

    The result depends on the arguments alone: not on what ran before in the process, nor on
    whether the training was interrupted and resumed. Several workers call it with the same
    arguments: each takes its part of every batch, and all of them end with the same model.

    Args:
        model: its weights are replaced.
        train: training clips; at least two videos.
        valid: the clips that choose the best epoch.
        config: how to train.
        num_classes: number of classes (K).
        transform: from clips to the model's input.
        device: where to train.
        seed: of weights, order, dropout and augmentation.
        report: called once an epoch; returning True ends the training as ``stopped``. What it
            raises passes through.
        select: the metric that chooses the best epoch, one of ``selection.SELECTION_METRICS``.
        keep: ``last`` counts each epoch as better than those before it, where ``valid`` is among
            the training clips and can choose nothing. For schedules that don't go by validation.
        checkpoints: where to keep the last epoch and the best weights.
        resume_from: name of the checkpoint to go on from.
        num_threads: threads of torch.
        pretrain_on: clips of ``config.pretrain_epochs``; by default those of ``train``.
        report_pretraining: called once an epoch of those.
        workers: who trains the model together. The first one reports and writes checkpoints.
        stream: brings the clips, if they are not read from ``train`` and ``valid``.

    Raises:
        UserError: when ``select`` is not a metric of the task, there are fewer than two training
            samples or no validation samples, ``resume_from`` is given without ``checkpoints``, or
            the model has nothing of which ``config`` speaks.
        CheckpointError: when ``resume_from`` is absent or damaged.
        torch.OutOfMemoryError: when the device is full; a larger ``config.accumulate`` needs less.
    """
    check_training(train, valid, select, checkpoints, resume_from)
    with process_state(device, num_threads):
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        trainer = Trainer(
            model,
            train,
            config,
            num_classes=num_classes,
            transform=transform,
            device=device,
            seed=seed,
            workers=workers,
            stream=stream,
        )
        run = _Run(
            trainer, train, valid, config, transform, select, keep, checkpoints, workers, stream
        )
        if checkpoints and resume_from:
            run.resume(workers.told(checkpoints.load(resume_from) if workers.is_first else {}))
        elif config.pretrain_epochs:
            try:
                run.pretrain(pretrain_on or train, seed, report_pretraining)
            except FloatingPointError as error:
                return FitResult("diverged", str(error), None, {}, None, 0)
        return run.to_the_end(report)


class _Run:
    """A training between its first epoch and its end."""

    def __init__(
        self,
        trainer: Trainer,
        train: ClipDataset,
        valid: ClipDataset,
        config: TrainConfig,
        transform: BatchTransform,
        select: str,
        keep: Literal["best", "last"],
        checkpoints: CheckpointFolder | None,
        workers: Workers,
        stream: Stream | None,
    ) -> None:
        self._trainer = trainer
        self._workers = workers
        self._stream = stream
        self._valid = valid
        self._config = config
        self._transform = transform
        self._select = select
        self._keep = keep
        self._checkpoints = checkpoints
        self._frames_per_clip = train.positions.num_frames
        self._progress = _Progress()
        self._best_weights: dict[str, torch.Tensor] = {}
        self._cpu = CpuMeter()

    def resume(self, payload: dict[str, Any]) -> None:
        """Go on from the payload of a checkpoint."""
        self._trainer.load_state_dict(payload["trainer"])
        self._progress = _Progress(**payload["progress"])

    def pretrain(
        self, data: ClipDataset, seed: int, report: Callable[[PretrainReport], None]
    ) -> None:
        """Let the model learn without labels first."""
        num_clips = pretrain(
            self._trainer.model,
            data,
            self._config,
            transform=self._transform,
            device=self._trainer.device,
            seed=seed,
            report=report,
            checkpoints=self._checkpoints,
            workers=self._workers,
        )
        self._progress.frames_seen = num_clips * data.positions.num_frames
        self._trainer.restart(self._trainer.model.state_dict())

    def to_the_end(self, report: Callable[[EpochReport], bool]) -> FitResult:
        """Train the epochs that are left, then put the best weights into the model."""
        progress = self._progress
        ending = progress.ending
        while ending is None:
            ending = self._advance(report)
        if self._checkpoints and self._config.pretrain_epochs and self._workers.is_first:
            forget_pretraining(self._checkpoints)
        self._restore_best()
        status, reason = ending
        return FitResult(
            status=status,
            reason=reason,
            best_epoch=progress.best_epoch,
            best_metrics=progress.best_metrics,
            best_checkpoint=progress.best_checkpoint,
            epochs_run=progress.epoch,
            thresholds=progress.thresholds,
        )

    def _advance(self, report: Callable[[EpochReport], bool]) -> _Ending | None:
        """Run and report one more epoch; return how the training ends after it, if it does."""
        progress = self._progress
        try:
            told = self._epoch(progress.epoch + 1)
        except Diverged as diverged:
            return "diverged", str(diverged)
        first = self._workers.is_first
        asked_to_stop = self._workers.told(report(told) if first else False)
        if self._checkpoints and first:
            # Only now is it written down elsewhere that this epoch can be resumed from.
            self._checkpoints.keep_only(told.checkpoint, progress.best_checkpoint)
        if progress.ending is None and asked_to_stop:
            return "stopped", f"asked to stop after epoch {progress.epoch}"
        return progress.ending

    def _epoch(self, epoch: int) -> EpochReport:
        """Train and evaluate one epoch, write its checkpoints."""
        progress = self._progress
        trained = self._trainer.train_epoch(epoch)
        started = time.perf_counter()
        predictions = evaluate(
            self._trainer.evaluated,
            self._valid,
            transform=self._transform,
            batch_size=self._config.batch_size // self._config.accumulate,
            device=self._trainer.device,
            precision=self._config.precision,
            workers=self._workers,
            stream=self._stream,
        )
        seconds_eval = time.perf_counter() - started
        if not math.isfinite(predictions.loss):
            raise Diverged(f"the validation loss is not finite after epoch {epoch}")

        progress.epoch = epoch
        progress.frames_seen += len(trained.labels) * self._frames_per_clip
        thresholds = thresholds_of(predictions.labels, predictions.prob_NK)
        metrics = self._metrics(trained, predictions, thresholds)
        metrics["seconds_eval"] = seconds_eval
        is_last = self._keep == "last"
        best = is_last or is_better(metrics, progress.best_metrics, self._select)
        if best:
            progress.best_epoch, progress.best_metrics = epoch, metrics
            progress.thresholds = thresholds
            self._save_best(epoch, metrics, predictions)
        if self._trainer.after_epoch(best):
            self._trainer.restart(self._read_best())
        progress.ending = self._ending(trained, predictions)
        return EpochReport(epoch, metrics, self._save(epoch, metrics), best)

    def _metrics(
        self, trained: EpochResult, predictions: Predictions, thresholds: Thresholds | None
    ) -> Metrics:
        measured = scores(predictions.labels, predictions.prob_NK, thresholds)
        measured.pop("top5_accuracy", None)
        return {
            "train_loss": trained.loss,
            "train_accuracy": trained.accuracy,
            "valid_loss": predictions.loss,
            **{f"valid_{name}": value for name, value in measured.items()},
            "lr": self._trainer.lr,
            "seconds_data": trained.seconds_data,
            "seconds_step": trained.seconds_step,
            "memory_gib": memory_gib(self._trainer.device),
            "frames_seen": float(self._progress.frames_seen),
            "cpu_percent": self._cpu.percent(),
        }

    def _ending(self, trained: EpochResult, predictions: Predictions) -> _Ending | None:
        """Return how the training ends after the present epoch, or None to go on."""
        config, progress = self._config, self._progress
        epoch = progress.epoch
        if config.collapse_after and epoch >= config.collapse_after:
            num_classes = predictions.prob_NK.shape[1]
            # A model that can tell training clips apart only fails to generalise.
            untaught = learned_nothing(trained.labels, trained.said, num_classes)
            if untaught and is_collapsed(predictions.labels, predictions.prob_NK):
                return "collapsed", f"tells no class from another after epoch {epoch}"
        target = config.stop_at_train_accuracy
        if target is not None and trained.accuracy >= target:
            return "completed", f"training accuracy {trained.accuracy:.4f} reached {target}"
        waited = epoch - (progress.best_epoch or 0)
        if config.patience and waited >= config.patience:
            return "completed", f"{self._select} has not improved for {waited} epochs"
        if self._trainer.rounds_over:
            return "completed", f"all {config.num_rounds} rounds"
        if epoch >= config.epochs:
            return "completed", f"all {config.epochs} epochs"
        return None

    def _save_best(self, epoch: int, metrics: Metrics, predictions: Predictions) -> None:
        """Keep the weights of the epoch that is best so far, in the folder or in memory."""
        weights = self._trainer.evaluated.state_dict()
        if not self._workers.is_first:
            return  # _read_best has them of the first one
        if self._checkpoints is None:
            self._best_weights = {name: part.clone() for name, part in weights.items()}
        else:
            thresholds = self._progress.thresholds
            right_N = right_samples(predictions.labels, predictions.prob_NK, thresholds)
            right = "".join("1" if is_right else "0" for is_right in right_N)
            self._progress.best_checkpoint = self._checkpoints.save_best(
                epoch, weights, metrics, thresholds, right
            )

    def _save(self, epoch: int, metrics: Metrics) -> str | None:
        """Keep what a later attempt resumes from; return the checkpoint's name."""
        if self._checkpoints is None or not self._workers.is_first:
            return None
        payload = {
            "trainer": self._trainer.state_dict(),
            "progress": dataclasses.asdict(self._progress),
        }
        return self._checkpoints.save(epoch, payload, metrics)

    def _read_best(self) -> dict[str, torch.Tensor]:
        """Return the best epoch's weights, read back and verified; empty before there is one."""
        best = self._progress.best_checkpoint
        if self._checkpoints and best and self._workers.is_first:
            return self._workers.told(self._checkpoints.load_weights(best))
        return self._workers.told(self._best_weights)

    def _restore_best(self) -> None:
        """Put the best epoch's weights into the model."""
        weights = self._read_best()
        if weights:
            self._trainer.model.load_state_dict(weights)
