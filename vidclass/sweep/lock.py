"""One driver a study: a second one is refused and told who the first is."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["driver_lock", "driver_of"]

_WHO = "driver.lock"


@contextmanager
def driver_lock(folder: Path) -> Iterator[None]:
    """Hold the study in ``folder``; a killed driver's hold ends with its process.

    Raises:
        UserError: when another driver holds it.
    """
    lock = FileLock(folder / f"{_WHO}.held")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            "a study has one driver at a time",
            driver_of(folder) or "another process holds it",
            "wait for it, or end it with `vidclass sweep stop STUDY`",
        ) from None
    who = {"host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
    with write_aside(folder / _WHO) as aside:
        aside.write_text(json.dumps(who), encoding="utf-8")
    try:
        yield
    finally:
        (folder / _WHO).unlink(missing_ok=True)
        lock.release()


def driver_of(folder: Path) -> dict[str, object] | None:
    """Return host, pid and start time of the driver that holds ``folder``, or None."""
    if not (folder / _WHO).exists():
        return None
    lock = FileLock(folder / f"{_WHO}.held")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who: dict[str, object] = json.loads((folder / _WHO).read_text(encoding="utf-8"))
        return who
    lock.release()
    return None
