"""How the workers of a trial come together, train, and part; the others sit in ``seats``."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import ray
import torch
import torch.distributed as dist
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError
from torch._C._distributed_c10d import TCPStore

from vidclass.data.sampling import ClipDataset
from vidclass.home import home as home_folder
from vidclass.home import studies_folder
from vidclass.plugins import load_plugin
from vidclass.sweep.job import Join, alone, follow_job
from vidclass.sweep.nodes import own_refusal
from vidclass.sweep.output import output_to
from vidclass.sweep.seats import Seats, address
from vidclass.training.workers import WorkerLost, Workers

if TYPE_CHECKING:
    from vidclass.data.streaming import GivenStream, SplitStream

__all__ = ["Follower", "company"]

START_S = 300
"""How long the others may take to be there."""
EXCHANGE_LIMIT = timedelta(days=1)
"""How long one may wait for the others; that they live is seen otherwise."""
CHECK_S = 0.5
"""How often a waiting first worker asks whether the others live."""
FAREWELL_S = 5.0
"""How long the others may take to leave a training that has ended."""
VERDICT_S = 60.0
"""How long Ray may take to say how a worker was lost; that of a machine takes it half a minute."""

Config = dict[str, Any]
"""What Tune gives a trial: its job, the home folder, and what nodes must have."""


class Follower:
    """What a further worker does, training by training."""

    def __init__(self) -> None:
        self._stream: GivenStream | None = None

    def follow(
        self, config: Config, rank: int, meet_at: tuple[str, int], backend: str
    ) -> tuple[str, str]:
        """Train as worker ``rank`` of the trial of ``config``; return how it ended and why."""
        job = config["job"]
        root = Path(config["home"]) if config["home"] else home_folder()
        if config["home"] is None:
            refusal = own_refusal(config["code"], config["seen"], root, job["study"])
            if refusal is not None:
                return "refused", str(refusal)
        size = job["workers"]
        self._stream = _given_stream(rank, size) if job["stream"] else None
        log = studies_folder(root) / job["study"] / "logs" / f"{job['trial']}.worker{rank}.log"
        with output_to(log):
            for plugin in job["plugins"]:
                load_plugin(plugin)
            store = TCPStore(*meet_at, size, is_master=False)
            try:
                with _member(store, rank, size, backend):
                    stream = self._stream
                    opened = None if stream is None else lambda train, valid: stream
                    follow_job(job, root, Workers(rank, size, open_stream=opened))
            except WorkerLost as lost:
                return "left", str(lost)
            except torch.OutOfMemoryError as error:
                return "out_of_memory", f"worker {rank}: {str(error).splitlines()[0]}"
        return "completed", ""

    def give(self, iterator: Any) -> None:
        """Take what brings the clips of the next pass, while :meth:`follow` runs."""
        assert self._stream is not None, "only trials that stream are given clips"
        self._stream.give(iterator)


def _given_stream(rank: int, size: int) -> "GivenStream":
    from vidclass.data.streaming import GivenStream  # Ray Data takes seconds to import

    return GivenStream(rank, size)


@contextmanager
def company(config: Config, seats: Seats | None) -> Iterator[Join]:
    """Yield how to join the further workers of a trial, which are starting meanwhile."""
    if seats is None:
        yield alone
        return
    others = _Others(config, seats)
    try:
        yield others.joined
    finally:
        others.part()


class _Others:
    """The workers of one trial after the first."""

    def __init__(self, config: Config, seats: Seats) -> None:
        self._config, self._job, self._seats = config, config["job"], seats
        self._at_work: list[Any] = []
        self._next_check = 0.0

    @contextmanager
    def joined(self) -> Iterator[Workers]:
        """Be the first worker while the others train with it."""
        try:
            ray.get(self._seats.there, timeout=START_S)
        except RayActorError as gone:
            raise self._cause(self._seats.there) or gone from None
        size, here = self._job["workers"], address()
        store = TCPStore(here, 0, size, is_master=True, wait_for_workers=False)
        # NCCL wants a whole GPU for each worker; parts of one exchange through the CPU.
        whole = torch.cuda.is_available() and self._seats.bundle.get("GPU", 0) >= 1
        backend = "cpu:gloo,cuda:nccl" if whole else "gloo"
        self._at_work = [
            actor.follow.remote(self._config, rank, (here, store.port), backend)
            for rank, actor in enumerate(self._seats.actors, start=1)
        ]
        try:
            with _member(store, 0, size, backend):
                opened = self._open_stream if self._job["stream"] else None
                yield Workers(0, size, open_stream=opened, check=self._check)
        except WorkerLost as lost:
            raise self._cause(self._at_work) or lost from None
        ray.get(self._at_work, timeout=VERDICT_S)

    def part(self) -> None:
        """Let the others go to the next trial if they have left this one well, else end them."""
        done, late = ray.wait(
            self._at_work or self._seats.there,
            num_returns=len(self._seats.actors),
            timeout=FAREWELL_S,
        )
        if late or any(_failure(ref) for ref in done):
            self._seats.end()
        else:
            self._seats.keep()

    def _open_stream(self, train: ClipDataset, valid: ClipDataset) -> "SplitStream":
        from vidclass.data.streaming import SplitStream  # Ray Data takes seconds to import

        return SplitStream(train, valid, [actor.give.remote for actor in self._seats.actors])

    def _check(self) -> None:
        """Raise when one of the others has died or failed."""
        if time.monotonic() < self._next_check:
            return
        self._next_check = time.monotonic() + CHECK_S
        for ref in ray.wait(self._at_work, num_returns=len(self._at_work), timeout=0)[0]:
            if _failure(ref) is not None:
                raise WorkerLost("a worker has ended before the training")

    def _cause(self, asked: list[Any]) -> Exception | None:
        """Return what ended the first of the others that did not merely follow; None if none.

        Args:
            asked: what each of them was last asked to do.
        """
        left = list(asked)
        until = time.monotonic() + VERDICT_S
        while left and time.monotonic() < until:
            done, left = ray.wait(left, timeout=max(0.0, until - time.monotonic()))
            for ref in done:
                failure = _failure(ref, self._seats.actors[asked.index(ref)])
                if failure is not None:
                    return failure
        return None


def _failure(ref: Any, actor: Any = None) -> Exception | None:
    """Return why a finished worker ended, unless it completed, or left because another did.

    Args:
        ref: of its work.
        actor: the worker, to be asked again where Ray does not know yet if its node went away.
    """
    try:
        answer = ray.get(ref)
    except RayActorError as error:
        told = error if actor is None else _last_word(actor, error)
        return RuntimeError(f"a worker died: {' '.join(str(told).split())}")
    except RayTaskError as error:
        last = str(error).strip().splitlines()[-1]
        return RuntimeError(f"a worker failed: {last}")
    if isinstance(answer, tuple) and answer[0] == "out_of_memory":
        return torch.OutOfMemoryError(answer[1])
    if isinstance(answer, tuple) and answer[0] == "refused":
        return RuntimeError(f"a worker was refused: {answer[1]}")
    return None


def _last_word(actor: Any, error: RayActorError) -> RayActorError:
    """Return what Ray says of a dead worker once it knows: of a lost node it knows later."""
    until = time.monotonic() + VERDICT_S
    while isinstance(error, ActorUnavailableError) and time.monotonic() < until:
        time.sleep(CHECK_S)
        try:
            ray.get(actor.place.remote(), timeout=VERDICT_S)
        except RayActorError as later:
            error = later
        except GetTimeoutError:
            continue
        else:
            break  # it is there again: only the call was lost
    return error


@contextmanager
def _member(store: Any, rank: int, size: int, backend: str) -> Iterator[None]:
    """Be process ``rank`` of the default group; hanging up at the end tells the others."""
    _name_interface()
    dist.init_process_group(
        backend, store=store, rank=rank, world_size=size, timeout=EXCHANGE_LIMIT
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def _name_interface() -> None:
    """Have gloo and NCCL use the address by which Ray knows this machine.

    Left to themselves they ask for the host's name, which often is that of the loopback.
    """
    for name, addresses in psutil.net_if_addrs().items():
        if any(found.address == address() for found in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", name)
