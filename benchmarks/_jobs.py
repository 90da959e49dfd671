"""Jobs of the engine without an engine: what a study would hand to its trials."""

from pathlib import Path
from typing import Any

import _common  # noqa: F401 - sets threads before torch is imported

from vidclass.data.manifest import usable, write_manifest
from vidclass.data.pipeline import prepare
from vidclass.data.readers import read_dataset
from vidclass.sweep.engine import job_data
from vidclass.sweep.load import load_study_file, trial_config
from vidclass.sweep.prepare import divide
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial

Job = dict[str, Any]


def study_folder(home: Path, folder: Path, overrides: tuple[str, ...]) -> tuple[StudySpec, Job]:
    """Prepare the data of fusion_study below ``home``; write manifest and splits to ``folder``.

    Returns:
        The spec with ``overrides`` made, and what all jobs of the study share.
    """
    spec = load_study_file("fusion_study", overrides=overrides).spec
    data = spec.data
    dataset = read_dataset(data.source, preset=data.preset, seed=data.seed, home=home)
    prepared = prepare(dataset, data.store, home)
    videos = usable(prepared.manifest)
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(prepared.manifest, folder / "manifest.parquet")
    divide(videos, data).to_parquet(folder / "splits.parquet", index=False)
    facts = {"classes": sorted(videos["label"].unique()), "store_key": prepared.store.path.name}
    state = State(spec=spec.model_dump(mode="json"), data=facts)
    return spec, {**job_data(state, {}), "study": folder.name}


def arm_job(spec: StudySpec, shared: Job, name: str, trial: str, *, kind: str = "search") -> Job:
    """Return a job of the arm ``name`` at the start point of its search."""
    arm = spec.arm(name)
    config = trial_config(spec, arm, arm.start)
    return {**shared, **_rest(trial, kind, name, 0, 0, "kept", config, spec)}


def job_again(state: State, spec: StudySpec, trial: Trial, study: str, **train: Any) -> Job:
    """Return the job of a trial that a study has run, with training fields changed."""
    config = {**trial.config, "train": {**trial.config["train"], **train}}
    rest = _rest(
        trial.trial, trial.kind, trial.arm, trial.fold, trial.seed, trial.variant, config, spec
    )
    return {**job_data(state, config), "study": study, **rest}


def _rest(
    trial: str,
    kind: str,
    arm: str,
    fold: int,
    seed: int,
    variant: str,
    config: dict[str, Any],
    spec: StudySpec,
) -> Job:
    return {
        "trial": trial,
        "attempt": 1,
        "resume_from": None,
        "kind": kind,
        "arm": arm,
        "fold": fold,
        "seed": seed,
        "variant": variant,
        "config": config,
        "select": f"valid_{spec.primary.metric}",
        "perturbations": spec.finals.perturbations,
        "floors": spec.floors.model_dump(mode="json"),
        "plugins": [],
    }


def as_final(job: Job, trial: str) -> Job:
    """Return ``job`` as one that is scored on test at its end, perturbations included."""
    return {**job, "trial": trial, "kind": "final", "variant": "kept"}


def epoch_seconds(metrics: dict[str, float]) -> float:
    """Return the seconds of training and evaluation of one epoch."""
    return sum(metrics[f"seconds_{part}"] for part in ("data", "step", "eval"))
