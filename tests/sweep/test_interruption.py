"""A signal whose exception got lost is raised again; the second signal leaves at once."""

import os
import signal
import subprocess
import sys

import pytest

from vidclass.sweep.interruption import interruptible, raise_if_interrupted


class Dropping:
    """Its destructor takes the signal, and Python drops what is raised in one."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_lost_interruption_is_raised_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        raise_if_interrupted()
        thing = Dropping()
        del thing
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGTERM) == before
    raise_if_interrupted()


TWICE = """
import os, signal
from vidclass.sweep.interruption import interruptible
with interruptible():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGINT)
"""


def test_the_second_signal_leaves_at_once() -> None:
    assert subprocess.run([sys.executable, "-c", TWICE], timeout=60).returncode == 130
