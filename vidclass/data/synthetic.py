"""The control data set `moving_shapes`: made on the spot, with a known answer for every arm.

One frame of it tells nothing about the class and neither does the file, so an arm that sees single
frames must stay at chance, and an arm that uses time can reach 100 %
(see :mod:`vidclass.data.synthetic_oracle`). A study of it shows within minutes that the whole
pipeline measures what it claims to.
"""

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pandas as pd
from filelock import FileLock

from vidclass.data.manifest import Dataset, new_manifest
from vidclass.data.synthetic_encode import ASIDE_SUFFIX, encode_clip, make_clips
from vidclass.data.synthetic_maker import ClipMaker, MakerDied
from vidclass.data.synthetic_render import MOTIONS, Preset, render_clip
from vidclass.disk import check_space, disk_errors_for_users
from vidclass.errors import UserError
from vidclass.home import datasets_folder, write_aside

__all__ = [
    "PRESETS",
    "make_moving_shapes",
    "moving_shapes_folder",
    "planned_moving_shapes",
]

# Part of every folder's name. Raise it when the same preset and seed would give other files.
GENERATOR_VERSION = 2

CLIPS_A_TASK = 32  # a task takes about 0.1 s: progress moves, and Ctrl-C waits for no more
SPLITS = ("train", "valid", "test")
ROOM = "the data set"

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        # Hard enough that early and slow fusion differ, easy enough that the best passes 95 %:
        # 0.964 and 0.988 on 2,000 clips (width 0.125, batch norm, no dropout, 8 epochs, lr 2e-3).
        Preset("default", num_clips=(4000, 800, 4000)),
        Preset(
            "easy",
            num_clips=(4000, 800, 4000),
            contrast=(40.0, 90.0),
            texture_sd=8.0,
            noise_sd=6.0,
        ),
        # For GPUs: four times the pixels, longer and more clips, fainter shapes.
        Preset(
            "hard",
            num_clips=(16000, 1600, 8000),
            size=64,
            num_frames=16,
            radius=(6.0, 24.0),
            contrast=(35.0, 80.0),
            texture_sd=10.0,
            noise_sd=8.0,
            distractor_radius=(3.0, 6.0),
            packet_bytes=(4096, 2560),
        ),
        # For the one-minute path and tests: as default, but few clips.
        Preset("smoke", num_clips=(160, 80, 160)),
    )
}


def make_moving_shapes(
    home: Path,
    preset: str = "default",
    seed: int = 0,
    num_workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Make the data set below ``home`` unless it is there, and return its folder.

    The folder holds ``videos/*.mp4`` and ``labels.csv`` (video, label, group, split); each clip is
    a group of its own. After a crash the next call makes only what is missing. A clip depends on
    (seed, preset, its index) alone, so the number of workers changes nothing.

    Args:
        home: see :func:`vidclass.home.home`.
        preset: key of :data:`PRESETS`.
        seed: 0 or more.
        num_workers: processes; one a core by default, and none besides this one at 1.
        progress: called with (what is done, clips done, clips in all).

    Raises:
        UserError: for an unknown preset, a bad seed, or too little disk space.
    """
    chosen = _check(preset, seed, num_workers)
    folder = moving_shapes_folder(home, preset, seed)
    if _is_complete(folder, chosen, seed):
        return folder
    with disk_errors_for_users(ROOM, folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Two studies that start together make the data set once; a killed maker frees the lock.
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not _is_complete(folder, chosen, seed):
                _make(folder, chosen, seed, num_workers, progress or (lambda *_: None))
    return folder


def moving_shapes_folder(home: Path, preset: str, seed: int) -> Path:
    """Return where :func:`make_moving_shapes` puts a data set of a known ``preset``."""
    identity = json.dumps([GENERATOR_VERSION, asdict(PRESETS[preset])], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return datasets_folder(home) / "moving_shapes" / f"{preset}-{seed}-{key}"


def _check(preset: str, seed: int, num_workers: int | None) -> Preset:
    if preset not in PRESETS:
        raise UserError(
            "a preset of moving_shapes is one of those that vidclass knows",
            repr(preset),
            f"one of {', '.join(PRESETS)}",
        )
    if seed < 0:
        raise UserError("the seed of a data set is 0 or more", seed, "for example seed 0")
    if num_workers is not None and num_workers < 1:
        raise UserError("at least one process makes clips", num_workers, "1 or more, or nothing")
    return PRESETS[preset]


def _file_names(preset: Preset, seed: int) -> list[str]:
    """Return the file name of each clip: shuffled numbers, which tell neither class nor split."""
    total = sum(preset.num_clips)
    numbers = np.random.default_rng([seed, total]).permutation(total)
    return [f"{number:06d}.mp4" for number in numbers]


def _is_complete(folder: Path, preset: Preset, seed: int) -> bool:
    """Say whether ``labels.csv``, written last, is there, and no video was taken away since."""
    if not (folder / "labels.csv").is_file():
        return False
    return set(_file_names(preset, seed)) <= _listing(folder / "videos")


def _listing(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _make(
    folder: Path,
    preset: Preset,
    seed: int,
    num_workers: int | None,
    progress: Callable[[str, int, int], None],
) -> None:
    videos = folder / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    names = _file_names(preset, seed)
    # All files have one size: whatever has another was cut short by a power failure.
    file_bytes = len(encode_clip(preset, render_clip(preset, seed, 0)))
    sizes = {entry.name: entry.stat().st_size for entry in os.scandir(videos)}
    missing = [(i, name) for i, name in enumerate(names) if sizes.get(name) != file_bytes]
    check_space(ROOM, folder, len(missing) * file_bytes)

    done = len(names) - len(missing)
    progress("making moving_shapes", done, len(names))
    tasks = [missing[i : i + CLIPS_A_TASK] for i in range(0, len(missing), CLIPS_A_TASK)]
    num_workers = min(num_workers or os.cpu_count() or 1, len(tasks))
    with contextlib.closing(_run_tasks(preset, seed, tasks, videos, num_workers)) as ended:
        for num_made in ended:
            done += num_made
            progress("making moving_shapes", done, len(names))

    for leftover in videos.glob(f".*{ASIDE_SUFFIX}"):
        leftover.unlink(missing_ok=True)
    os.sync()  # once for all videos, before labels.csv says that they are whole
    _write_labels(folder, _label_rows(preset, names))


def _label_rows(preset: Preset, names: Sequence[str]) -> list[tuple[str, str, str, str]]:
    """Return video, label, group and split of each clip, sorted by video."""
    splits = [
        split for split, num in zip(SPLITS, preset.num_clips, strict=True) for _ in range(num)
    ]
    return sorted(
        (f"videos/{name}", MOTIONS[index % len(MOTIONS)], Path(name).stem, split)
        for index, (name, split) in enumerate(zip(names, splits, strict=True))
    )


def planned_moving_shapes(home: Path, *, preset: str, seed: int) -> Dataset:
    """Return the data set that :func:`make_moving_shapes` makes, whether it is there or not.

    Raises:
        UserError: for an unknown preset or a bad seed.
    """
    chosen = _check(preset, seed, None)
    folder = moving_shapes_folder(home, preset, seed)
    rows = _label_rows(chosen, _file_names(chosen, seed))
    table = pd.DataFrame(rows, columns=["video_id", "label", "group", "split"])
    table["path"] = [str(folder / name) for name in table["video_id"]]
    return Dataset(folder, new_manifest(table), groups_known=True)


def _write_labels(folder: Path, rows: Sequence[tuple[str, str, str, str]]) -> None:
    with write_aside(folder / "labels.csv") as aside, aside.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video", "label", "group", "split"))
        writer.writerows(rows)


def _run_tasks(
    preset: Preset,
    seed: int,
    tasks: Sequence[Sequence[tuple[int, str]]],
    videos: Path,
    num_workers: int,
) -> Generator[int, None, None]:
    """Yield the number of clips of each task as it ends, in any order."""
    if num_workers <= 1:
        for task in tasks:
            yield make_clips(preset, seed, task, videos)
        return
    makers: SimpleQueue[ClipMaker] = SimpleQueue()
    started = [ClipMaker(preset, seed, videos) for _ in range(num_workers)]
    for maker in started:
        makers.put(maker)

    def make(task: Sequence[tuple[int, str]]) -> int:
        maker = makers.get()
        try:
            return maker.make(task)
        finally:
            makers.put(maker)

    pool = ThreadPoolExecutor(num_workers)  # a thread waits for each process
    try:
        for future in as_completed(pool.submit(make, task) for task in tasks):
            yield future.result()
    except MakerDied as error:
        raise UserError(
            "the processes that make clips stay alive until the data set is there",
            "one ended abruptly (killed, or out of memory)",
            "run the same command again: it makes only what is missing",
        ) from error
    finally:
        # Also on Ctrl-C: running tasks end within a second, the others are never started.
        pool.shutdown(wait=True, cancel_futures=True)
        for maker in started:
            maker.close()
