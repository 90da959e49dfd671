"""Studies from Python: read their tables, use their best model on a video.

>>> import vidclass
>>> study = vidclass.load_study("fusion_study")  # doctest: +SKIP
>>> study.best_model().predict("some.mp4")  # doctest: +SKIP
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from vidclass.data.as_stored import read_as_stored
from vidclass.data.frame_store import StoreOptions
from vidclass.data.memory_store import MemoryStore
from vidclass.data.motion import motion_frames
from vidclass.data.sample_table import SEPARATOR
from vidclass.errors import UserError
from vidclass.home import home, studies_folder
from vidclass.models.trained import trained_model
from vidclass.sweep.engine import job_data
from vidclass.sweep.job_data import clip_dataset, steps_of, transform_of
from vidclass.sweep.policy import DEPLOY_FOLD
from vidclass.sweep.state import State, Trial, replay
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.evaluate import evaluate
from vidclass.training.scoring import decisions

__all__ = ["BestModel", "Study", "load_study"]


def load_study(name: str) -> "Study":
    """Return the study ``name`` of the home folder.

    Raises:
        UserError: when there is none; it names those that there are.
    """
    folder = studies_folder(home()) / name
    if not (folder / "ledger.jsonl").exists():
        there = sorted(path.parent.name for path in studies_folder(home()).glob("*/ledger.jsonl"))
        raise UserError(
            "a study is known by its folder's name in the home folder",
            name,
            f"one of: {', '.join(there)}" if there else "run one: python -m vidclass.sweep smoke",
        )
    return Study(name, folder)


@dataclass(frozen=True)
class Study:
    """A study as its folder tells it, running or ended."""

    name: str
    folder: Path

    @property
    def state(self) -> State:
        """All that its ledger says, read now."""
        return replay(self.folder / "ledger.jsonl")

    def trials(self) -> pd.DataFrame:
        """Return one row a trial: what was asked for, how it ended, its searched values."""
        rows = [_trial_row(trial) for trial in self.state.trials.values()]
        return pd.DataFrame(rows)

    def results(self) -> pd.DataFrame:
        """Return one row a scoring of the test set: finals, controls and floors."""
        state = self.state
        rows: list[dict[str, Any]] = [
            {
                "arm": final.arm,
                "variant": final.variant,
                "fold": final.fold,
                "seed": final.seed,
                "trial": final.trial,
                **final.metrics,
            }
            for final in state.finals.values()
        ]
        rows += [
            {"arm": name, "variant": "floor", "fold": fold, **event["metrics"]}
            for (fold, name), event in state.floors.items()
        ]
        return pd.DataFrame(rows)

    def best_model(self, arm: str | None = None) -> "BestModel":
        """Return a trained model to use on new videos.

        The deployment model where the study has outer folds, else the final of ``arm`` (default:
        the champion, chosen on validation) whose validation score is best.

        Raises:
            UserError: when the study has no such arm, or has not trained such a model yet.
        """
        state = self.state
        known = [each["name"] for each in state.spec.get("arms", ())]
        if arm is not None and arm not in known:
            raise UserError(
                f"a model is of an arm of {self.name}", arm, f"one of: {', '.join(known)}"
            )
        wanted = arm or (state.champion or {}).get("arm")
        trained = [t for t in state.trials.values() if t.arm == wanted and t.ended_well]
        candidates = [t for t in trained if t.kind == "deploy"] or [
            t for t in trained if t.kind == "final" and t.best_checkpoint
        ]
        if not candidates:
            raise UserError(
                "a model can be used once its study has trained the finals of its arm",
                f"{self.name}, arm {wanted or 'not chosen yet'}",
                f"python -m vidclass.sweep {self.name}",
            )
        best = max(candidates, key=lambda trial: (trial.kind == "deploy", trial.best_value or 0.0))
        return BestModel.of(self, state, best)


def _trial_row(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.trial,
        "kind": trial.kind,
        "arm": trial.arm,
        "fold": trial.fold,
        "seed": trial.seed,
        "status": trial.status or "running",
        "epochs": len(trial.epochs),
        "best_epoch": trial.best_epoch,
        "best_value": trial.best_value,
        "seconds": trial.seconds,
        **{f"param_{key}": value for key, value in trial.params.items()},
    }


@dataclass(frozen=True)
class BestModel:
    """A trained model with all that is needed to use it on a file."""

    study: str
    trial: str
    classes: tuple[str, ...]
    model: torch.nn.Module
    job: dict[str, Any]
    store: dict[str, Any]
    thresholds: tuple[float, ...] | None = None
    """From which probability on each class holds; None where exactly one does."""

    @classmethod
    def of(cls, study: Study, state: State, trial: Trial) -> "BestModel":
        """Return the model of ``trial``, its weights read back and verified."""
        job = {
            **job_data(state, trial.config),
            "config": trial.config,
            "seed": trial.seed,
            "fold": DEPLOY_FOLD,
            "variant": "kept",
        }
        assert trial.best_checkpoint is not None
        checkpoints = CheckpointFolder(study.folder / "checkpoints" / trial.trial)
        weights = checkpoints.load_weights(trial.best_checkpoint)
        name, options = trial.config["model"], trial.config["options"]
        return cls(
            study=study.name,
            trial=trial.trial,
            classes=tuple(state.data["classes"]),
            model=trained_model(name, len(state.data["classes"]), options, weights),
            job=job,
            store=(state.spec["data"] | trial.config.get("data", {}))["store"],
            thresholds=checkpoints.load_thresholds(trial.best_checkpoint),
        )

    def predict(self, *videos: str | Path) -> pd.DataFrame:
        """Return one row a video: its path, the class (or classes), the probability of each.

        Decoding, window and preprocessing are those of the study.

        Raises:
            DecodeError: for a file that can't be decoded, with the reason.
        """
        if steps_of(self.job) is not None:
            raise UserError(
                "predict takes models of clips",
                f"{self.job['config']['model']} answers at every step of a recording",
                "the best model of another arm: best_model(ARM)",
            )
        options = StoreOptions.model_validate(self.store)
        shows = self.job["input"]
        decoded = {}
        for path in videos:
            frames, fps = read_as_stored(path, options)
            decoded[str(path)] = (motion_frames(frames, shows), fps)
        table = pd.DataFrame({"video_id": list(decoded), "group": list(decoded)})
        if self.thresholds is None:
            table["label_id"] = 0
        else:
            table["label_ids"] = [()] * len(table)
        data = clip_dataset(self.job, MemoryStore(decoded), table, order="kept")
        predicted = evaluate(
            self.model,
            data,
            transform=transform_of(self.job),
            batch_size=16,
            device=torch.device("cpu"),
        )
        probabilities = pd.DataFrame(predicted.prob_NK, columns=list(self.classes))
        said = decisions(predicted.prob_NK, self.thresholds)
        named = [
            SEPARATOR.join(self.classes[k] for k in np.flatnonzero(answer))
            if said.ndim == 2
            else self.classes[answer]
            for answer in said
        ]
        return pd.concat(
            [pd.DataFrame({"video": list(decoded), "prediction": named}), probabilities], axis=1
        )
