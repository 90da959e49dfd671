"""Writing the shards of a frame store: one job decodes a list of videos into shard files.

A shard and its rows appear by renaming, so that a crash leaves nothing half visible, and what a
finished shard holds is never decoded again. A video that kills or stalls its process is decoded
apart on the next attempt (see :mod:`vidclass.data.suspects`), so that no file can stop a build.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from vidclass.data.decode import DecodeError, decode_video
from vidclass.data.decoded import Decoded, Frames
from vidclass.data.frame_changes import FrameChanges
from vidclass.data.frame_choice import FrameChoice
from vidclass.data.frame_store import INDEX_COLUMNS, StoreOptions, torn_shards
from vidclass.data.isolated import decode_isolated
from vidclass.data.jpeg import encode_frame, offset_table
from vidclass.data.manifest import PROBE_COLUMNS, STATUS_OK, STATUS_QUARANTINED
from vidclass.data.node_cache import node_copy
from vidclass.data.suspects import Journal, Watchdog
from vidclass.disk import is_full_disk
from vidclass.home import write_aside

__all__ = [
    "NO_SPACE",
    "SHARD_BYTES",
    "Job",
    "Source",
    "decode_job",
    "finished_rows",
    "remove_leftovers",
]

SHARD_BYTES = 256 * 2**20
FLUSH_BYTES = 32 * 2**20  # what is written while decoding goes on is not waited for at the end
STALL_S = 300.0  # a chunk of 64 MB takes seconds; a decoder silent for this long has hung
NO_SPACE = "no space"  # status of a row that says that the disk is full

_TEXT_COLUMNS = ("video_id", "shard", "status", "reason", "reader")


@dataclass(frozen=True)
class Source:
    """A video to decode: its file, and the part of it where that is not the whole."""

    video_id: str
    path: str
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class Job:
    """A list of videos that one process decodes."""

    folder: Path
    videos: Sequence[Source]
    options: StoreOptions
    shard_bytes: int = SHARD_BYTES
    stall_s: float = STALL_S
    journal: Path | None = None
    """Where it is noted which video is in hand, where other nodes than this must see it."""

    @property
    def name(self) -> str:
        """The same for the same videos, so that a second attempt replaces, never duplicates."""
        ids = "\0".join(video.video_id for video in self.videos)
        return hashlib.sha256(ids.encode()).hexdigest()[:16]


def decode_job(job: Job) -> pd.DataFrame:
    """Decode the videos of ``job`` into shards.

    Returns:
        One row a video: ``INDEX_COLUMNS``, the probe's columns with the prefix ``file_``,
        ``status``, ``reason`` and ``reader``. A single row with status ``NO_SPACE`` where the disk
        is full.
    """
    job.folder.mkdir(parents=True, exist_ok=True)  # a node with a depot begins without it
    journal = Journal(job.journal or job.folder, job.name)
    watchdog = Watchdog(job.stall_s)
    writer = _ShardWriter(job, watchdog.alive)
    # of an attempt whose node died after it had written them
    writer.written = _written_before(job)
    done = {name for table in writer.written for name in table["video_id"]}
    try:
        with watchdog, writer:
            for video in job.videos:
                if video.video_id in done:
                    continue
                choice = job.options.choice(video.start_s, video.end_s)
                watchdog.alive()
                try:
                    if video.video_id in journal.suspects:
                        decoded = _decode_suspect(Path(video.path), choice, writer, job, watchdog)
                    else:
                        journal.starts(video.video_id)
                        decoded = decode_video(
                            Path(video.path), choice, begin=writer.begin, write=writer.write
                        )
                except DecodeError as error:
                    writer.quarantine(video.video_id, error.reason)
                else:
                    writer.end(video.video_id, decoded)
    except OSError as error:
        if not is_full_disk(error):
            raise
        first = job.videos[0].video_id
        return _table([{"video_id": first, "status": NO_SPACE, "reason": str(error.strerror)}])
    journal.close()
    return pd.concat(writer.written, ignore_index=True)


def finished_rows(folder: Path) -> pd.DataFrame:
    """Return the rows of all whole shards in ``folder``, one a video.

    Shards whose file is absent or torn are left out, so that their videos are decoded again.
    """
    copy = node_copy(folder)
    if copy is None:
        names = [path.name for path in folder.glob("shard-*.parquet")]
    else:
        names = [name for name in copy.sizes() if fnmatch(name, "shard-*.parquet")]
        copy.bring(names)
    parts = [pd.read_parquet(folder / name) for name in sorted(names)]
    rows = pd.concat([_table([]), *parts], ignore_index=True)
    rows = rows.drop_duplicates("video_id", ignore_index=True)
    stored = rows[rows["shard"].notna()]
    torn = torn_shards(folder, stored)
    return rows[~rows["shard"].isin(list(torn))].reset_index(drop=True)


def _written_before(job: Job) -> list[pd.DataFrame]:
    """Return the tables of the job's whole shards, up to the first that is not there."""
    copy = node_copy(job.folder)
    tables: list[pd.DataFrame] = []
    while True:
        path = job.folder / f"shard-{job.name}-{len(tables):03d}.parquet"
        if not (path.exists() if copy is None else copy.bring([path.name])):
            return tables
        table = pd.read_parquet(path)
        if torn_shards(job.folder, table[table["shard"].notna()]):
            return tables
        tables.append(table)


def remove_leftovers(folder: Path, shards: Sequence[str]) -> None:
    """Remove what crashed jobs left: files aside, journals, shards that are not in ``shards``."""
    for pattern in (".*.aside", "*.current", "*.suspects", "*.isolated"):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
    for file in folder.glob("shard-*"):
        if file.suffix != ".parquet" and file.name not in set(shards):
            file.unlink(missing_ok=True)


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = [
        *INDEX_COLUMNS,
        *(f"file_{name}" for name in PROBE_COLUMNS),
        "status",
        "reason",
        "reader",
    ]
    table = pd.DataFrame(rows, columns=columns)
    numbers = [name for name in columns if name not in _TEXT_COLUMNS]
    return table.astype(
        {**dict.fromkeys(numbers, "float64"), **dict.fromkeys(_TEXT_COLUMNS, "str")}
    )


def _decode_suspect(
    path: Path, choice: FrameChoice, writer: "_ShardWriter", job: Job, watchdog: Watchdog
) -> Decoded:
    output = job.folder / f"{job.name}.isolated"
    try:
        with watchdog.paused():
            decoded = decode_isolated(path, choice, output, timeout_s=4 * job.stall_s)
        writer.begin(decoded.probe.height, decoded.probe.width)
        frame_bytes = decoded.height * decoded.width * 3
        with output.open("rb") as file:
            while block := file.read(max(1, 2**24 // frame_bytes) * frame_bytes):
                frames = np.frombuffer(block, dtype=np.uint8)
                writer.write(frames.reshape(-1, decoded.height, decoded.width, 3))
    finally:
        output.unlink(missing_ok=True)
    return decoded


class _ShardWriter:
    """Write videos one after the other; start a new shard once one has reached its size.

    Args:
        job: where to, and how.
        alive: called whenever frames are stored.
    """

    def __init__(self, job: Job, alive: Callable[[], None]) -> None:
        self._alive = alive
        self.written: list[pd.DataFrame] = []
        self._job = job
        self._changes = FrameChanges(job.options, self._store, job.folder)
        self._rows: list[dict[str, Any]] = []
        self._stack = ExitStack()
        self._file: IO[bytes] | None = None
        self._video_start = 0
        self._jpeg_sizes: list[int] = []
        self._flusher = ThreadPoolExecutor(1)
        self._flushing: Future[None] | None = None
        self._flushed_until = 0

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._flusher.shutdown()
        if kind is None:
            self._finish_shard()
        else:  # write_aside removes the unfinished file when it is left by an exception
            self._stack.__exit__(kind, *rest)  # type: ignore[arg-type]

    def begin(self, height: int, width: int) -> None:
        """Start a video, or start the same one over: what was written of it is dropped.

        Args:
            height: of the file's upright frames.
            width: of the file's upright frames.
        """
        self._drop()
        self._changes.begin(height, width)

    def write(self, frames: Frames) -> None:
        """Append frames ``[t, H, W, 3]`` of the current video."""
        self._changes.write(frames)

    def end(self, video_id: str, decoded: Decoded) -> None:
        """Finish the video."""
        self._changes.end()
        assert self._file is not None, "a decoded video has a frame"
        if self._job.options.format == "jpeg":
            self._file.write(offset_table(self._jpeg_sizes))
        facts = {f"file_{name}": getattr(decoded.probe, name) for name in PROBE_COLUMNS}
        row = {
            "video_id": video_id,
            "shard": self._shard_name(),
            "offset": self._video_start,
            "T": decoded.num_frames,
            "H": decoded.height,
            "W": decoded.width,
            "fps": decoded.fps,
            "num_bytes": self._file.tell() - self._video_start,
            "status": STATUS_OK,
            "reader": decoded.reader,
        }
        self._rows.append(facts | row)
        self._video_start = self._file.tell()
        self._jpeg_sizes.clear()
        if self._video_start >= self._job.shard_bytes:
            self._finish_shard()

    def quarantine(self, video_id: str, reason: str) -> None:
        """Drop what was written of the video, and keep why."""
        self._drop()
        self._rows.append({"video_id": video_id, "status": STATUS_QUARANTINED, "reason": reason})

    def _drop(self) -> None:
        self._jpeg_sizes.clear()
        if self._file is not None:
            self._file.seek(self._video_start)
            self._file.truncate()

    def _store(self, frames: Frames) -> None:
        """Append changed frames ``[t, H, W, C]`` in the store's format."""
        self._alive()
        if self._file is None:
            aside = self._stack.enter_context(write_aside(self._job.folder / self._shard_name()))
            self._file = self._stack.enter_context(aside.open("wb"))
        if self._job.options.format == "raw":
            self._file.write(np.ascontiguousarray(frames).data)
        else:
            for frame in frames:
                encoded = encode_frame(frame, self._job.options.jpeg_quality)
                self._jpeg_sizes.append(len(encoded))
                self._file.write(encoded)
        self._flush_ahead(self._file)

    def _flush_ahead(self, file: IO[bytes]) -> None:
        """Bring what was written to the disk while the next frames are decoded."""
        idle = self._flushing is None or self._flushing.done()
        if idle and file.tell() - self._flushed_until >= FLUSH_BYTES:
            file.flush()
            self._flushed_until = file.tell()
            self._flushing = self._flusher.submit(os.fsync, file.fileno())

    def _shard_name(self) -> str:
        return f"shard-{self._job.name}-{len(self.written):03d}.{self._job.options.shard_kind}"

    def _finish_shard(self) -> None:
        if not self._rows:
            return
        shard = self._job.folder / self._shard_name()
        if self._flushing is not None:
            self._flushing.result()
            self._flushing = None
        self._stack.close()  # closes, fsyncs and renames the shard; only then its rows appear
        table = _table(self._rows)
        with write_aside(shard.with_suffix(".parquet")) as aside:
            table.to_parquet(aside, index=False)
        copy = node_copy(self._job.folder)
        if copy is not None:  # the rows last, as here: they tell that the shard is whole
            stored = [shard.name] * bool(table["shard"].notna().any())
            copy.push([*stored, shard.with_suffix(".parquet").name])
        self.written.append(table)
        self._rows, self._file, self._video_start, self._flushed_until = [], None, 0, 0
        self._stack = ExitStack()
