"""A process that makes clips of moving_shapes, asked over pipes.

Run as ``python -m vidclass.data.synthetic_maker PRESET_JSON SEED FOLDER``: each line of standard
input is a list of clips, each line of standard output says how many were made, or what went wrong.

A pipe and not a pool of Python's: the process ends by itself when its parent is killed, Ctrl-C does
not reach it, and it leaves no semaphore that another process would have to clean up and tell of.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidclass.child import child_environment, module_command
from vidclass.data.synthetic_encode import make_clips
from vidclass.data.synthetic_render import Preset

__all__ = ["ClipMaker", "MakerDied"]


class MakerDied(Exception):
    """The process ended before it had made what it was asked for."""


class ClipMaker:
    """A running process that makes clips of one data set into one folder."""

    def __init__(self, preset: Preset, seed: int, folder: Path) -> None:
        arguments = [json.dumps(asdict(preset)), str(seed), str(folder)]
        self._process = subprocess.Popen(
            [*module_command("vidclass.data.synthetic_maker"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C is for the parent alone
        )

    def make(self, clips: Sequence[tuple[int, str]]) -> int:
        """Make clips ``(index, file name)``; return how many.

        Raises:
            OSError: when a file cannot be written.
            MakerDied: when the process has ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(clips).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise MakerDied from None
        line = self._process.stdout.readline()
        if not line:
            raise MakerDied
        answer = json.loads(line)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        return int(answer["made"])

    def close(self) -> None:
        """End the process and wait for it."""
        self._process.communicate()


def main(preset: str, seed: str, folder: str) -> None:
    """Make what standard input asks for until it ends."""
    fields = {name: _tuple(value) for name, value in json.loads(preset).items()}
    for line in sys.stdin:
        clips = [(index, name) for index, name in json.loads(line)]
        try:
            answer = {"made": make_clips(Preset(**fields), int(seed), clips, Path(folder))}
        except OSError as error:
            answer = {"errno": error.errno or 0}
        try:
            print(json.dumps(answer), flush=True)
        except BrokenPipeError:
            os._exit(1)  # the parent was killed; nobody is left to tell


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


if __name__ == "__main__":
    main(*sys.argv[1:])
