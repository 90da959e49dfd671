"""Which clips make up an epoch and its batches, pure in (seed, epoch), and how they are read.

Legend: N samples, C clips of an epoch, B clips of a batch, T frames, H height, W width.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np
import numpy.typing as npt
import torch

from vidclass.data.samples import Labels
from vidclass.data.sampling import ClipDataset
from vidclass.training.balance import Balance, class_draws, strata

__all__ = ["Batch", "Stream", "cut", "derived_seed", "epoch_order", "read_batches"]

Int64 = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Clips as they lie in memory, and their labels: int64 ``[B]``, or float32 ``[B, K]``.

    Where a model answers at every step of a clip, of each step: ``[B, S]`` or ``[B, S, K]``.
    """

    x_BTHWC: torch.Tensor
    y: torch.Tensor


class Stream(Protocol):
    """Clips that come from elsewhere, where a worker's machine can't hold all of them."""

    def clips(self, parts: Sequence[Int64], *, epoch: int, train: bool) -> Iterator[torch.Tensor]:
        """Yield ``x_BTHWC`` of each of this worker's parts, in order.

        Args:
            parts: those of all workers, batch by batch: worker r has the r-th of each batch. Those
                of one batch are equally long.
            epoch: passed to the data.
            train: whether the clips are those of the training data, or of the validation data.
        """


Purpose = Literal[
    "order", "model", "augment", "pretrain_order", "pretrain_model", "pretrain_augment"
]


def derived_seed(seed: int, epoch: int, purpose: Purpose, rank: int = 0) -> int:
    """Return a seed of its own for a purpose in an epoch, and in a worker where they must differ.

    All random numbers of an epoch come from such seeds, so that a resumed training draws what an
    uninterrupted one would, and no generator's state has to be kept.
    """
    stream = get_args(Purpose).index(purpose)
    key = (epoch, stream, rank) if rank else (epoch, stream)
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0])


def epoch_order(
    labels: Labels, *, balance: Balance = "none", exponent: float = 1.0, seed: int, epoch: int
) -> Int64:
    """Return the clips of an epoch in their order, ``[C]``; their number is that of every epoch.

    Args:
        labels: of the samples; of several labels the rarest counts.
        balance: how often classes are drawn, see ``class_draws``: rare ones several times, each
            time another clip of the sample (clip ``sample + n * N`` is the one after ``n`` others),
            frequent ones in part, another part each epoch. A balance of weights, and none, draw
            each sample exactly once.
        exponent: of the balance.
        seed: the training's seed.
        epoch: from 1.
    """
    generator = np.random.default_rng(derived_seed(seed, epoch, "order"))
    num_samples = len(labels)
    if balance not in ("resample", "oversample", "undersample"):
        return generator.permutation(num_samples)
    class_N = strata(labels)
    present, count_P = np.unique(class_N, return_counts=True)
    quota_P = class_draws(count_P, balance, exponent)
    if balance == "resample":
        # What rounding left over goes to a few classes, others each epoch.
        left = num_samples - int(quota_P.sum())
        quota_P[generator.permutation(len(present))[:left]] += 1
    drawn = []
    for k, num_drawn in zip(present, quota_P, strict=True):
        samples = np.flatnonzero(class_N == k)
        rounds = max(1, -(-num_drawn // len(samples)))
        again = [generator.permutation(samples) + n * num_samples for n in range(rounds)]
        drawn.append(np.concatenate(again)[:num_drawn])
    return generator.permutation(np.concatenate(drawn))


def cut(order_C: Int64, batch_size: int) -> list[Int64]:
    """Cut clips into batches, dropping none.

    The last batch may be smaller; a single clip that is left over joins the batch before, since
    batch norm can't take the statistics of one value.
    """
    starts = list(range(0, len(order_C), batch_size))
    if len(starts) > 1 and len(order_C) - starts[-1] == 1:
        starts.pop()
    return [order_C[a:b] for a, b in zip(starts, [*starts[1:], len(order_C)], strict=True)]


def read_batches(
    data: ClipDataset,
    batches: Sequence[Int64],
    *,
    epoch: int,
    train: bool,
    ahead: bool,
    stream: Stream | None = None,
    parts: Sequence[Int64] = (),
) -> Iterator[Batch]:
    """Yield the clips of ``batches`` in their order.

    Args:
        data: what to read from.
        batches: clip indices.
        epoch: passed to the data.
        train: passed to the data.
        ahead: read the next batch in a thread while this one is used, into pinned memory; for a
            device that computes by itself. On a CPU it would only take the model's core.
        stream: brings the clips, if they are not read here; it is always ahead.
        parts: what all workers take from ``stream``; ``batches`` are this one's of them.
    """

    def labelled(x_BTHWC: torch.Tensor, clips_B: Int64) -> Batch:
        y = torch.from_numpy(data.labels_of(clips_B, epoch=epoch, train=train))
        batch = Batch(x_BTHWC, y)
        return Batch(*(tensor.pin_memory() for tensor in batch)) if ahead else batch

    def read(clips_B: Int64) -> Batch:
        return labelled(data.read(clips_B, epoch=epoch, train=train), clips_B)

    if stream is not None:
        coming_clips = stream.clips(parts, epoch=epoch, train=train)
        for x_BTHWC, of_part in zip(coming_clips, batches, strict=True):
            yield labelled(x_BTHWC, of_part)
        return
    if not ahead:
        yield from map(read, batches)
        return
    with ThreadPoolExecutor(1) as pool:
        coming = [pool.submit(read, clips_B) for clips_B in batches[:1]]
        for number in range(len(batches)):  # none, where there are fewer than workers
            batch = coming.pop().result()
            coming += [pool.submit(read, clips_B) for clips_B in batches[number + 1 : number + 2]]
            yield batch
