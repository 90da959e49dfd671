"""Knowing which video a dead process had in hand, and ending a process whose decoder hangs.

A video that kills or stalls its process is thus known, and decoded apart on the next attempt, so
that no file can stop a build.
"""

import json
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

__all__ = ["Journal", "Watchdog", "collect_suspects"]


def collect_suspects(folder: Path) -> int:
    """Turn the videos that dead jobs had in hand into suspects; return the number of suspects."""
    for current in folder.glob("*.current"):
        _add_suspect(current)
        current.unlink(missing_ok=True)
    return len(_suspects(folder))


def _add_suspect(current: Path) -> None:
    with (current.parent / f"{current.stem}.suspects").open("a") as file:
        file.write(current.read_text().strip() + "\n")


def _suspects(folder: Path) -> set[str]:
    lines: list[str] = []
    for file in folder.glob("*.suspects"):
        lines += file.read_text().splitlines()
    return {json.loads(line) for line in lines if line}


class Journal:
    """Remembers across a crash which video was being decoded, so that it is then decoded apart."""

    def __init__(self, folder: Path, name: str) -> None:
        self._current = folder / f"{name}.current"
        if self._current.exists():  # the attempt before this one died while it had this video
            _add_suspect(self._current)
        self.suspects = _suspects(folder)
        self._handle = os.open(self._current, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._width = 0

    def starts(self, video_id: str) -> None:
        """Note the video that is decoded now (2 microseconds: it stays in the page cache)."""
        line = json.dumps(video_id).encode()  # one line, whatever is in the name
        self._width = max(self._width, len(line))
        os.pwrite(self._handle, line.ljust(self._width), 0)

    def close(self) -> None:
        """Forget everything: the job is done."""
        os.close(self._handle)
        self._current.unlink(missing_ok=True)


class Watchdog:
    """End the process when the decoder is silent for too long; the next attempt knows the video.

    A thread can't stop native code that hangs; ending the process can, and Ray starts another.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._last = time.monotonic()
        self._done = threading.Event()
        self._paused = False

    def __enter__(self) -> "Watchdog":
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def alive(self) -> None:
        """Say that the decoder has just done something."""
        self._last = time.monotonic()

    def paused(self) -> ExitStack:
        """Return a context in which silence is allowed."""
        self._paused = True
        stack = ExitStack()
        stack.callback(self._resume)
        return stack

    def _resume(self) -> None:
        self._last = time.monotonic()
        self._paused = False

    def _watch(self) -> None:
        while not self._done.wait(min(1.0, self._stall_s / 4)):
            if not self._paused and time.monotonic() - self._last > self._stall_s:
                os._exit(70)
