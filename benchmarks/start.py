"""Seconds from the start of one trial of a slot to the start of its next.

One side is Ray Tune's default: a function trainable, `reuse_actors` left as it is, that imports
what our trials import and does nothing. The other is a study of vidclass: engine, ledger, MLflow
writer, reused actors, and trials that do train, one epoch on a handful of clips (the median seconds
of that training are shown, and are part of the figure). Both have one slot a core and a process of
their own. A slot's first trial is left out. With S slots the time of trial k is the start of
trial k + S minus that of trial k, by order of starts; the median is told.
Aim: under 0.5 s a trial.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import _common

NUM_VIDEOS = 16
SPEC = """
study: start
data:
  source: {source}
  window: {{span_s: 1.0, num_frames: 10}}
  input_size: 32
  split: {{folds: null}}
train: {{batch_size: 8}}
budget: {{trials: {trials}, epochs: 1}}
search: {{halving: null}}
finals: {{seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, perturbations: false}}
arms:
  - name: single
    model: single_frame
    fixed: {{width: 0.125}}
    search: {{lr: {{low: 1.0e-3, high: 4.0e-3, log: true}}}}
"""


def no_operation(config: dict[str, Any]) -> None:
    """Import what a trial of ours imports, note the time and end."""
    import time

    from ray import tune

    import vidclass.sweep.job  # noqa: F401

    tune.report({"at": time.time()})


def default_side(folder: Path, trials: int) -> dict[str, Any]:
    """Run trials that do nothing under Tune's defaults; return when each was there."""
    import ray
    from ray import tune

    ray.init(
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=str(folder / "r"),
    )
    results = tune.Tuner(
        tune.with_resources(no_operation, {"CPU": 1}),
        tune_config=tune.TuneConfig(num_samples=trials),
        run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0),
    ).fit()
    slots = int(ray.cluster_resources()["CPU"])
    ray.shutdown()
    return {"slots": slots, "starts": sorted(result.metrics["at"] for result in results)}


def our_side(folder: Path, trials: int) -> dict[str, Any]:
    """Run a study of trials that train almost nothing; return when each started."""
    from vidclass.data.readers import read_dataset
    from vidclass.sweep.load import load_study_file
    from vidclass.sweep.runner import run
    from vidclass.sweep.screen import Screen
    from vidclass.sweep.state import replay

    os.environ["VIDCLASS_RAY_TEMP"] = str(folder / "r")
    made = read_dataset("moving_shapes", preset="smoke", home=folder / "made").manifest
    for label in sorted(made["label"].unique())[:2]:
        target = folder / "videos" / label
        target.mkdir(parents=True)
        for path in made.loc[made["label"] == label, "path"].head(NUM_VIDEOS // 2):
            shutil.copy(path, target)
    file = folder / "start.yaml"
    file.write_text(SPEC.format(source=folder / "videos", trials=trials))
    home = folder / "h"
    outcome = run(load_study_file(str(file)), home, Screen())
    state = replay(outcome.folder / "ledger.jsonl")
    # The search alone: floors fit forests, finals wait for the search's last trial.
    search = state.select(kind="search")
    work = [
        sum(e.metrics[f"seconds_{part}"] for part in ("data", "step", "eval"))
        for trial in search
        for e in trial.epochs.values()
    ]
    return {
        "slots": state.started["slots"],
        "starts": sorted(trial.attempts[0].started_at for trial in search),
        "training": median(work),
    }


SIDES = {"default": default_side, "ours": our_side}


def seconds_a_trial(starts: list[float], slots: int) -> list[float]:
    """Return for each trial but a slot's first how long its slot took to reach it."""
    return [later - sooner for sooner, later in zip(starts, starts[slots:], strict=False)]


def measured(side: str, trials: int, folder: Path) -> dict[str, Any]:
    """Run a side in a process of its own and return what it printed last."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--side", side, "--trials", str(trials)]
    output = subprocess.run(
        [*command, "--folder", str(folder)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    result = json.loads(output.splitlines()[-1])
    return {**result, "wall": time.perf_counter() - started}


def main() -> None:
    """Measure both sides and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--side", choices=SIDES, help="run one side and print its times")
    parser.add_argument("--trials", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(SIDES[options.side](options.folder, options.trials)))
        return
    numbers = {"default": 4, "ours": 8} if options.quick else {"default": 14, "ours": 40}
    rows, median_s = [], {}
    for side, trials in numbers.items():
        with _common.scratch() as folder:
            found = measured(side, trials, folder)
        each = seconds_a_trial(found["starts"], found["slots"])
        median_s[side] = median(each)
        rows.append(
            {
                "side": side,
                "slots": found["slots"],
                "trials": trials,
                "seconds_a_trial": median_s[side],
                "lowest": min(each),
                "highest": max(each),
                "of_which_training": found.get("training", 0.0),
                "wall_with_start_of_ray": found["wall"],
            }
        )
    _common.print_table(rows)
    aim = _common.against_aim(
        "seconds a trial after a slot's first", median_s["ours"], 0.5, at_most=True, unit="s"
    )
    _common.finish(
        "start",
        quick=options.quick,
        aims=[aim],
        ratio=median_s["default"] / median_s["ours"],
        sides=rows,
    )


if __name__ == "__main__":
    main()
