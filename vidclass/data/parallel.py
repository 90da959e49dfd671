"""The same work for each of many files, over all CPUs of a Ray cluster, one task a file.

A file that kills its process (decoders are native code) costs one worker, not the run: it is tried
once more by itself, and then named. A file over which a decoder hangs ends its worker likewise.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["STALL_S", "Died", "for_each_file", "ray_address"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

STALL_S = 1800.0
"""Longest time for one file; hours of video decode in less."""
QUEUED_PER_CPU = 2  # so that no worker waits for the driver
ATTEMPTS = 2
_HUNG = 70  # exit status of a worker that ended itself


@dataclass(frozen=True)
class Died:
    """The process that had a file in hand died, twice."""

    reason: str


def for_each_file(
    work: Callable[[Item], Answer],
    items: Sequence[Item],
    *,
    stall_s: float = STALL_S,
) -> Iterator[tuple[int, Answer | Died]]:
    """Yield (place in ``items``, what ``work`` returned), in the order in which they are done.

    Ray is started when it is not running yet, and left running; without items it is not started.

    Args:
        work: a function that every node can import; it tells what is wrong with a file in its
            answer. An exception ends the run.
        items: what to call it with.
        stall_s: seconds after which a file counts as one that hangs.
    """
    if not items:
        return
    ray = _started()
    task = ray.remote(num_cpus=1, max_retries=0)(_guarded)
    slots = max(1, int(ray.cluster_resources().get("CPU", 1))) * QUEUED_PER_CPU
    waiting = [(place, 1) for place in reversed(range(len(items)))]
    running: dict[Any, tuple[int, int]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < slots:
                place, attempt = waiting.pop()
                running[task.remote(work, items[place], stall_s)] = (place, attempt)
            done, _ = ray.wait(list(running), num_returns=1)
            for reference in done:
                place, attempt = running.pop(reference)
                try:
                    yield place, ray.get(reference)
                except (
                    ray.exceptions.WorkerCrashedError,
                    ray.exceptions.OutOfMemoryError,
                    ray.exceptions.NodeDiedError,
                ) as error:
                    if attempt < ATTEMPTS:
                        waiting.append((place, attempt + 1))
                    else:
                        yield place, Died(_reason(error, stall_s))
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def ray_address() -> str | None:
    """Return what ``ray.init`` is told: the cluster of RAY_ADDRESS (None), or one of its own.

    Told nothing, Ray joins whatever was last started on this machine: somebody else's, with another
    token, or one that is gone, for which it waits for minutes.
    """
    return None if "RAY_ADDRESS" in os.environ else "local"


def _started() -> Any:
    """Return Ray, started quietly where it is not running."""
    import ray

    if not ray.is_initialized():
        ray.init(
            ray_address(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    return ray


def _guarded(work: Callable[[Item], Answer], item: Item, stall_s: float) -> Answer:
    """Call ``work``, ending this process when it takes too long: native code can't be stopped."""
    watchdog = threading.Timer(stall_s, os._exit, [_HUNG])
    watchdog.daemon = True
    watchdog.start()
    try:
        return work(item)
    finally:
        watchdog.cancel()


def _reason(error: Exception, stall_s: float) -> str:
    if "OutOfMemory" in type(error).__name__:
        return "the decoder needs more memory than there is"
    return f"the decoder crashed, or took longer than {stall_s:.0f} s"
