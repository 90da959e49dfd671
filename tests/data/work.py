"""Work that a test gives to Ray's processes; they import it by name."""

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    """Return the square."""
    return number * number


def die_of(path: str) -> str:
    """Kill this process, as a decoder may, where the file says so; else return its text."""
    text = Path(path).read_text()
    if text == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if text == "hang":
        time.sleep(600)
    if text == "once":  # a lost node: the second attempt is good
        Path(path).write_text("twice")
        os.kill(os.getpid(), signal.SIGKILL)
    return text


def fail(number: int) -> int:
    """Raise an error of our own."""
    raise RuntimeError(f"not good: {number}")
