"""Decoding in a process of its own, for a file that crashed or stalled its first reader.

Run as ``python -m vidclass.data.isolated PATH CHOICE_JSON OUTPUT``: raw frames go to OUTPUT, what
was decoded goes to standard output as JSON.
"""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

from vidclass.child import child_environment, module_command
from vidclass.data.decode import decode_video
from vidclass.data.decoded import Decoded, DecodeError, ProbeResult
from vidclass.data.frame_choice import FrameChoice

__all__ = ["decode_isolated"]


def decode_isolated(path: Path, choice: FrameChoice, output: Path, timeout_s: float) -> Decoded:
    """Decode ``path`` with PyAV in a child process; its frames are then the bytes of ``output``.

    Raises:
        DecodeError: with the reason; also when the child crashes or takes longer than
            ``timeout_s`` seconds.
    """
    arguments = [str(path), json.dumps(dataclasses.asdict(choice)), str(output)]
    try:
        child = subprocess.run(
            [*module_command("vidclass.data.isolated"), *arguments],
            capture_output=True,
            timeout=timeout_s,
            env=child_environment(),
        )
    except subprocess.TimeoutExpired as error:
        raise DecodeError(f"the decoder took longer than {timeout_s:.0f} s") from error
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise DecodeError(f"the decoder crashed ({name})")
    if child.returncode:
        last = child.stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise DecodeError(f"the decoder failed: {last}")
    answer = json.loads(child.stdout)
    if "reason" in answer:
        raise DecodeError(answer["reason"])
    facts = {"probe": ProbeResult(**answer["probe"]), "reader": f"{answer['reader']}, apart"}
    return Decoded(**{**answer, **facts})


def main(path: str, choice: str, output: str) -> None:
    """Decode one file and print what it was, or the reason why it could not be."""
    with Path(output).open("wb") as file:
        try:
            decoded = decode_video(
                Path(path),
                FrameChoice(**json.loads(choice)),
                begin=lambda *_: (file.seek(0), file.truncate()),
                write=lambda frames: file.write(frames.tobytes()),
                only_pyav=True,
            )
        except DecodeError as error:
            print(json.dumps({"reason": error.reason}))
            return
    print(json.dumps(dataclasses.asdict(decoded)))


if __name__ == "__main__":
    main(*sys.argv[1:])
