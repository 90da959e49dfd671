"""Frames a second of one core: vidclass's decoding against the `ffmpeg` command.

Both sides decode all frames of the same files, scale them to the same small size and convert them
to RGB; neither keeps them. Files: made ones as in build.py (H.264, 320x240, 10 s), and the real
ones of ../shared/data where they lie there. Frames are divided by CPU seconds (user and system, all
threads): both sides may use more than one thread for one file, and the figure is one of cores.
vidclass runs in a process that has decoded before; ffmpeg starts anew for each file, as in a shell
script, and, for the made files, once for all of them (concat), so that its start is not counted.
Aim: faster than ffmpeg in every row.
"""

import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import _common
from build import make_video

SHARED = _common.REPOSITORY.parent / "shared" / "data"
SETS = ("ut_interaction", "surv_fight", "decode_fixtures")
SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".webm", ".mpg")
SHORT_SIDE = 64
NUM_MADE = 12

Size = tuple[int, int, int]
"""Frames, height and width of a decoded file."""


def decode_all(paths: list[Path]) -> tuple[float, list[Size | None], Counter[str]]:
    """Return CPU seconds, what came of each file (None: quarantined), and which reader read it."""
    from vidclass.data.decode import DecodeError, FrameChoice, decode_video

    sizes: list[Size | None] = []
    readers: Counter[str] = Counter()
    started = time.process_time()
    for path in paths:
        try:
            found = decode_video(
                path,
                FrameChoice(short_side=SHORT_SIDE),
                begin=lambda *_: None,
                write=lambda _: None,
            )
        except DecodeError:
            sizes.append(None)
            continue
        sizes.append((found.num_frames, found.height, found.width))
        readers[found.reader] += 1
    return time.process_time() - started, sizes, readers


def ours(paths: list[Path], passes: int) -> tuple[float, list[Size | None], Counter[str]]:
    """Decode in a warm process of its own; return the best of ``passes``."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(decode_all, (paths[:1],))
        return min(
            (pool.apply(decode_all, (paths,)) for _ in range(passes)), key=lambda run: run[0]
        )


def ffmpeg(source: list[str], height: int, width: int) -> float:
    """Return the CPU seconds of one command."""
    command = ["ffmpeg", "-v", "quiet", "-nostdin", "-threads", "1", *source, "-an", "-sn"]
    command += ["-filter_threads", "1", "-vf", f"scale={width}:{height}", "-pix_fmt", "rgb24"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, "-f", "rawvideo", "-y", "/dev/null"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def ffmpeg_each(paths: list[Path], sizes: list[Size | None], passes: int) -> float:
    """Return the CPU seconds of a command a file, the best of ``passes``."""
    readable = [(path, size) for path, size in zip(paths, sizes, strict=True) if size]
    return min(
        sum(ffmpeg(["-i", str(path)], size[1], size[2]) for path, size in readable)
        for _ in range(passes)
    )


def ffmpeg_once(paths: list[Path], size: Size, folder: Path, passes: int) -> float:
    """Return the CPU seconds of one command over all files."""
    listed = folder / "files.txt"
    listed.write_text("".join(f"file '{path}'\n" for path in paths))
    source = ["-f", "concat", "-safe", "0", "-i", str(listed)]
    return min(ffmpeg(source, size[1], size[2]) for _ in range(passes))


def measure(name: str, paths: list[Path], passes: int, folder: Path | None) -> dict[str, Any]:
    """Measure both sides on ``paths``; with ``folder``, ffmpeg once over all files too."""
    cpu_s, sizes, readers = ours(paths, passes)
    known = [size for size in sizes if size]
    frames = sum(size[0] for size in known)
    each_s = ffmpeg_each(paths, sizes, passes)
    once_s = ffmpeg_once(paths, known[0], folder, passes) if folder else None
    return {
        "files": name,
        "number": len(paths),
        "frames": frames,
        "vidclass_frames_s": frames / cpu_s,
        "ffmpeg_frames_s": frames / each_s,
        "ratio": each_s / cpu_s,
        "ffmpeg_once_frames_s": frames / once_s if once_s else None,
        "ratio_once": once_s / cpu_s if once_s else None,
        "readers": dict(readers),
    }


def main() -> None:
    """Measure all sets and write the result."""
    options = _common.arguments(__doc__).parse_args()
    if not shutil.which("ffmpeg"):
        sys.exit("this benchmark compares with the ffmpeg command: apt-get install ffmpeg")
    passes, few = (1, 4) if options.quick else (2, None)
    rows = []
    with _common.scratch() as root:
        made = [root / f"{number}.mp4" for number in range(2 if options.quick else NUM_MADE)]
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            pool.starmap(make_video, [(path, seed) for seed, path in enumerate(made)])
        rows.append(measure("made", made, passes, root))
        for name in SETS:
            found = sorted(p for p in (SHARED / name).rglob("*") if p.suffix in SUFFIXES)
            if found:
                rows.append(measure(name, found[:few], passes, None))
            else:
                print(f"left out: {name}, which is not in ../shared/data")
    _common.print_table([{k: v for k, v in row.items() if k != "readers"} for row in rows])
    version = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True).stdout
    aims = [_common.against_aim(f"decoding / ffmpeg, {r['files']}", r["ratio"], 1) for r in rows]
    once = _common.against_aim(
        "decoding / one ffmpeg for all files, made", rows[0]["ratio_once"], 1
    )
    _common.finish(
        "decode",
        quick=options.quick,
        aims=[*aims, once],
        rows=rows,
        short_side=SHORT_SIDE,
        ffmpeg=version.split(" Copyright")[0],
    )


if __name__ == "__main__":
    main()
