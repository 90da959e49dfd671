"""Files a second of ``vidclass data check`` on one and on two workers, and what looking costs.

Files: H.264 MP4, 320x240, 30 fps, 10 s, as build.py makes them, each encoded with a seed of its own
so that all contents differ. The scan decodes every frame of every file into an empty cache; Ray is
started before the clock, and has worked on two files a worker. One worker and two take turns, so
that a drift of the machine meets both alike; the median is told, and every repetition is kept. Two
bare loops of PyAV over the same files, one process each, say what the machine itself gives for a
second process. Finding copies is timed apart, over made-up signatures of 10,000 videos.
Aim: two workers 1.8 times as fast as one.
"""

import multiprocessing
import time
from pathlib import Path
from statistics import median
from typing import Any

import _common
import numpy as np
from build import NUM_FRAMES, make_video

REPETITIONS = 5
NUM_FILES = 24
NUM_MADE_UP = 10_000
PICTURES = 40


def manifest_of(folder: Path) -> Any:
    """Return the files as a manifest with content hashes."""
    import pandas as pd

    from vidclass.data.fingerprint import with_content_hashes
    from vidclass.data.manifest import new_manifest

    names = sorted(path.name for path in folder.glob("*.mp4"))
    columns = {"video_id": names, "path": [str(folder / name) for name in names], "label": "a"}
    rows = pd.DataFrame({**columns, "group": names, "split": None})
    return with_content_hashes(new_manifest(rows), folder / "hashes.parquet", lambda *_: None)


def scan(manifest: Any, root: Path, workers: int, name: str) -> float:
    """Return the seconds that a scan into an empty cache takes on ``workers`` workers."""
    import ray

    from vidclass.data.scan import scan_files

    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        num_cpus=workers,
        _temp_dir=str(root / f"r{name}"),
    )
    try:
        # The same few files for both, into a cache that is not used again: imports, first pages.
        scan_files(manifest.head(2 * workers), root / f"warm{name}", lambda *_: None)
        started = time.monotonic()
        found = scan_files(manifest, root / f"cache{name}", lambda *_: None)
        seconds = time.monotonic() - started
    finally:
        ray.shutdown()
    assert (found.facts["status"] == "ok").all() and len(found.facts) == len(manifest)
    assert (found.facts["num_frames"] == NUM_FRAMES).all()
    return seconds


def decode_bare(paths: list[str]) -> float:
    """Decode all frames with PyAV on one thread; return the seconds."""
    import av

    started = time.monotonic()
    for path in paths:
        with av.open(path) as container:
            container.streams.video[0].codec_context.thread_count = 1
            assert sum(1 for _ in container.decode(video=0)) == NUM_FRAMES
    return time.monotonic() - started


def bare_ratio(paths: list[str]) -> float:
    """Return how much faster two processes decode all files than one."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(decode_bare, [paths[:1]] * 4, chunksize=1)
        (one,) = pool.map(decode_bare, [paths])
        started = time.monotonic()
        pool.map(decode_bare, [paths[::2], paths[1::2]], chunksize=1)
        return one / (time.monotonic() - started)


def copies_seconds(num_videos: int) -> tuple[float, int]:
    """Return seconds for made-up videos, every tenth of which is a copy, and pairs found."""
    from vidclass.data.near_duplicates import near_duplicates
    from vidclass.data.signatures import SIDE, Signature

    generator = np.random.default_rng(0)
    prints = {}
    for number in range(num_videos):
        if number % 10 == 9:
            prints[f"{number:06d}"] = prints[f"{number - 1:06d}"]
            continue
        small = generator.integers(0, 256, (PICTURES, SIDE, SIDE), dtype=np.uint8)
        hashes = generator.integers(0, 2**63, PICTURES, dtype=np.uint64)
        prints[f"{number:06d}"] = Signature(0.25, small, hashes, True)
    started = time.monotonic()
    pairs = len(near_duplicates(prints))
    return time.monotonic() - started, pairs


def measure(root: Path, quick: bool) -> dict[str, Any]:
    """Measure everything in a scratch folder."""
    num_files, repetitions = (4, 1) if quick else (NUM_FILES, REPETITIONS)
    videos = root / "videos"
    videos.mkdir()
    paths = [videos / f"{number:03d}.mp4" for number in range(num_files)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.starmap(make_video, [(path, seed) for seed, path in enumerate(paths)])
    manifest = manifest_of(videos)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    bare = []
    for turn in range(repetitions):
        for workers in seconds:
            seconds[workers].append(scan(manifest, root, workers, f"{turn}{workers}"))
        bare.append(bare_ratio([str(path) for path in paths]))
    return {"files": num_files, "seconds": seconds, "bare_two_over_one": bare}


def main() -> None:
    """Measure and write the result."""
    options = _common.arguments(__doc__).parse_args()
    with _common.scratch() as root:
        found = measure(root, options.quick)
    num_made_up = 200 if options.quick else NUM_MADE_UP
    copies_s, pairs = copies_seconds(num_made_up)
    assert pairs == num_made_up // 10, pairs
    medians = {workers: median(times) for workers, times in found["seconds"].items()}
    frames = found["files"] * NUM_FRAMES
    rows = [
        {
            "workers": workers,
            "seconds": medians[workers],
            "files_s": found["files"] / medians[workers],
            "frames_s": frames / medians[workers],
        }
        for workers in medians
    ]
    _common.print_table(rows)
    speedup = medians[1] / medians[2]
    _common.finish(
        "check",
        quick=options.quick,
        aims=[_common.against_aim("check on two workers / on one", speedup, 1.8)],
        rows=rows,
        bare_two_processes_over_one=median(found["bare_two_over_one"]),
        copies={"videos": num_made_up, "seconds": copies_s, "pairs": pairs},
        video="H.264 320x240, 30 fps, 10 s",
        **found,
    )


if __name__ == "__main__":
    main()
