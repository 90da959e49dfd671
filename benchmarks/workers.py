"""Trials of two workers: seconds from a trial's proposal to its first step, the first and later.

One side is Ray Train: a Tune function that runs a TorchTrainer of two workers, each of which
imports what ours import, adds up a tensor over both and reports. The other is a study with
``workers: 2``: the trial is worker 0, and the further one an actor in the trial's own bundles; its
trials do train. Both stop every second trial early, and one trial follows the other on two CPUs.
The time of the first step of ours is that of the first epoch's report less the epoch's seconds.
Each side has 200 seconds; the whole ends in under eight minutes, and says where it is.
Aim: under 5 s for a first trial, and under 1 s for those after it.
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

WORKERS = 2
LIMIT_S = 200.0
"""How long a side may take: Ray Train's may wait for ever."""
SPEC = """
study: workers
workers: {workers}
slots: {workers}
data:
  source: moving_shapes
  preset: smoke
  window: {{span_s: 1.0, num_frames: 10}}
  input_size: 32
train: {{batch_size: 32}}
budget: {{trials: {trials}, epochs: 2}}
search: {{halving: {{min_epochs: 1, reduction: 2}}}}
finals: {{seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 0, perturbations: false,
          fewer_videos: []}}
arms:
  - name: slow
    model: slow_fusion
    fixed: {{width: 0.125, norm: none}}
    search: {{lr: {{low: 1.0e-3, high: 4.0e-3, log: true}}}}
"""


def train_worker(config: dict[str, Any]) -> None:
    """Be a worker of Ray Train: import what a trial of ours imports, exchange once, report."""
    import torch
    import torch.distributed as dist
    from ray import train

    import vidclass.sweep.job  # noqa: F401

    dist.all_reduce(torch.ones(1))
    first = time.time()
    for _ in range(config["reports"]):
        train.report({"first_step": first})
        time.sleep(0.2)


def train_trial(config: dict[str, Any]) -> None:
    """Run a TorchTrainer in a Tune function, as Ray's guide does."""
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        train_worker,
        train_loop_config=config,
        scaling_config=train.ScalingConfig(
            num_workers=WORKERS, resources_per_worker={"CPU": config["cpus"]}
        ),
        run_config=train.RunConfig(
            name=tune.get_context().get_trial_id(), callbacks=[TuneReportCallback()]
        ),
    ).fit()


def train_side(folder: Path, trials: int) -> dict[str, Any]:
    """Run TorchTrainer trials one after the other.

    Ray Train frees the CPUs of a stopped trial through the State API: it needs the dashboard, and
    the address, without which it fails where another Ray runs on the machine and the next trial
    waits for ever.
    """
    os.environ["RAY_TMPDIR"] = str(folder)  # where the cluster notes its address, below ray/
    import ray
    from ray import tune
    from ray.cluster_utils import Cluster

    starts: list[float] = []
    ends: list[float] = []

    class Times(tune.Callback):
        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            starts.append(time.time())
            print(f"ray_train: trial {len(starts)} starts", file=sys.stderr, flush=True)

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
            ends.append(time.time())

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"include_dashboard": True, "temp_dir": str(folder / "ray")},
    )
    ray.init(
        cluster.address,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"RAY_ADDRESS": cluster.address}},
    )
    cpus = min(1.0, ray.cluster_resources()["CPU"] / WORKERS)
    results = tune.Tuner(
        # a head bundle with CPU would wait for ever for its workers on as many CPUs as workers
        tune.with_resources(train_trial, tune.PlacementGroupFactory([{"memory": 1}])),
        param_space={
            "reports": tune.grid_search([2 + 8 * (n % 2) for n in range(trials)]),
            "cpus": cpus,
        },
        tune_config=tune.TuneConfig(max_concurrent_trials=1),
        run_config=tune.RunConfig(
            storage_path=str(folder / "tune"),
            verbose=0,
            stop={"training_iteration": 2},
            callbacks=[Times()],
        ),
    ).fit()
    first_steps = sorted(result.metrics["first_step"] for result in results)
    ray.shutdown()
    cluster.shutdown()
    return {
        "to_first_step": [step - start for step, start in zip(first_steps, starts, strict=True)],
        "between_trials": [step - end for step, end in zip(first_steps[1:], ends, strict=False)],
        "stopped": sum(n % 2 for n in range(trials)),
    }


def our_side(folder: Path, trials: int) -> dict[str, Any]:
    """Run a study of two workers a trial; everything is in its ledger."""
    from rich.console import Console

    from vidclass.sweep.load import load_study_file
    from vidclass.sweep.runner import run
    from vidclass.sweep.screen import Screen
    from vidclass.sweep.state import replay

    os.environ["VIDCLASS_RAY_TEMP"] = str(folder / "r")
    file = folder / "workers.yaml"
    file.write_text(SPEC.format(workers=WORKERS, trials=trials))
    screen = Screen(Console(file=sys.stderr))
    outcome = run(load_study_file(str(file)), folder / "h", screen)
    state = replay(outcome.folder / "ledger.jsonl")
    search = state.select(kind="search")
    proposed = proposals(outcome.folder / "ledger.jsonl")
    steps = []
    for trial in search:
        first = trial.epochs[1]
        spent = sum(first.metrics[f"seconds_{part}"] for part in ("data", "step", "eval"))
        steps.append(first.time - spent)
    ended = [trial.attempts[0].ended_at or 0.0 for trial in search]
    return {
        "to_first_step": [
            step - proposed[trial.trial] for step, trial in zip(steps, search, strict=True)
        ],
        "between_trials": [step - end for step, end in zip(steps[1:], ended, strict=False)],
        "stopped": sum(trial.status == "stopped" for trial in search),
    }


def proposals(ledger: Path) -> dict[str, float]:
    """Return when each trial was proposed."""
    from vidclass.sweep.ledger import read_events

    return {
        event["trial"]: event["time"]
        for event in read_events(ledger)
        if event["event"] == "trial_proposed"
    }


SIDES = {"ours": our_side, "ray_train": train_side}


def measured(side: str, trials: int, folder: Path) -> dict[str, Any] | None:
    """Run a side in a process of its own and return what it printed last, None if it hung."""
    print(f"{side}: {trials} trials, {LIMIT_S:.0f} s at most", flush=True)
    command = [sys.executable, __file__, "--side", side, "--trials", str(trials)]
    process = subprocess.Popen(
        [*command, "--folder", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()  # Ray's processes end with it
        process.wait()
        return None
    if process.returncode:
        sys.exit(f"{side}: exit code {process.returncode}")
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def row_of(side: str, trials: int, found: dict[str, Any] | None) -> dict[str, Any]:
    """Return a side's row of the table; it has no figures where the side hung."""
    row: dict[str, Any] = {"side": side, "trials": trials}
    if found is None:
        return {**row, "stopped_early": f"not done after {LIMIT_S:.0f} s"}
    return {
        **row,
        "stopped_early": found["stopped"],
        "first_trial_s": found["to_first_step"][0],
        "later_trials_s": median(found["to_first_step"][1:]),
        "from_end_to_next_step_s": median(found["between_trials"]),
    }


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
    numbers = {"ours": 3, "ray_train": 2} if options.quick else {"ours": 8, "ray_train": 3}
    rows = []
    for side, trials in numbers.items():
        with _common.scratch() as folder:
            rows.append(row_of(side, trials, measured(side, trials, folder)))
    _common.print_table(rows)
    ours = rows[0]
    aims = [
        _common.against_aim(
            f"seconds to the first step of {what} of two workers",
            ours.get(column),
            aim,
            at_most=True,
            unit="s",
        )
        for what, column, aim in (
            ("a first trial", "first_trial_s", 5.0),
            ("a later trial", "later_trials_s", 1.0),
        )
    ]
    _common.finish("workers", quick=options.quick, aims=aims, sides=rows)


if __name__ == "__main__":
    main()
