"""Writing the shards of a frame store: one job decodes a list of videos into shard files.

A shard and its rows appear by renaming, so that a crash leaves nothing half visible, and what a
finished shard holds is never decoded again. A video that kills or stalls its process is decoded
apart on the next attempt (see :class:`_Journal`), so that no file can stop a build.
"""

import errno
import hashlib
import os
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from vidclass.data.decode import Decoded, DecodeError, FrameChoice, Frames, decode_video
from vidclass.data.frame_store import INDEX_COLUMNS, StoreOptions, torn_shards
from vidclass.data.isolated import decode_isolated
from vidclass.data.manifest import PROBE_COLUMNS, STATUS_OK, STATUS_QUARANTINED
from vidclass.home import write_aside

__all__ = [
    "NO_SPACE",
    "SHARD_BYTES",
    "Job",
    "collect_suspects",
    "decode_job",
    "finished_rows",
    "remove_leftovers",
]

SHARD_BYTES = 256 * 2**20
STALL_S = 300.0  # a chunk of 64 MB takes seconds; a decoder silent for this long has hung
NO_SPACE = "no space"  # status of a row that says that the disk is full

_TEXT_COLUMNS = ("video_id", "shard", "status", "reason")


@dataclass(frozen=True)
class Job:
    """A list of videos that one process decodes."""

    folder: Path
    video_ids: Sequence[str]
    paths: Sequence[str]
    options: StoreOptions
    shard_bytes: int = SHARD_BYTES
    stall_s: float = STALL_S

    @property
    def name(self) -> str:
        """The same for the same videos, so that a second attempt replaces, never duplicates."""
        return hashlib.sha256("\0".join(self.video_ids).encode()).hexdigest()[:16]


def decode_job(job: Job) -> pd.DataFrame:
    """Decode the videos of ``job`` into shards.

    Returns:
        One row a video: ``INDEX_COLUMNS``, the probe's columns with the prefix ``file_``,
        ``status`` and ``reason``. A single row with status ``NO_SPACE`` where the disk is full.
    """
    journal = _Journal(job.folder, job.name)
    choice = FrameChoice(**job.options.model_dump())
    writer = _ShardWriter(job.folder, job.name, job.shard_bytes)
    watchdog = _Watchdog(job.stall_s)

    def write(frames: Frames) -> None:
        watchdog.alive()
        writer.write(frames)

    try:
        with watchdog, writer:
            for video_id, path in zip(job.video_ids, job.paths, strict=True):
                writer.begin()
                watchdog.alive()
                try:
                    if video_id in journal.suspects:
                        decoded = _decode_suspect(Path(path), choice, writer, job, watchdog)
                    else:
                        journal.starts(video_id)
                        decoded = decode_video(Path(path), choice, begin=writer.begin, write=write)
                except DecodeError as error:
                    writer.begin()
                    writer.end(video_id, None, error.reason)
                else:
                    writer.end(video_id, decoded, None)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _table([{"video_id": job.video_ids[0], "status": NO_SPACE, "reason": str(error)}])
    journal.close()
    return pd.concat(writer.written, ignore_index=True)


def finished_rows(folder: Path) -> pd.DataFrame:
    """Return the rows of all whole shards in ``folder``, one a video.

    Shards whose file is absent or torn are left out, so that their videos are decoded again.
    """
    parts = [pd.read_parquet(part) for part in sorted(folder.glob("shard-*.parquet"))]
    if not parts:
        return _table([])
    rows = pd.concat(parts, ignore_index=True).drop_duplicates("video_id", ignore_index=True)
    stored = rows[rows["shard"].notna()]
    torn = torn_shards(folder, stored)
    return rows[~rows["shard"].isin(list(torn))].reset_index(drop=True)


def remove_leftovers(folder: Path, shards: Sequence[str]) -> None:
    """Remove what crashed jobs left: files aside, journals, shards that are not in ``shards``."""
    for pattern in (".*.aside", "*.current", "*.suspects", "*.isolated"):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
    for file in folder.glob("shard-*.rgb"):
        if file.name not in set(shards):
            file.unlink(missing_ok=True)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = [*INDEX_COLUMNS, *(f"file_{name}" for name in PROBE_COLUMNS), "status", "reason"]
    table = pd.DataFrame(rows, columns=columns)
    numbers = [name for name in columns if name not in _TEXT_COLUMNS]
    return table.astype(
        {**dict.fromkeys(numbers, "float64"), **dict.fromkeys(_TEXT_COLUMNS, "str")}
    )


def _decode_suspect(
    path: Path, choice: FrameChoice, writer: "_ShardWriter", job: Job, watchdog: "_Watchdog"
) -> Decoded:
    output = job.folder / f"{job.name}.isolated"
    with watchdog.paused():
        decoded = decode_isolated(path, choice, output, timeout_s=4 * job.stall_s)
    with output.open("rb") as file:
        while block := file.read(2**24):
            writer.write_bytes(block)
    output.unlink()
    return decoded


class _ShardWriter:
    """Write videos one after the other; start a new shard once one has reached its size."""

    def __init__(self, folder: Path, name: str, shard_bytes: int) -> None:
        self.folder = folder
        self.name = name
        self.shard_bytes = shard_bytes
        self.written: list[pd.DataFrame] = []
        self._rows: list[dict[str, Any]] = []
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None
        self._video_start = 0

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._finish_shard()
        else:  # write_aside removes the unfinished file when it is left by an exception
            self._stack.__exit__(kind, *rest)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Start a video, or start the same one over: what was written of it is dropped."""
        if self._file is not None:
            self._file.seek(self._video_start)
            self._file.truncate()

    def write(self, frames: Frames) -> None:
        """Append frames ``[t, H, W, 3]`` of the current video."""
        self.write_bytes(np.ascontiguousarray(frames).data)

    def write_bytes(self, block: bytes | memoryview) -> None:
        """Append raw bytes of the current video."""
        if self._file is None:
            aside = self._stack.enter_context(write_aside(self.folder / self._shard_name()))
            self._file = self._stack.enter_context(aside.open("wb"))
        self._file.write(block)

    def end(self, video_id: str, decoded: Decoded | None, reason: str | None) -> None:
        """Finish the video; ``decoded`` is None for a quarantined one."""
        row: dict[str, Any] = {"video_id": video_id, "status": STATUS_QUARANTINED, "reason": reason}
        if decoded is not None:
            facts = {f"file_{name}": getattr(decoded.probe, name) for name in PROBE_COLUMNS}
            row |= facts | {
                "status": STATUS_OK,
                "shard": self._shard_name(),
                "offset": self._video_start,
                "T": decoded.num_frames,
                "H": decoded.height,
                "W": decoded.width,
                "fps": decoded.fps,
            }
        self._rows.append(row)
        if self._file is not None:
            self._video_start = self._file.tell()
            if self._video_start >= self.shard_bytes:
                self._finish_shard()

    def _shard_name(self) -> str:
        return f"shard-{self.name}-{len(self.written):03d}.rgb"

    def _finish_shard(self) -> None:
        if not self._rows:
            return
        shard = self.folder / self._shard_name()
        self._stack.close()  # closes, fsyncs and renames the shard; only then its rows appear
        table = _table(self._rows)
        with write_aside(shard.with_suffix(".parquet")) as aside:
            table.to_parquet(aside, index=False)
        self.written.append(table)
        self._rows, self._file, self._video_start = [], None, 0
        self._stack = ExitStack()


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
    return {line for line in lines if line}


class _Journal:
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
        line = video_id.encode()
        self._width = max(self._width, len(line))
        os.pwrite(self._handle, line.ljust(self._width), 0)

    def close(self) -> None:
        """Forget everything: the job is done."""
        os.close(self._handle)
        self._current.unlink(missing_ok=True)


class _Watchdog:
    """End the process when the decoder is silent for too long; the next attempt knows the video.

    A thread can't stop native code that hangs; ending the process can, and Ray starts another.
    """

    def __init__(self, stall_s: float) -> None:
        self._stall_s = stall_s
        self._last = time.monotonic()
        self._done = threading.Event()
        self._paused = False

    def __enter__(self) -> "_Watchdog":
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
