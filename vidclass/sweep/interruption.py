"""Ctrl-C and SIGTERM: one ends a study in good order, a second one at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["interruptible", "raise_if_interrupted"]

_INTERRUPTED = threading.Event()


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt where one was raised already and got lost.

    Python runs a signal's handler wherever the main thread happens to be. Inside a destructor, or a
    callback of native code, the exception is printed and dropped, and the study would go on.
    """
    if _INTERRUPTED.is_set() and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into KeyboardInterrupt, the second into leaving at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread; a notebook's kernel handles them itself
        return
    _INTERRUPTED.clear()

    def handler(number: int, frame: FrameType | None) -> None:
        if _INTERRUPTED.is_set():
            os._exit(130)
        _INTERRUPTED.set()
        raise KeyboardInterrupt

    kept = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _INTERRUPTED.clear()
        for number, old in kept.items():
            signal.signal(number, old)
