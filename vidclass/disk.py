"""Room on the disk: one check and one message for all that vidclass makes."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidclass.errors import UserError

__all__ = [
    "FULL_DISK_ERRORS",
    "check_space",
    "disk_errors_for_users",
    "has_no_room",
    "is_full_disk",
    "no_space",
]

FULL_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)
"""The disk is full, or the user's share of it."""
LEAST_ROOM_BYTES = 2**20


def no_space(what: str, folder: Path, received: str, *, or_else: str = "") -> UserError:
    """Return the mistake that the disk is too small for ``what``.

    Args:
        what: what needs the room.
        folder: where it was to be.
        received: what is needed and what is there.
        or_else: a further way out, after those that always help.
    """
    return UserError(
        f"the disk has room for {what}",
        f"{received} in {folder}",
        "free some space (`vidclass clean` shows what can go), or set VIDCLASS_HOME to a folder on "
        f"a larger disk{f', or {or_else}' if or_else else ''}; the next run goes on from what is "
        "finished",
    )


def check_space(what: str, folder: Path, needed_bytes: float, *, or_else: str = "") -> None:
    """Refuse to begin what will not fit.

    Raises:
        UserError: when fewer than ``needed_bytes`` are free where ``folder`` lies.
    """
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        received = f"{_told(needed_bytes)} needed, {_told(free_bytes)} free"
        raise no_space(what, folder, received, or_else=or_else)


def is_full_disk(error: OSError) -> bool:
    """Say whether an error means that the disk, or the user's share of it, is full."""
    return error.errno in FULL_DISK_ERRORS


def has_no_room(folder: Path) -> bool:
    """Say whether the disk of ``folder`` is as good as full, where an error does not tell why."""
    return shutil.disk_usage(folder).free < LEAST_ROOM_BYTES


@contextmanager
def disk_errors_for_users(what: str, folder: Path) -> Iterator[None]:
    """Turn the error of a disk that fills up meanwhile into the message for users.

    Raises:
        UserError: when the disk is full.
    """
    try:
        yield
    except OSError as error:
        if is_full_disk(error):
            raise no_space(what, folder, os.strerror(error.errno or 0)) from error
        raise


def _told(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"
