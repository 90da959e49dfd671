"""How well a finished study used the machine, and how long it would have taken the usual way.

Takes the ledger of a study in VIDCLASS_HOME (`make study` first) for the wall side.
(a) Efficiency: seconds of training, evaluation, scoring and floors of the same steps run alone in
    one process, over the wall seconds of the trial phase times its slots. The seconds alone are
    measured on one trial an arm (its job run again by `run_job`, two epochs and the scoring with
    all perturbations) and the floors, and scaled by the ledger's epochs and the clips scored.
    The same epochs are also run in all slots at once: what the machine itself loses by that
    (memory, caches, hyperthreads) is the ceiling of the efficiency. Aim: 0.8.
(b) Speed: the same study the usual way (`usual_way.py`: each trial a process of its own, decord in
    a DataLoader with one worker, the same model, epochs and evaluations), over the wall seconds of
    the study, building of the store included. The usual way is measured on one trial an arm, as
    many at once as there are slots, and scaled likewise; its trials are taken to fill all slots
    without a gap, and floors are left out, both in its favour. Aim: 5 times faster.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import _common
import pandas as pd
from _jobs import as_final, epoch_seconds, job_again
from epoch import result_of, split_tables, start_usual, usual_job

from vidclass.home import home as user_home
from vidclass.models import model_entry
from vidclass.sweep.job import PERTURBATIONS
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial, replay

EPOCHS = 2
Clips = Counter[tuple[int, str]]


def main() -> None:
    """Measure both comparisons and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--study", default="fusion_study", help="a finished study's name")
    parser.add_argument("--worker", type=Path, help="run the jobs of this file, print seconds")
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(run_jobs(options.worker)))
        return
    folder = user_home() / "studies" / options.study
    if not (folder / "ledger.jsonl").exists():
        sys.exit(f"no study {options.study} in {user_home()}: run `make study` first")
    state = replay(folder / "ledger.jsonl")
    if state.end_reason != "complete":
        sys.exit(f"the study {options.study} is not finished: run `make study` again")
    with _common.scratch() as root:
        measure(state, folder, root, quick=options.quick)


def measure(state: State, folder: Path, root: Path, *, quick: bool) -> None:
    """Run the samples, scale them, write the result."""
    spec = StudySpec.model_validate(state.spec)
    slots = state.started["slots"]
    sample = sampled_trials(state)
    jobs = [
        job_again(state, spec, trial, folder.name, epochs=EPOCHS, collapse_after=0, patience=0)
        for trial in sample
    ]
    floors = [job_again(state, spec, trial, folder.name) for trial in state.select(kind="floors")]
    finals = [as_final(job, job["trial"]) for job in jobs]
    alone = results([worker(root / "alone", folder, [*finals, *floors[:1]])])[0]
    together = results([worker(root / f"slot{n}", folder, jobs) for n in range(slots)])
    usual = usual_way(jobs, folder, root, slots)

    clips = clip_counts(folder, spec.data.views)
    first = sample[0].fold
    scored_clips = {
        job["arm"]: num_scored(clips, first, "final", job["config"]["model"], spec) for job in jobs
    }
    rows, work = [], alone["floors"]["seconds"] * len(floors)
    at_once = work
    usual_work = 0.0
    for trial in sample:
        arm, model = trial.arm, trial.config["model"]
        own, its = alone[arm], usual[arm]
        own_epoch = median(own["epochs"])
        slot_epoch = median(value for each in together for value in each[arm]["epochs"])
        own_score = own["scoring"] / scored_clips[arm]
        its_first, its_later = (sum(its["epochs"][n].values()) for n in (0, 1))
        its_score = its["seconds_test"] / its["num_clips"]["test"]
        trials = [each for each in state.trials.values() if each.arm == arm]
        epochs = scored = 0.0
        for each in trials:
            scale = passed(clips, each.fold) / passed(clips, first)
            epochs += len(each.epochs) * scale
            usual_work += its["seconds_start"] + scale * (its_first - its_later)
            if each.trial in state.finals:
                scored += num_scored(clips, each.fold, each.kind, model, spec, each.variant)
        work += epochs * own_epoch + scored * own_score
        at_once += epochs * slot_epoch + scored * own_score * slot_epoch / own_epoch
        usual_work += epochs * its_later + scored * its_score
        rows.append(
            {
                "arm": arm,
                "trials": len(trials),
                "epochs": sum(len(each.epochs) for each in trials),
                "clips_scored": int(scored),
                "epoch_s_alone": own_epoch,
                "epoch_s_in_all_slots": slot_epoch,
                "usual_start_s": its["seconds_start"],
                "usual_epoch_s": its_later,
                "usual_score_ms_a_clip": 1000 * its_score,
            }
        )
    wall = state.seconds - state.data["seconds"]["find"]
    wall_trials = state.seconds - state.data["seconds"]["all"]
    efficiency, usual_wall = work / (wall_trials * slots), usual_work / slots
    _common.print_table(rows)
    figures = {
        "wall_s": wall,
        "wall_of_trials_s": wall_trials,
        "slots": slots,
        "videos_decoded_by_the_study": state.data.get("decoded"),
        "alone_s": work,
        "alone_floors_s": alone["floors"]["seconds"],
        "efficiency_ceiling": work / at_once,
        "usual_wall_s": usual_wall,
        "usual_over_trials_only": usual_wall / wall_trials,
    }
    _common.print_table([figures])
    told = (
        f"one trial an arm of {len(state.trials)} trials: {EPOCHS} epochs and one scoring each, "
        "scaled to the epochs and scored clips in the ledger"
    )
    _common.finish(
        "study",
        quick=quick,
        aims=[
            _common.against_aim("efficiency: alone / (wall x slots)", efficiency, 0.8),
            _common.against_aim("times faster than the usual way", usual_wall / wall, 5.0),
        ],
        study=folder.name,
        study_hardware=state.started["hardware"],
        extrapolated_from={"alone": told, "usual_way": told},
        ratio=usual_wall / wall,
        figures=figures,
        arms=rows,
        usual_measured=usual,
    )


def sampled_trials(state: State) -> list[Trial]:
    """Return the first search trial of every arm that went through an epoch."""
    found: dict[str, Trial] = {}
    for trial in state.select(kind="search"):
        if trial.epochs:
            found.setdefault(trial.arm, trial)
    return list(found.values())


def clip_counts(folder: Path, views: int) -> Clips:
    """Return the clips of a pass for each fold and split."""
    splits = pd.read_parquet(folder / "splits.parquet")
    counts: Clips = Counter(zip(splits["fold"], splits["split"], strict=True))
    for fold, split in counts:
        counts[fold, split] *= 1 if split == "train" else views
    return counts


def passed(clips: Clips, fold: int) -> int:
    """Return the clips of one epoch: training and validation."""
    return clips[fold, "train"] + clips[fold, "valid"]


def num_scored(
    clips: Clips, fold: int, kind: str, model: str, spec: StudySpec, variant: str = "kept"
) -> int:
    """Return the clips that scoring a trial passes through the model."""
    test, train = clips[fold, "test"], clips[fold, "train"]
    perturbed = spec.finals.perturbations and variant == "kept" and model_entry(model).uses_order
    return test + (len(PERTURBATIONS) * (train + test) if perturbed and kind == "final" else 0)


def worker(home: Path, study: Path, jobs: list[dict[str, Any]]) -> subprocess.Popen[str]:
    """Start a process that runs ``jobs`` one after the other below a home of its own."""
    folder = home / "studies" / study.name
    folder.mkdir(parents=True)
    for file in ("manifest.parquet", "splits.parquet"):
        shutil.copy(study / file, folder)
    (home / "store").symlink_to(user_home() / "store")
    file = home / "jobs.json"
    file.write_text(json.dumps(jobs))
    return subprocess.Popen(
        [sys.executable, __file__, "--worker", str(file)], stdout=subprocess.PIPE, text=True
    )


def results(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
    """Wait for workers and return what they measured."""
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("a process of the sample failed")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def run_jobs(file: Path) -> dict[str, dict[str, Any]]:
    """Run the jobs of ``file``; return the seconds of their epochs and of their scoring."""
    from vidclass.sweep.job import run_job

    measured = {}
    for job in json.loads(file.read_text()):
        epochs: list[float] = []
        at: dict[str, float] = {}

        def report(
            message: str,
            payload: dict[str, Any],
            epochs: list[float] = epochs,
            at: dict[str, float] = at,
        ) -> None:
            at[message] = time.perf_counter()
            if message == "epoch":
                epochs.append(epoch_seconds(payload["metrics"]))

        started = time.perf_counter()
        run_job(job, file.parent, report)
        assert "ended" in at, job
        scoring = at["scored"] - at["epoch"] if "scored" in at else None
        measured[job["arm"]] = {
            "epochs": epochs,
            "scoring": scoring,
            "seconds": time.perf_counter() - started,
        }
    return measured


def usual_way(
    jobs: list[dict[str, Any]], folder: Path, root: Path, slots: int
) -> dict[str, dict[str, Any]]:
    """Run one usual trial an arm, ``slots`` at once; return what each measured."""
    tables = split_tables(folder, jobs[0]["classes"])
    pd.concat(tables.values()).to_csv(root / "table.csv", index=False)
    waiting = list(jobs)
    running: list[tuple[str, subprocess.Popen[str]]] = []
    found = {}
    while waiting or running:
        while waiting and len(running) < slots:
            job = waiting.pop()
            file = root / f"usual-{job['arm']}.json"
            usual = usual_job(job, root / "table.csv", EPOCHS, score=True)
            running.append((job["arm"], start_usual(usual, file)))
        for arm, process in [each for each in running if each[1].poll() is not None]:
            running.remove((arm, process))
            found[arm] = result_of(process)
        time.sleep(0.05)
    return found


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
