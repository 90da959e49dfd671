"""The processes that train one model together; a process alone is a group of one.

A batch of the training is divided over the workers, each computes the gradient of its clips, and
the sum of all is that of the whole batch: what is trained does not depend on how many take part.
Whoever starts the processes joins them by ``torch.distributed`` first; nothing here knows Ray.

Legend: B clips of a batch, P clips of a worker's part of it.
"""

import io
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn

from vidclass.data.sampling import ClipDataset
from vidclass.data.transforms import Place
from vidclass.training.batches import Stream

__all__ = ["ALONE", "BATCH_NORMS", "Part", "SummedGradients", "WorkerLost", "Workers"]

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
POLL_S = 5e-5  # between looks at whether the others have answered; far below what an answer takes

Int64 = npt.NDArray[np.int64]
Value = TypeVar("Value")
OpenStream = Callable[[ClipDataset, ClipDataset], Stream]


class WorkerLost(RuntimeError):
    """Another worker has hung up: it ended, failed or died. It knows more about it."""


class Part(NamedTuple):
    """A worker's part of a batch: clips, of which those after the first ``num_real`` are padding.

    Padding repeats clips of the same batch, so that every worker has equally many; it has weight 0.
    """

    clips_P: Int64
    num_real: int
    place: Place


class Workers:
    """This process among those that train a model.

    Args:
        rank: number of this process, from 0; the first one reports, and writes checkpoints.
        size: number of processes. Above 1 the default process group of ``torch.distributed`` has
            been made, and takes tensors of the CPU.
        open_stream: makes the stream of training and validation clips, where they come by one.
        check: called while waiting for the others; raises when one of them is gone. A process whose
            machine lost power does not hang up, and its peers would wait for ever.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        *,
        open_stream: OpenStream | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.rank = rank
        self.size = size
        self.open_stream = open_stream
        self._check = check

    @property
    def is_first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def parts(self, clips_B: Int64) -> list[Part]:
        """Divide a batch over all workers, in order."""
        share = -(-len(clips_B) // self.size)
        padded = np.resize(clips_B, share * self.size)  # repeats the batch from its start
        return [
            Part(
                padded[rank * share : (rank + 1) * share],
                max(0, min(share, len(clips_B) - rank * share)),
                Place(rank * share, len(clips_B)),
            )
            for rank in range(self.size)
        ]

    def part(self, clips_B: Int64) -> Part:
        """Return this worker's part of a batch."""
        return self.parts(clips_B)[self.rank]

    def sum_(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add up ``tensor`` over all workers, in place, and return it."""
        if self.size > 1:
            self._finish(dist.all_reduce(tensor, async_op=True), tensor)
        return tensor

    def total(self, value: torch.Tensor | float) -> torch.Tensor | float:
        """Return the sum of ``value`` over all workers."""
        if self.size == 1:
            return value
        return self.sum_(torch.as_tensor(value, dtype=torch.float32).clone())

    def gathered(self, value: Value) -> list[Value]:
        """Return the ``value`` of each worker: tensors and plain data, nothing that runs."""
        if self.size == 1:
            return [value]
        own = _packed(value)
        length = torch.tensor([len(own)])
        lengths = [torch.zeros_like(length) for _ in range(self.size)]
        self._finish(dist.all_gather(lengths, length, async_op=True), length)
        padded = torch.zeros(max(int(number) for number in lengths), dtype=torch.uint8)
        padded[: len(own)] = own
        found = [torch.empty_like(padded) for _ in range(self.size)]
        self._finish(dist.all_gather(found, padded, async_op=True), padded)
        return [
            _unpacked(packed[: int(number)]) for packed, number in zip(found, lengths, strict=True)
        ]

    def told(self, value: Value) -> Value:
        """Return the ``value`` of the first worker; what the others give is not looked at."""
        if self.size == 1:
            return value
        packed = _packed(value if self.is_first else None)
        length = torch.tensor([len(packed)])
        self._finish(dist.broadcast(length, 0, async_op=True), length)
        if not self.is_first:
            packed = torch.empty(int(length), dtype=torch.uint8)
        self._finish(dist.broadcast(packed, 0, async_op=True), packed)
        return value if self.is_first else _unpacked(packed)

    def start_alike(self, model: nn.Module, device: torch.device) -> None:
        """Give ``model`` the first worker's weights, and on a GPU batch norms that see all clips.

        Batch norms over all workers (SyncBN) exist on GPUs only; on CPUs each worker normalises its
        own part of a batch.
        """
        if self.size == 1:
            return
        model.load_state_dict(self.told(model.state_dict()))
        if device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]

    def average_statistics(self, model: nn.Module) -> None:
        """Replace the running statistics of batch norms by their means over the workers."""
        if self.size == 1:
            return
        for module in model.modules():
            # those that don't train are alike, and a mean would round them
            if isinstance(module, BATCH_NORMS) and module.training:
                for statistic in (module.running_mean, module.running_var):
                    if statistic is not None:
                        self.sum_(statistic).div_(self.size)

    def _finish(self, work: Any, tensor: torch.Tensor) -> None:
        """Wait for an exchange; on a GPU only its place in the queue is kept."""
        try:
            while not tensor.is_cuda and not work.is_completed():
                self._check()
                time.sleep(POLL_S)
            work.wait()
        except WorkerLost:
            raise
        except RuntimeError as error:  # what gloo raises when a connection is closed
            raise WorkerLost(f"worker {self.rank} has lost another: {error}") from error

    def settle(self, device: torch.device) -> None:
        """Wait until the device has done what it was given, as reading a result from it would."""
        if self.size == 1 or device.type != "cuda":
            return
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        while not event.query():  # type: ignore[no-untyped-call]
            self._check()
            time.sleep(POLL_S)


ALONE = Workers()
"""A process that trains by itself."""


class SummedGradients:
    """Adds up the gradients of a model over the workers, and with them the losses of a step.

    One exchange a step, in memory that is taken once: many small ones would wait for each other.

    Args:
        model: on its device; which of its weights are trained may change later.
        workers: who takes part.
    """

    def __init__(self, model: nn.Module, workers: Workers) -> None:
        self._workers = workers
        self._model = model
        self._held: list[nn.Parameter] = []
        self._places: list[torch.Tensor] = []
        self._flat = torch.empty(0)

    @torch.no_grad()
    def __call__(self, loss: torch.Tensor) -> torch.Tensor:
        """Replace each gradient by the sum over the workers; return the sum of ``loss``.

        A weight has a gradient in all workers or in none: they run the same model.
        """
        if self._workers.size == 1:
            return loss
        weights = [weight for weight in self._model.parameters() if weight.grad is not None]
        if len(weights) != len(self._held):  # the first step, or parts are trained from now on
            self._lay_out(weights)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for place, gradient in zip(self._places, gradients, strict=True):
            place.copy_(gradient)
        self._flat[-1] = loss
        self._workers.sum_(self._flat)
        for place, gradient in zip(self._places, gradients, strict=True):
            gradient.copy_(place)
        return self._flat[-1].clone()

    def _lay_out(self, weights: list[nn.Parameter]) -> None:
        sizes = [weight.numel() for weight in weights]
        self._held = weights
        self._flat = torch.zeros(sum(sizes) + 1, device=weights[0].device)
        self._places = [
            place.view(weight.shape)
            for place, weight in zip(torch.split(self._flat[:-1], sizes), weights, strict=True)
        ]


def _packed(value: object) -> torch.Tensor:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)


def _unpacked(packed: torch.Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), map_location="cpu", weights_only=True)
