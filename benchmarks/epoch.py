"""How long a trial waits for data: seconds_data / (data + step + eval), for every arm.

One side is `fit` on the mapped frame store, as a trial of fusion_study runs it. The other is the
usual way (`usual_way.py`): a DataLoader with one worker that decodes each clip with decord when it
is asked for. Both train on the same videos of moving_shapes, one arm after the other, alone on the
machine; the first epoch is left out (start of workers, pages read for the first time) and the
median of the others is taken. The usual way runs on fewer of the videos; the JSON says how many.
Aim: under 2 % for every arm of ours.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import _common
import pandas as pd
import torch
from _jobs import Job, arm_job, study_folder

USUAL_VIDEOS = {"train": 768, "valid": 128}


def shares(epochs: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians over the epochs but the first."""
    later = epochs[1:]
    each = {part: median(epoch[part] for epoch in later) for part in ("data", "step", "eval")}
    share = median(epoch["data"] / sum(epoch.values()) for epoch in later)
    return {**each, "share": share}


def ours(job: Job, home: Path, tables: dict[str, pd.DataFrame]) -> dict[str, float]:
    """Train as a trial does and return what its epochs took."""
    from vidclass.data.frame_store import FrameStore
    from vidclass.home import store_folder
    from vidclass.sweep.job import build_model
    from vidclass.sweep.job_data import clip_dataset, transform_of
    from vidclass.training.config import TrainConfig
    from vidclass.training.fit import fit

    store = FrameStore.open(store_folder(home) / job["store_key"])
    clips = {name: clip_dataset(job, store, rows, order="kept") for name, rows in tables.items()}
    epochs: list[dict[str, float]] = []

    def report(told: Any) -> bool:
        epochs.append({part: told.metrics[f"seconds_{part}"] for part in ("data", "step", "eval")})
        return False

    fit(
        build_model(job),
        clips["train"],
        clips["valid"],
        TrainConfig.model_validate(job["config"]["train"]),
        num_classes=len(job["classes"]),
        transform=transform_of(job),
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
        seed=0,
        report=report,
    )
    return shares(epochs)


def usual_job(job: Job, table: Path, epochs: int, *, score: bool) -> dict[str, Any]:
    """Return what `usual_way.py` is given for an engine's job."""
    kept = ("config", "window", "input_size", "augment", "seed")
    return {
        **{name: job[name] for name in kept},
        "num_classes": len(job["classes"]),
        "table": str(table),
        "epochs": epochs,
        "score": score,
    }


def start_usual(job: dict[str, Any], file: Path) -> subprocess.Popen[str]:
    """Start a trial of the usual way as a process of its own."""
    file.write_text(json.dumps({**job, "launched_at": time.time()}))
    script = _common.REPOSITORY / "benchmarks" / "usual_way.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(script), str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a trial of the usual way and return its seconds."""
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"usual_way.py ended with {process.returncode}")
    return json.loads(output.splitlines()[-1])


def split_tables(folder: Path, classes: list[str]) -> dict[str, pd.DataFrame]:
    """Return video_id, path, label_id and group of each split of fold 0 of a study's folder."""
    manifest = pd.read_parquet(folder / "manifest.parquet")
    splits = pd.read_parquet(folder / "splits.parquet")
    splits = splits[splits["fold"] == 0][["video_id", "split"]]
    rows = manifest.drop(columns="split").merge(splits, on="video_id")
    rows["label_id"] = rows["label"].map({name: number for number, name in enumerate(classes)})
    columns = ["video_id", "path", "label_id", "group", "split"]
    return {str(name): part[columns] for name, part in rows.groupby("split")}


def sampled(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return ``number`` rows, the same in every run."""
    return rows.sample(min(number, len(rows)), random_state=0)


def main() -> None:
    """Measure both sides for every arm and write the result."""
    options = _common.arguments(__doc__).parse_args()
    import ray

    from vidclass.home import home as user_home

    epochs = 3
    with _common.scratch() as folder:
        home = folder / "h" if options.quick else user_home()
        ray.init(
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(folder / "r"),
        )
        started = time.perf_counter()
        preset = ("data.preset=smoke",) if options.quick else ()
        overrides = (*preset, f"budget.epochs={epochs}")
        spec, shared = study_folder(home, folder / "study", overrides)
        tables = split_tables(folder / "study", shared["classes"])
        ray.shutdown()
        print(f"data ready after {time.perf_counter() - started:.1f} s\n")
        tables.pop("test")
        few = {split: sampled(rows, USUAL_VIDEOS[split]) for split, rows in tables.items()}
        pd.concat(few.values()).to_csv(folder / "table.csv", index=False)
        rows = []
        for arm in spec.arms:
            job = arm_job(spec, shared, arm.name, "-")
            own = ours(job, home, tables)
            process = start_usual(
                usual_job(job, folder / "table.csv", epochs, score=False), folder / "job.json"
            )
            usual = shares(result_of(process)["epochs"])
            rows.append(
                {
                    "arm": arm.name,
                    "data_wait_percent": 100 * own["share"],
                    "usual_data_wait_percent": 100 * usual["share"],
                    "ratio": usual["share"] / own["share"],
                    **{f"seconds_{part}": own[part] for part in ("data", "step", "eval")},
                    **{f"usual_seconds_{part}": usual[part] for part in ("data", "step", "eval")},
                }
            )
    _common.print_table(rows)
    worst = max(row["data_wait_percent"] for row in rows)
    aim = _common.against_aim("data wait, the worst arm", worst, 2.0, at_most=True, unit="%")
    _common.finish(
        "epoch",
        quick=options.quick,
        aims=[aim],
        epochs=epochs,
        preset=spec.data.preset,
        videos={name: len(part) for name, part in tables.items()},
        usual_videos={name: len(part) for name, part in few.items()},
        arms=rows,
    )


if __name__ == "__main__":
    main()
