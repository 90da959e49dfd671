"""Frames a second of the frame store's build against a bare decord loop over the same files.

Files: H.264 MP4, 320x240, 30 fps, 10 s, seeded noise over a moving texture; a few are encoded and
copied under further names until decoding takes a minute. Both sides resize inside decord to the
same size; the build also opens with a probe, checks, and writes what it decodes to disk. Steady
state: bare loops run in processes that have decoded before the clock starts; of the build the time
from the first finished job of each core to the last job is taken, and what lies before is told
apart as its start. One core decodes half of the files, two cores all of them.
`ray.data.read_videos` (its own resize, frames counted in a task, never brought to the driver)
runs over a stated subset, start included, beside the build's rate with the start included.
Aims: 0.9 of bare decord per core; 1.8 times as fast on two cores as on one.
"""

import logging
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import _common
import numpy as np

WIDTH, HEIGHT, FPS, SECONDS = 320, 240, 30, 10
NUM_FRAMES = FPS * SECONDS
SHORT_SIDE = 64
SMALL = (64, 85)  # height, width after the resize
NUM_MADE = 12
# Ray runs its workers at niceness 15: beside other work of the machine they would lose to the bare
# loops for that alone.
os.environ.setdefault("RAY_worker_niceness", "0")


def make_video(path: Path, seed: int) -> None:
    """Encode a texture that drifts under noise."""
    import av

    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3))
    texture = np.kron(coarse, np.ones((16, 16, 1))).astype(np.int16)
    noise = generator.normal(0, 6, (8, HEIGHT, WIDTH, 3)).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(NUM_FRAMES):
            moved = np.roll(texture, (number, 2 * number), axis=(0, 1)) + noise[number % 8]
            image = np.clip(moved, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def decode_bare(path: str) -> int:
    """Decode all frames of a file at the small size; return their number."""
    import decord

    reader = decord.VideoReader(path, height=SMALL[0], width=SMALL[1], num_threads=1)
    return len(reader.get_batch(range(len(reader))).asnumpy())


def timed_file(path: str) -> tuple[float, float, int]:
    """Return start, end (one clock for all processes) and frames of a bare decode."""
    started = time.monotonic()
    frames = decode_bare(path)
    return started, time.monotonic(), frames


def bare_rate(paths: list[str], processes: int, parts: int) -> list[float]:
    """Return frames/s of a bare loop in ``processes`` processes, for each part of ``paths``."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        pool.map(timed_file, paths[:1] * processes * 4, chunksize=1)  # imports, first pages
        rates = []
        for part in np.array_split(paths, parts):
            times = pool.map(timed_file, [str(path) for path in part], chunksize=1)
            span = max(time[1] for time in times) - min(time[0] for time in times)
            rates.append(sum(time[2] for time in times) / span)
    return rates


def build_store(videos: Path, home: Path, cores: int, temp: Path) -> dict[str, float]:
    """Build the store of ``videos`` on ``cores`` cores; return its rate, and its start apart."""
    import pandas as pd
    import ray

    from vidclass.data.frame_store import StoreOptions
    from vidclass.data.manifest import Dataset, new_manifest
    from vidclass.data.pipeline import Progress, prepare

    names = sorted(path.name for path in videos.glob("*.mp4"))
    table = pd.DataFrame(
        {
            "video_id": names,
            "path": [str(videos / name) for name in names],
            "label": [f"class_{number % 2}" for number in range(len(names))],
            "group": names,
            "split": None,
        }
    )
    done: list[tuple[float, int]] = []

    def progress(told: Progress) -> None:
        if told.stage == "decode":
            done.append((time.monotonic(), told.done))

    started = time.monotonic()
    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        num_cpus=cores,
        _temp_dir=str(temp),
    )
    try:
        prepared = prepare(
            Dataset(videos, new_manifest(table), False),
            StoreOptions(short_side=SHORT_SIDE),
            home,
            progress,
        )
    finally:
        ray.shutdown()
    wall = time.monotonic() - started
    height, width = prepared.store.index[["H", "W"]].iloc[0]
    assert (height, width) == SMALL, (height, width)
    (first, before), (last, total) = done[cores - 1], done[-1]
    rate = (total - before) * NUM_FRAMES / (last - first)
    return {
        "frames_a_second": rate,
        "steady_seconds": last - first,
        "start_seconds": wall - total * NUM_FRAMES / rate,
        "wall": wall,
        "with_start": total * NUM_FRAMES / wall,
        "hash_seconds": prepared.seconds["hash"],
        "jobs": len(done),
    }


def read_videos(paths: list[str], temp: Path, cores: int) -> dict[str, float]:
    """Count the frames that ``ray.data.read_videos`` decodes and resizes."""
    import ray

    started = time.monotonic()
    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        num_cpus=cores,
        _temp_dir=str(temp),
    )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        frames = ray.data.read_videos(paths, resize=SMALL).map_batches(
            lambda batch: {"frames": np.array([len(batch["frame"])])}, batch_size=None
        )
        decoding = time.monotonic()
        total = sum(int(batch["frames"].sum()) for batch in frames.iter_batches(batch_size=None))
        ended = time.monotonic()
    finally:
        ray.shutdown()
    assert total == len(paths) * NUM_FRAMES, total
    return {"frames_a_second": total / (ended - decoding), "with_start": total / (ended - started)}


def copies(made: list[Path], folder: Path, number: int) -> list[str]:
    """Copy the files in turn into ``folder`` until there are ``number``."""
    folder.mkdir()
    paths = [folder / f"{index:04d}.mp4" for index in range(number)]
    for index, path in enumerate(paths):
        shutil.copy(made[index % len(made)], path)
    return [str(path) for path in paths]


def measure(root: Path, quick: bool) -> dict[str, Any]:
    """Measure all sides in a scratch folder."""
    (root / "made").mkdir()
    made = [root / "made" / f"{number}.mp4" for number in range(2 if quick else NUM_MADE)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(make_video, [(path, seed) for seed, path in enumerate(made)])
    guessed = median(bare_rate([str(path) for path in made], 1, 2))
    seconds = 3.0 if quick else 60.0
    few = max(8, round(seconds * guessed / NUM_FRAMES))
    one = copies(made, root / "one", few)
    two = copies(made, root / "two", 2 * few)
    # Bare loops run before and after the builds, each a quarter of the files, so that a drift of
    # the machine shows.
    part = max(2, few // 4)
    before = {1: bare_rate(one[:part], 1, 2), 2: bare_rate(two[: 2 * part], 2, 2)}
    built = {}
    for cores, videos in ((1, "one"), (2, "two")):
        built[cores] = build_store(root / videos, root / f"h{cores}", cores, root / f"r{cores}")
        shutil.rmtree(root / f"h{cores}")
    after = {1: bare_rate(one[-part:], 1, 2), 2: bare_rate(two[-2 * part :], 2, 2)}
    subset = two[: 4 if quick else 24]
    other = read_videos(subset, root / "rv", 2)
    return {
        "files": {"one_core": len(one), "two_cores": len(two), "read_videos": len(subset)},
        "made": len(made),
        "bare": {cores: median(before[cores] + after[cores]) for cores in (1, 2)},
        "bare_parts": {cores: [*before[cores], *after[cores]] for cores in (1, 2)},
        "build": built,
        "read_videos_two_cores": other,
    }


def main() -> None:
    """Measure all sides and write the result."""
    options = _common.arguments(__doc__).parse_args()
    with _common.scratch() as root:
        found = measure(root, options.quick)
    bare, built, other = found["bare"], found["build"], found["read_videos_two_cores"]
    rows = [
        {
            "cores": cores,
            "bare_frames_s": bare[cores],
            "build_frames_s": built[cores]["frames_a_second"],
            "ratio": built[cores]["frames_a_second"] / bare[cores],
            "steady_s": built[cores]["steady_seconds"],
            "start_s": built[cores]["start_seconds"],
            "read_videos_frames_s": other["frames_a_second"] if cores == 2 else None,
        }
        for cores in (1, 2)
    ]
    _common.print_table(rows)
    speedup = built[2]["frames_a_second"] / built[1]["frames_a_second"]
    share = [row["ratio"] for row in rows]
    _common.finish(
        "build",
        quick=options.quick,
        aims=[
            _common.against_aim("build / bare decord, one core", share[0], 0.9),
            _common.against_aim("build / bare decord, two cores", share[1], 0.9),
            _common.against_aim("build on two cores / on one", speedup, 1.8),
        ],
        bare_two_processes_over_one=bare[2] / bare[1],
        build_over_read_videos=built[2]["frames_a_second"] / other["frames_a_second"],
        video=f"H.264 {WIDTH}x{HEIGHT}, {FPS} fps, {SECONDS} s, to {SMALL[0]}x{SMALL[1]}",
        **found,
    )


if __name__ == "__main__":
    main()
