"""Building a frame store with Ray Data: decode tasks over all CPUs, each writing its own shards.

Only index rows travel through Ray; decoded frames go from the decoder straight to the shard file.
A second call finds the store by its key, decodes nothing and does not start Ray.
"""

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from vidclass.data.decode import DECODER_VERSION
from vidclass.data.depot import depot, use_depot
from vidclass.data.fingerprint import with_content_hashes
from vidclass.data.frame_store import (
    INDEX_COLUMNS,
    LAYOUT_VERSION,
    FrameStore,
    StoreOptions,
    is_complete,
    num_bytes,
    store_key,
    write_store,
)
from vidclass.data.manifest import (
    PROBE_COLUMNS,
    STATUS_OK,
    Dataset,
    read_manifest,
    segments,
)
from vidclass.data.node_cache import here
from vidclass.data.parallel import ray_address
from vidclass.data.shards import (
    NO_SPACE,
    SHARD_BYTES,
    Job,
    Source,
    decode_job,
    finished_rows,
    remove_leftovers,
)
from vidclass.data.store_size import store_bytes
from vidclass.data.suspects import collect_suspects
from vidclass.disk import check_space, no_space
from vidclass.errors import UserError
from vidclass.home import store_folder

__all__ = ["ROOM", "Prepared", "Progress", "prepare"]

JOBS_PER_CPU = 8  # so that the last jobs end together, and progress moves
ROOM = ("the frame store", "lower the store's short_side or fps, or use format: jpeg")


@dataclass(frozen=True)
class Progress:
    """How far a stage is. ``seconds_left`` is None until something is done."""

    stage: str
    done: int
    total: int
    videos_per_s: float
    seconds_left: float | None


@dataclass(frozen=True)
class Prepared:
    """A data set whose frames are stored.

    Attributes:
        store: the open store.
        manifest: probed and hashed; quarantined videos keep their reason.
        seconds: what each part took: hash, start, decode, index.
        decoded: videos decoded by this call; 0 when everything was there.
        readers: how many videos of the store each reader decoded, see
            :class:`vidclass.data.decoded.Decoded`.
    """

    store: FrameStore
    manifest: pd.DataFrame
    seconds: dict[str, float]
    decoded: int
    readers: dict[str, int]


def prepare(
    dataset: Dataset,
    options: StoreOptions,
    home: Path,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Prepared:
    """Make sure that the frames of ``dataset`` are stored under ``options``, and open the store.

    Ray is started when it is not running yet and something has to be decoded, and left running.
    After a crash or a kill the same call goes on: what whole shards hold is kept.

    Raises:
        UserError: when the disk has no room for the store.
    """
    clock = _Clock()
    name = hashlib.sha256(str(dataset.root).encode()).hexdigest()[:16]
    report = _Reporter("hash", progress)
    manifest = with_content_hashes(
        dataset.manifest, home / "hashes" / f"{name}.parquet", report.update
    )
    folder = store_folder(home) / store_key(manifest, options)
    clock.lap("hash")
    decoded = 0
    kept = depot()
    if kept is not None:
        kept.check()
    if not is_complete(folder):
        folder.mkdir(parents=True, exist_ok=True)
        journal = folder if kept is None else home / "decoding" / folder.name
        with FileLock(folder / "build.lock"):
            if not is_complete(folder):  # another process may have been first
                decoded = _build(folder, journal, manifest, options, progress, clock)
    store = FrameStore.open(folder)
    facts = read_manifest(folder / "manifest.parquet").set_index("video_id")
    facts = facts.loc[manifest["video_id"]].reset_index()
    for column in (*PROBE_COLUMNS, "status", "reason"):
        manifest[column] = facts[column].to_numpy()
    return Prepared(store, manifest, clock.seconds, decoded, store.about.get("readers", {}))


def _build(
    folder: Path,
    journal: Path,
    manifest: pd.DataFrame,
    options: StoreOptions,
    progress: Callable[[Progress], None],
    clock: "_Clock",
) -> int:
    """Decode what is missing, then write index and manifest; return the number decoded."""
    rows = finished_rows(folder)
    remove_leftovers(folder, rows["shard"].tolist())
    journal.mkdir(parents=True, exist_ok=True)
    readable = manifest[manifest["status"] == STATUS_OK]
    missing = readable[~readable["video_id"].isin(rows["video_id"])]
    if len(missing):
        needed_bytes = store_bytes(missing, options)
        check_space(ROOM[0], folder, needed_bytes, or_else=ROOM[1])
        with _ray_data() as ray:
            num_cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
            clock.lap("start")
            report = _Reporter("decode", progress, len(missing))
            suspects, left = 0, missing
            while len(left):
                try:
                    for table in _run(
                        ray, _plan(left, needed_bytes, num_cpus), folder, journal, options
                    ):
                        full = table[table["status"] == NO_SPACE]
                        if len(full):
                            raise no_space(ROOM[0], folder, full["reason"].iloc[0], or_else=ROOM[1])
                        report.add(len(table))
                except ray.exceptions.RayError:
                    # Ray gives a job up after its process died four times. The videos that did it
                    # are known by now, and are decoded apart in the next round.
                    before, suspects = suspects, collect_suspects(journal)
                    if suspects == before:
                        raise
                else:
                    _check_written(folder, left)
                rows = finished_rows(folder)
                left = missing[~missing["video_id"].isin(rows["video_id"])]
        clock.lap("decode")
    rows = rows.sort_values("video_id", ignore_index=True)
    index = rows.loc[rows["shard"].notna(), list(INDEX_COLUMNS)].reset_index(drop=True)
    index["num_bytes"] = num_bytes(index)
    index = index.astype(dict.fromkeys(("offset", "T", "H", "W", "num_bytes"), "int64"))
    remove_leftovers(folder, index["shard"].unique().tolist())
    about = {
        "layout": LAYOUT_VERSION,
        "decoder": DECODER_VERSION,
        "options": options.model_dump(mode="json"),
        "num_videos": len(index),
        "num_bytes": int(index["num_bytes"].sum()),
        "readers": rows["reader"].value_counts().to_dict(),
    }
    write_store(folder, index, _probed(manifest, rows), about)
    if journal != folder:
        shutil.rmtree(journal, ignore_errors=True)
    clock.lap("index")
    return len(missing)


def _check_written(folder: Path, videos: pd.DataFrame) -> None:
    """Refuse to go on for ever where what the nodes wrote is not seen here.

    Raises:
        UserError: when none of ``videos`` is in a shard.
    """
    if not finished_rows(folder)["video_id"].isin(videos["video_id"]).any():
        raise UserError(
            "what the nodes decode is seen by the driver",
            f"nothing of {len(videos)} videos in {folder}",
            "one home folder on all nodes, or the same VIDCLASS_STORE as they have",
        )


def _probed(manifest: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``manifest`` with what the jobs found out about each file."""
    found = manifest[["video_id"]].merge(rows, on="video_id", how="left")
    result = manifest.copy()
    for column in PROBE_COLUMNS:
        result[column] = found[f"file_{column}"].to_numpy("float64")
    seen = found["status"].notna().to_numpy()
    result["reader"] = found["reader"].astype(object).where(found["reader"].notna(), None)
    for column in ("status", "reason"):
        values = found[column].astype(object).where(found[column].notna(), None)
        result.loc[seen, column] = values[seen].to_numpy()
    return result


def _plan(missing: pd.DataFrame, needed_bytes: float, num_cpus: int) -> list[pd.DataFrame]:
    """Cut the videos into jobs of about one shard, and enough jobs to keep all CPUs busy."""
    sizes = missing["size_bytes"].to_numpy("float64")
    num_jobs = max(num_cpus * JOBS_PER_CPU, round(needed_bytes / SHARD_BYTES))
    part = (np.cumsum(sizes) - sizes) * num_jobs // max(1.0, sizes.sum())
    columns = missing[["video_id", "path"]].join(segments(missing))
    return [rows.reset_index(drop=True) for _, rows in columns.groupby(part)]


def _run(
    ray: Any, jobs: list[pd.DataFrame], folder: Path, journal: Path, options: StoreOptions
) -> Iterator[pd.DataFrame]:
    """Run the jobs as Ray Data tasks; yield each one's rows as it ends."""
    kept = depot()
    url = None if kept is None else kept.url

    def run_job(videos: pd.DataFrame) -> pd.DataFrame:
        use_depot(url)
        parts = videos[["start_s", "end_s"]].astype(object).where(videos.notna(), None)
        rows = zip(
            videos["video_id"], videos["path"], parts["start_s"], parts["end_s"], strict=True
        )
        return decode_job(
            Job(here(folder), [Source(*row) for row in rows], options, journal=journal)
        )

    rows = ray.data.from_pandas(jobs).map_batches(
        run_job,
        batch_format="pandas",
        batch_size=None,  # a block is a job
        num_cpus=1,
    )
    yield from rows.iter_batches(batch_format="pandas", batch_size=None, prefetch_batches=0)


@contextmanager
def _ray_data() -> Iterator[Any]:
    """Yield Ray, started quietly where it is not running, with Ray Data's own output off."""
    import ray
    import ray.data

    if not ray.is_initialized():
        ray.init(
            ray_address(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    context = ray.data.DataContext.get_current()
    logger = logging.getLogger("ray.data")
    before = (context.enable_progress_bars, logger.level)
    context.enable_progress_bars = False
    logger.setLevel(logging.ERROR)
    try:
        yield ray
    finally:
        context.enable_progress_bars = before[0]
        logger.setLevel(before[1])


class _Clock:
    """Seconds of each part, measured from lap to lap."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name] = now - self._last
        self._last = now


class _Reporter:
    """Turn counts into :class:`Progress`."""

    def __init__(self, stage: str, progress: Callable[[Progress], None], total: int = 0) -> None:
        self._stage = stage
        self._progress = progress
        self._total = total
        self._done = 0
        self._start = time.perf_counter()

    def add(self, count: int) -> None:
        self.update(self._done + count, self._total)

    def update(self, done: int, total: int) -> None:
        self._done = done
        rate = done / max(1e-9, time.perf_counter() - self._start)
        left = (total - done) / rate if done else None
        self._progress(Progress(self._stage, done, total, rate, left))
