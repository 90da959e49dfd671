"""Clips for several workers through Ray Data, where no node can hold the frames of all videos.

A pass over a data set is a list of parts: whose clips one worker takes in one step. Tasks on all
nodes read the frames of a part each, wherever there is a free CPU, and ``streaming_split`` deals
the parts out in turn. They are equally long in each step, so that none is dropped, and their order
is kept, so that each worker gets the parts that it would have read itself.

Legend: P clips of a part, T frames, H height, W width, C colours.
"""

import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
import torch
from ray.data import DataContext, DataIterator

from vidclass.data.sampling import ClipDataset

__all__ = ["GivenStream", "SplitStream", "split_clips"]

PREFETCHED = 2
"""Parts that lie ready for a worker while it computes."""

Int64 = npt.NDArray[np.int64]

_OPENED: dict[str, ClipDataset] = {}
"""The data set that the tasks of a process read from; opening its store looks at every shard."""


def split_clips(
    data: ClipDataset, parts: Sequence[Int64], num_workers: int, *, epoch: int, train: bool
) -> list[DataIterator]:
    """Return an iterator over its parts for each worker.

    Args:
        data: what is read, on the nodes.
        parts: step by step those of all workers; those of one step are equally long.
        num_workers: worker ``r`` gets parts ``r``, ``r + num_workers`` and so on.
        epoch: passed to the data.
        train: passed to the data.
    """
    kept = ray.put(data)
    index = [pa.table({"clip": pa.array(clips_P)}) for clips_P in parts]
    dataset = ray.data.from_arrow(index)
    context: DataContext = dataset.context
    context.execution_options.preserve_order = True
    context.target_max_block_size = None  # a part stays one block, however large
    context.enable_progress_bars = False
    context.print_on_execution_start = False

    def read(batch: dict[str, Any]) -> dict[str, Any]:
        clips_P = np.asarray(batch["clip"], dtype=np.int64)
        x_PTHWC = _opened(kept).read(clips_P, epoch=epoch, train=train)
        return {"clip": clips_P, "x": x_PTHWC.numpy()}

    reading: Any = read  # its type is narrower than what Ray may give in other formats
    read_there = dataset.map_batches(reading, batch_size=None, batch_format="numpy")
    return list(read_there.streaming_split(num_workers, equal=True))


def _opened(kept: Any) -> ClipDataset:
    key = kept.hex()
    if key not in _OPENED:
        _OPENED.clear()
        _OPENED[key] = ray.get(kept)
    return _OPENED[key]


def _clips(iterator: Any, own: Sequence[Int64]) -> Iterator[torch.Tensor]:
    """Yield the clips of a worker's parts ``own``, ``x_PTHWC``."""
    batches = iterator.iter_batches(
        batch_size=None, batch_format="numpy", prefetch_batches=PREFETCHED
    )
    for batch, clips_P in zip(batches, own, strict=True):
        assert np.array_equal(batch["clip"], clips_P), "Ray Data has not kept the order of parts"
        yield torch.from_numpy(np.array(batch["x"]))  # a copy: what Ray holds is read-only


class SplitStream:
    """The stream of the first worker, which starts the reading and deals it out.

    Args:
        train: the training clips.
        valid: the validation clips.
        give: for each of the other workers what hands it an iterator.
    """

    def __init__(
        self, train: ClipDataset, valid: ClipDataset, give: Sequence[Callable[[Any], object]]
    ) -> None:
        self._data = {True: train, False: valid}
        self._give = give

    def clips(self, parts: Sequence[Int64], *, epoch: int, train: bool) -> Iterator[torch.Tensor]:
        """See :class:`vidclass.training.batches.Stream`."""
        size = len(self._give) + 1
        first, *rest = split_clips(self._data[train], parts, size, epoch=epoch, train=train)
        for give, iterator in zip(self._give, rest, strict=True):
            give(iterator)
        yield from _clips(first, parts[::size])


class GivenStream:
    """The stream of a further worker, which is given an iterator for each pass."""

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._size = rank, size
        self._given: queue.Queue[DataIterator] = queue.Queue()

    def give(self, iterator: DataIterator) -> None:
        """Take the iterator of the next pass."""
        self._given.put(iterator)

    def clips(self, parts: Sequence[Int64], *, epoch: int, train: bool) -> Iterator[torch.Tensor]:
        """See :class:`vidclass.training.batches.Stream`."""
        yield from _clips(self._given.get(), parts[self._rank :: self._size])
