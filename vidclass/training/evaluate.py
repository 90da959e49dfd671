"""Predictions of a trained model over the clips and samples of a data set.

Legend: N samples (videos, or stretches of them), V views (clips of a sample), K classes, B clips of
a batch, T frames.
"""

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vidclass.data.samples import Labels
from vidclass.data.sampling import ClipDataset
from vidclass.data.stretches import StretchDataset
from vidclass.data.transforms import BatchTransform
from vidclass.training.batches import Stream, cut, epoch_order, read_batches
from vidclass.training.precision import autocast, to_device
from vidclass.training.scoring import log_loss, probabilities
from vidclass.training.workers import ALONE, BATCH_NORMS, Workers

__all__ = ["Predictions", "evaluate", "recalibrate_batch_norm"]


@dataclass(frozen=True)
class Predictions:
    """What a model said of each sample, in the order of the data set.

    ``prob_NK`` is the mean of the probabilities over a sample's views; ``loss`` the mean
    cross-entropy of the single clips. ``labels`` says by its shape whether several may hold.
    """

    prob_NK: npt.NDArray[np.float32]
    clip_prob_NVK: npt.NDArray[np.float32]
    labels: Labels
    sample_ids: list[str]
    video_ids: list[str]
    groups: list[str]
    loss: float

    @property
    def num_views(self) -> int:
        """Number of clips of a sample."""
        return int(self.clip_prob_NVK.shape[1])


def evaluate(
    model: nn.Module,
    data: ClipDataset,
    *,
    transform: BatchTransform,
    batch_size: int,
    device: torch.device,
    precision: str = "auto",
    workers: Workers = ALONE,
    stream: Stream | None = None,
) -> Predictions:
    """Return the predictions of ``model`` over all evaluation clips of ``data``.

    The model is left in the mode (training or not) that it was in. Several workers take whole
    batches in turn, so that each clip is computed in the company in which one worker would.
    """
    was_training = model.training
    model.eval()
    several = data.labels.ndim == 2
    found: dict[int, torch.Tensor] = {}
    clips_C = np.arange(data.num_clips(train=False))
    batches = [clips_C[start : start + batch_size] for start in range(0, len(clips_C), batch_size)]
    parts = _of_equal_length(batches, workers.size) if stream else batches
    own = range(workers.rank, len(parts), workers.size)
    reading = read_batches(
        data,
        [parts[number] for number in own],
        epoch=0,
        train=False,
        ahead=device.type == "cuda",
        stream=stream,
        parts=parts,
    )
    with torch.no_grad():
        for number, batch in zip(own, reading, strict=True):
            x_BTCHW = transform(batch.x_BTHWC.to(device, non_blocking=True), train=False)
            with autocast(precision, device):
                logits_BK = model(x_BTCHW)
            found[number] = probabilities(logits_BK, several=several)
    model.train(was_training)
    workers.settle(device)
    of_all = workers.gathered({number: prob_BK.cpu() for number, prob_BK in found.items()})
    by_number = {number: prob_BK for one in of_all for number, prob_BK in one.items()}
    in_order = [by_number[number][: len(batch)].numpy() for number, batch in enumerate(batches)]
    clip_prob_CK: npt.NDArray[np.float32] = np.concatenate(in_order)
    if isinstance(data, StretchDataset):
        clip_prob_CK = data.of_samples(clip_prob_CK)
    clip_prob_NVK = clip_prob_CK.reshape(data.num_samples, data.views, -1)
    of_clip_C = np.repeat(np.arange(data.num_samples), data.views)
    return Predictions(
        prob_NK=clip_prob_NVK.mean(axis=1, dtype=np.float64).astype(np.float32),
        clip_prob_NVK=clip_prob_NVK,
        labels=data.labels,
        sample_ids=data.samples.sample_ids,
        video_ids=data.samples.video_ids,
        groups=data.samples.groups,
        loss=log_loss(data.labels[of_clip_C], clip_prob_CK),
    )


def _of_equal_length(
    batches: list[npt.NDArray[np.int64]], size: int
) -> list[npt.NDArray[np.int64]]:
    """Pad the last batch, and their number to a multiple of ``size``, by clips once more."""
    longest = len(batches[0])
    padded = [np.resize(batch, longest) for batch in batches]
    return padded + [padded[0]] * (-len(padded) % size)


def recalibrate_batch_norm(
    model: nn.Module,
    data: ClipDataset,
    *,
    transform: BatchTransform,
    batch_size: int,
    device: torch.device,
    precision: str = "auto",
) -> nn.Module:
    """Return a copy of ``model`` whose batch-norm statistics are those of ``data``.

    For perturbations: a model that is tested on shuffled, reversed or frozen frames gets the
    statistics of *training* clips in that order, so that what it loses is not owed to statistics of
    another kind of input. Weights are those of ``model``; without batch norm the copy is equal.

    Args:
        model: left as it is.
        data: training clips with the perturbed ``order``; one random window a sample is read.
        transform: applied without augmentation.
        batch_size: clips of a batch.
        device: where to compute.
        precision: as in training.
    """
    calibrated = copy.deepcopy(model)
    to_device(calibrated, device)
    # Those of a frozen backbone stay in evaluation mode: they were never of this data.
    calibrated.train()
    norms = [
        module
        for module in calibrated.modules()
        if isinstance(module, BATCH_NORMS) and module.training
    ]
    calibrated.eval()
    if not norms:
        return calibrated
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
        norm.train()
    # Mixed, since tables often come sorted by class, and a batch of one class has other statistics.
    order_C = epoch_order(data.clip_labels, seed=0, epoch=0)
    batches = cut(order_C, batch_size)
    ahead = device.type == "cuda"
    with torch.no_grad(), autocast(precision, device):
        for batch in read_batches(data, batches, epoch=0, train=True, ahead=ahead):
            calibrated(transform(batch.x_BTHWC.to(device, non_blocking=True), train=False))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return calibrated.eval()
