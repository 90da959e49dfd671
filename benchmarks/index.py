"""Seconds and memory of an index of 100,000 videos, its split, and the check that nothing leaks.

Files: 100,000 of one byte in 100 class folders; a manifest names each with class, group, animal and
content hash. Three ways are timed, each in a process of its own, imports apart: the manifest as CSV
with 10,000 groups, the folder itself with a labels.csv, and the manifest with each file its own
group. Each is read, written as Parquet, divided into one split and into five folds, and both are
checked for groups and contents on two sides. Memory is the process's largest resident size; beside
the wall time stands that of the CPU, which other work on the machine does not lengthen.
Aims: under 10 s and under 1 GiB, for the manifest with groups.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _common

NUM_CLASSES, NUM_GROUPS, PER_GROUP = 100, 100, 10
MIB = 2**20


def make_files(root: Path, num_classes: int) -> int:
    """Write the videos, the manifest and the labels; return how many videos there are."""
    lines = ["path,label,group,animal,content_hash"]
    labels = ["video,label,group"]
    for number in range(num_classes):
        label = f"class_{number:03d}"
        (root / "videos" / label).mkdir(parents=True)
        for group in range(NUM_GROUPS):
            for clip in range(PER_GROUP):
                name = f"{label}/g{group:03d}_c{clip:02d}.mp4"
                (root / "videos" / name).write_bytes(b"x")
                animal = f"m{(number * NUM_GROUPS + group) % 500}"
                digest = f"{len(lines):064x}"
                lines.append(f"videos/{name},{label},{label}/g{group},{animal},{digest}")
                labels.append(f"{name},{label},{label}/g{group}")
    (root / "manifest.csv").write_text("\n".join(lines) + "\n")
    ungrouped = [",".join((*line.split(",")[:2], line.split(",")[4])) for line in lines]
    (root / "ungrouped.csv").write_text("\n".join(ungrouped) + "\n")
    (root / "videos" / "labels.csv").write_text("\n".join(labels) + "\n")
    return len(lines) - 1


def measure(source: Path, out: Path) -> dict[str, Any]:
    """Index, divide and check ``source``; return the seconds of each and the memory."""
    from vidclass.data.dataset_file import write_dataset
    from vidclass.data.leakage import check_leakage
    from vidclass.data.published_splits import divide_videos
    from vidclass.data.readers import read_dataset

    imported_mib, cpu_s = _peak_mib(), time.process_time()
    seconds: dict[str, float] = {}

    def timed(name: str, do: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = do()
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started
        return result

    dataset = timed("read", lambda: read_dataset(str(source), home=out.parent))
    timed("write", lambda: write_dataset(dataset, out))
    shares = {"published": 1, "valid_share": 0.2, "test_share": 0.2, "seed": 0}
    for folds in (None, 5):
        splits = timed("split", lambda: divide_videos(dataset.manifest, folds=folds, **shares))  # noqa: B023
        timed("leakage", lambda: check_leakage(splits, dataset.manifest))  # noqa: B023
    return {
        "videos": len(dataset.manifest),
        "groups": int(dataset.manifest["group"].nunique()),
        **{f"{name}_s": value for name, value in seconds.items()},
        "all_s": sum(seconds.values()),
        "cpu_s": time.process_time() - cpu_s,
        "imports_mib": imported_mib,
        "peak_mib": _peak_mib(),
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def main() -> None:
    """Measure all ways and write the result."""
    options = _common.arguments(__doc__).parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    with _common.scratch() as root:
        make_files(root, 3 if options.quick else NUM_CLASSES)
        for name, source in (
            ("manifest", root / "manifest.csv"),
            ("folder", root / "videos"),
            ("each its own group", root / "ungrouped.csv"),
        ):
            with context.Pool(1) as pool:
                found = pool.apply(measure, (source, root / f"{len(rows)}.parquet"))
            rows.append({"source": name, **found})
    _common.print_table(rows)
    _common.finish(
        "index",
        quick=options.quick,
        aims=[
            _common.against_aim(
                "index, split and leakage check of 100,000 rows",
                rows[0]["all_s"],
                10,
                at_most=True,
                unit="s",
            ),
            _common.against_aim("its memory", rows[0]["peak_mib"], 1024, at_most=True, unit="MiB"),
        ],
        rows=rows,
    )


if __name__ == "__main__":
    main()
