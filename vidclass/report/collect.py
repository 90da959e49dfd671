"""Gathers what a study has left on the disk into tidy tables; no other part of the page reads.

Sources: the ledger (replayed into a ``State``), the prediction files, the manifest and the splits
of the study's folder, the exposure counter of the home folder and the model registry.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidclass.data.manifest import read_manifest, usable
from vidclass.errors import UserError
from vidclass.models import model_entry
from vidclass.models.profile import profile
from vidclass.sweep.exposure import Exposure, read_exposure
from vidclass.sweep.predictions import class_columns
from vidclass.sweep.resolution import Resolution, resolution_of
from vidclass.sweep.spec import ArmSpec, StudySpec
from vidclass.sweep.state import State, Trial, replay

__all__ = [
    "PREDICTION_COLUMNS",
    "ModelFacts",
    "StudyTables",
    "answer_columns",
    "collect",
    "find_study_folder",
]

COMPLETE = "complete"
PREDICTION_COLUMNS = (
    "arm",
    "kind",
    "variant",
    "seed",
    "seed_index",
    "fold",
    "sample_id",
    "video_id",
    "group",
)
"""What every prediction has; then `label_id` and `pred_id`, or where several classes may hold
y0 ... (holds) and d0 ... (is said to hold); then the probabilities p0 ..."""


@dataclass(frozen=True)
class ModelFacts:
    """What the registry says of an arm's model; it needs no data and no weights.

    Attributes:
        parameters: trainable weights.
        gmacs: multiply-accumulates of one clip, in 10^9.
        frames: which frames of the window the model looks at.
        uses_order: whether the order of those frames can change its answer.
    """

    parameters: int
    gmacs: float
    frames: tuple[int, ...]
    uses_order: bool

    @property
    def num_frames(self) -> int:
        """How many frames the model looks at."""
        return len(self.frames)


@dataclass(frozen=True)
class StudyTables:
    """All that a report is made from.

    Attributes:
        name: the folder's name.
        state: the ledger, replayed.
        spec: the study file as it ran.
        manifest: one row a video, or empty before the data were ready.
        splits: video_id, fold, split.
        trials: one row a trial.
        epochs: one row an epoch of a trial, metrics as columns.
        finals: predictions of scored trials, one a sample: ``PREDICTION_COLUMNS`` and what follows.
        floors: the same for the floors, whose name stands in ``arm``.
        exposure: how often the test set has been scored; None before the data were ready.
        models: facts of each arm's model; an arm whose model is not registered here is missing.
        samples: the sample table where samples are windows or show several classes; else a row a
            video with its ``label_id``. Empty before the data were ready.
        unreadable: prediction files that the ledger names and the folder lacks.
        extended_after_test: whether trials were added after the test set had been scored.
        resolution: what validation says that the finals resolve, where it is known.
    """

    name: str
    state: State
    spec: StudySpec
    manifest: pd.DataFrame
    splits: pd.DataFrame
    trials: pd.DataFrame
    epochs: pd.DataFrame
    finals: pd.DataFrame
    floors: pd.DataFrame
    exposure: Exposure | None
    models: dict[str, ModelFacts]
    samples: pd.DataFrame
    unreadable: tuple[str, ...] = ()
    extended_after_test: bool = False
    resolution: Resolution | None = None

    @property
    def classes(self) -> list[str]:
        """The class names, in the order of label ids."""
        return list(self.state.data.get("classes", ()))

    @property
    def arms(self) -> list[str]:
        """The arms in the order of the study file."""
        return [arm.name for arm in self.spec.arms]

    @property
    def num_folds(self) -> int:
        """Outer folds; 1 is one split."""
        return int(self.state.data.get("folds", 1))

    @property
    def several(self) -> bool:
        """Whether any number of classes may hold at a time."""
        return self.spec.data.task == "multilabel"

    @property
    def unit(self) -> str:
        """What is scored, in the singular: a video, or a window of a recording."""
        return "video" if self.spec.data.windows is None else "window"

    def samples_of(self, split: str) -> pd.DataFrame:
        """Return the samples of ``split`` in all outer folds, with a column ``fold``."""
        if self.splits.empty:
            return self.samples.assign(fold=0)
        wanted = self.splits[(self.splits["split"] == split) & (self.splits["fold"] >= 0)]
        return wanted[["fold", "video_id"]].merge(self.samples, on="video_id")

    @property
    def partial(self) -> bool:
        """Whether the study still runs, was stopped or reached a limit."""
        return self.state.end_reason != COMPLETE


def find_study_folder(name: str, home: Path) -> Path:
    """Return the folder of the study ``name`` below ``home``; a path to one is taken as it is.

    Raises:
        UserError: when there is no ledger; it names the studies that exist.
    """
    root = home / "studies"
    for folder in (root / name, Path(name)):
        if (folder / "ledger.jsonl").is_file():
            return folder
    known = sorted(path.parent.name for path in root.glob("*/ledger.jsonl"))
    raise UserError(
        "a report is made of a study that has been started",
        name,
        f"one of: {', '.join(known)}" if known else f"python -m vidclass.sweep {name}",
    )


def collect(study_folder: Path, home: Path) -> StudyTables:
    """Read all that the folder of a study holds, also of one that still runs.

    Args:
        study_folder: home/studies/NAME.
        home: the home folder.

    Raises:
        UserError: when the ledger is missing, empty or damaged.
    """
    state = replay(study_folder / "ledger.jsonl")
    if not state.spec:
        raise UserError(
            "a report is made of a study whose ledger tells its start",
            study_folder.name,
            "run the study first: python -m vidclass.sweep NAME",
        )
    spec = StudySpec.model_validate(state.spec)
    ready = bool(state.data)
    missing: list[str] = []
    finals, floors = _finals(study_folder, state, missing), _floors(study_folder, state, missing)
    return StudyTables(
        name=study_folder.name,
        state=state,
        spec=spec,
        manifest=read_manifest(study_folder / state.data["manifest"]) if ready else pd.DataFrame(),
        splits=pd.read_parquet(study_folder / state.data["splits"]) if ready else pd.DataFrame(),
        trials=_trials(state),
        epochs=_epochs(state),
        finals=finals,
        floors=floors,
        exposure=_exposure(home, state) if ready else None,
        models=_models(spec, state),
        samples=_samples(study_folder, state) if ready else pd.DataFrame(),
        unreadable=tuple(missing),
        extended_after_test=_extended_after_test(state),
        resolution=resolution_of(state, spec, study_folder) if ready else None,
    )


def _samples(folder: Path, state: State) -> pd.DataFrame:
    file = state.data.get("samples")
    if file is not None:
        return pd.read_parquet(folder / file)
    ids = {name: number for number, name in enumerate(state.data["classes"])}
    videos = usable(read_manifest(folder / state.data["manifest"]))
    return videos[["video_id", "group"]].assign(label_id=videos["label"].map(ids))


def _exposure(home: Path, state: State) -> Exposure:
    return read_exposure(home, state.data["content_hash"], state.data["split_hash"])


def _extended_after_test(state: State) -> bool:
    """Say whether a search trial was proposed after a final had been scored."""
    first = min((final.time for final in state.finals.values()), default=float("inf"))
    searched = state.select(kind="search")
    return any(trial.proposed_at > first for trial in searched)


def _trials(state: State) -> pd.DataFrame:
    rows = [
        {
            "trial": trial.trial,
            "kind": trial.kind,
            "arm": trial.arm,
            "fold": trial.fold,
            "number": trial.number,
            "seed": trial.seed,
            "variant": trial.variant,
            "parent": trial.parent,
            "status": trial.status or "running",
            "reason": trial.reason,
            "attempts": len(trial.attempts),
            "epochs_planned": trial.epochs_planned,
            "epochs_run": len(trial.epochs),
            "best_epoch": trial.best_epoch,
            "best_value": _number(trial.best_value),
            "seconds": trial.seconds,
            **{f"param.{key}": value for key, value in trial.params.items()},
        }
        for trial in state.trials.values()
        if trial.kind != "floors"
    ]
    columns = ["trial", "kind", "arm", "fold", "status", "best_value", "seconds", "epochs_run"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _epochs(state: State) -> pd.DataFrame:
    rows = [
        {
            "trial": trial.trial,
            "kind": trial.kind,
            "arm": trial.arm,
            "fold": trial.fold,
            "attempt": epoch.attempt,
            "epoch": epoch.epoch,
            "time": epoch.time,
            **{name: _number(value) for name, value in epoch.metrics.items()},
        }
        for trial in state.trials.values()
        for _, epoch in sorted(trial.epochs.items())
    ]
    columns = ["trial", "kind", "arm", "fold", "attempt", "epoch", "time"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def _finals(folder: Path, state: State, missing: list[str]) -> pd.DataFrame:
    parts = []
    for final in state.finals.values():
        trial: Trial = state.trials[final.trial]
        table = _read(folder, final.predictions, missing)
        if table is not None:
            parts.append(
                table.assign(
                    arm=final.arm,
                    kind=trial.kind,
                    variant=final.variant,
                    seed=final.seed,
                    seed_index=trial.number,
                )
            )
    return _tidy(parts)


def _floors(folder: Path, state: State, missing: list[str]) -> pd.DataFrame:
    parts = []
    for (_, floor), event in state.floors.items():
        table = _read(folder, event["predictions"], missing)
        if table is not None:
            parts.append(
                table.assign(arm=floor, kind="floor", variant="kept", seed=0, seed_index=1)
            )
    return _tidy(parts)


def _read(folder: Path, file: str, missing: list[str]) -> pd.DataFrame | None:
    path = folder / file
    if not path.is_file():
        # a running study may have said that it scored and not yet renamed the file
        missing.append(file)
        return None
    table = pd.read_parquet(path)
    if "sample_id" not in table:  # as written before samples could be parts of videos
        table["sample_id"] = table["video_id"]
    if "label_id" in table:
        prob_NK = table[class_columns(table, "p")].to_numpy()
        table["pred_id"] = prob_NK.argmax(axis=1).astype(np.int64)
    return table


def _tidy(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame(columns=list(PREDICTION_COLUMNS))
    whole = pd.concat(parts, ignore_index=True)
    return whole[[*PREDICTION_COLUMNS, *answer_columns(whole), *class_columns(whole, "p")]]


def answer_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table of predictions that say what is there and what was said."""
    several = [*class_columns(table, "y"), *class_columns(table, "d")]
    return several or [name for name in ("label_id", "pred_id") if name in table]


def _models(spec: StudySpec, state: State) -> dict[str, ModelFacts]:
    facts = {}
    for arm in spec.arms:
        trials = state.select(arm=arm.name)
        finals = [trial for trial in trials if trial.kind == "final"] or trials
        if not finals:
            continue
        try:
            facts[arm.name] = _facts(arm, finals[-1].config["options"], state)
        except UserError:  # a plug-in's model that is not loaded here
            continue
    return facts


def _facts(arm: ArmSpec, options: dict[str, Any], state: State) -> ModelFacts:
    entry = model_entry(arm.model)
    resolved = entry.options.model_validate(options)
    positions = entry.frame_positions(resolved.window_frames, resolved)
    cost = profile(arm.model, len(state.data["classes"]), **options)
    return ModelFacts(
        parameters=cost.parameters,
        gmacs=cost.gmacs,
        frames=tuple(positions.indices),
        uses_order=entry.uses_order,
    )
