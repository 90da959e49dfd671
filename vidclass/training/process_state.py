"""What a training sets in its process, put back afterwards, and what it uses of the machine.

Trials run one after the other in threads of a process that lives on; each must find the same
state, whatever ran before it.
"""

import ctypes
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

__all__ = ["CpuMeter", "memory_gib", "process_state"]

GIB = 2**30
SMAPS = Path("/proc/self/smaps_rollup")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@contextmanager
def process_state(device: torch.device, num_threads: int) -> Iterator[None]:
    """Set threads, random state, gradient mode, default type and cuDNN's flags; restore them.

    cuDNN is held to deterministic algorithms: two runs of one seed must not differ. One thing
    stays as it is set, since it changes no result: malloc keeps freed memory.
    """
    _keep_freed_memory()
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    devices = [device] if device.type == "cuda" else []
    torch.set_num_threads(num_threads)
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.random.fork_rng(devices),
            torch.enable_grad(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees, up to a GiB, for the next step.

    It would hand it back and fault it in again at every step: 250,000 page faults and a fifth of
    the time of an epoch of a small model.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # not every C library has it
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**30)
        mallopt(M_MMAP_THRESHOLD, 32 * 2**20)  # the largest that glibc takes


def memory_gib(device: torch.device) -> float:
    """Return the memory in use: the device's peak, or this process's own pages on a CPU.

    Mapped frames are shared between trials and don't count, so on Linux it is the anonymous part.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    if SMAPS.exists():
        for line in SMAPS.read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024 / GIB
    return psutil.Process().memory_info().rss / GIB


class CpuMeter:
    """CPU time of this process over wall time since the last reading, in percent of one core."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def percent(self) -> float:
        """Return the share since the last call."""
        wall, cpu = time.perf_counter(), time.process_time()
        share = 100.0 * (cpu - self._cpu) / max(wall - self._wall, 1e-9)
        self._wall, self._cpu = wall, cpu
        return share
