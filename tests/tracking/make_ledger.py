"""Writes a small study with the real ledger, real checkpoints and real prediction files.

The events are those of ``vidclass.sweep.engine``, in its order: floors, a search with a retried, a
stopped and a collapsed trial, winners, finals and controls, the champion.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from vidclass.home import studies_folder
from vidclass.models import create_model, model_entry, validate_options
from vidclass.sweep.ledger import Ledger
from vidclass.sweep.spec import StudySpec
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig

NAME = "small"
CLASSES = ["down", "left", "right"]
ARMS = {"single": "single_frame", "early": "early_fusion"}
OPTIONS = {"width": 0.1, "input_size": 32, "window_frames": 4}
EPOCHS = 3
NUM_TEST = 12
Step = tuple[str, dict[str, Any]]


def spec(arms: Mapping[str, str] = ARMS) -> StudySpec:
    search = {"lr": {"low": 1e-3, "high": 1e-2, "log": True}}
    return StudySpec.model_validate(
        {
            "study": NAME,
            "title": "Does early fusion help?",
            "data": {"window": {"span_s": 1.0, "num_frames": 4}, "views": 2},
            "budget": {"epochs": EPOCHS, "trials": 3},
            "arms": [{"name": n, "model": model, "search": search} for n, model in arms.items()],
        }
    )


class StudySteps:
    """Yields the events of the study, writing the files that each of them speaks of before it."""

    def __init__(self, folder: Path, arms: Mapping[str, str] = ARMS) -> None:
        self.folder = folder
        self.arms = arms
        self.rng = np.random.default_rng(0)
        self.count = 0

    def __iter__(self) -> Iterator[Step]:
        yield from self.begin()
        yield from self.floors()
        best = {}
        for arm in ARMS:
            best[arm] = self.name()
            yield from self.trial(best[arm], "search", arm, 1, lr=0.004)
            yield from self.trial(self.name(), "search", arm, 2, lr=0.002, status="stopped")
        yield from self.retried(self.name(), "single", 3)
        yield from self.trial(self.name(), "search", "early", 3, lr=0.01, status="collapsed")
        for arm, trial in best.items():
            yield "winner", {"arm": arm, "fold": 0, "trial": trial, "mean": 0.6, "runs": []}
        yield "comparisons_declared", {"primary": {}, "comparisons": "all_pairs", "hash": "c0de"}
        for arm, trial in best.items():
            for number in (1, 2):
                yield from self.scored("final", arm, number, trial, "kept")
        yield from self.scored("control", "early", 1, best["early"], "shuffled")
        yield "champion", {"arm": "early", "valid_mean": 0.6, "chosen_on": "validation"}
        yield "study_ended", {"reason": "complete"}

    def name(self) -> str:
        self.count += 1
        return f"t{self.count:04d}"

    def begin(self) -> Iterator[Step]:
        facts = {"version": "0.1.0", "schema": 1, "hardware": {}, "slots": 2, "profile": "laptop"}
        (self.folder / "spec.yaml").write_text("study: small\n")
        yield (
            "study_started",
            {"spec": spec(self.arms).model_dump(mode="json"), "spec_hash": "5f" * 32, **facts},
        )
        splits = ["train"] * 24 + ["valid"] * 6 + ["test"] * NUM_TEST
        ids = [f"v{n:02d}.mp4" for n in range(len(splits))]
        table = pd.DataFrame({"video_id": ids, "fold": 0, "split": splits})
        table.to_parquet(self.folder / "splits.parquet", index=False)
        yield (
            "data_ready",
            {
                "content_hash": "ab" * 32,
                "split_hash": "cd" * 32,
                "store_key": "ef" * 32,
                "classes": CLASSES,
                "num_videos": len(ids),
                "num_quarantined": 0,
                "num_groups": len(ids),
                "groups_known": True,
                "folds": 1,
                "seconds": {"all": 1.0},
                "manifest": "manifest.parquet",
                "splits": "splits.parquet",
            },
        )

    def floors(self) -> Iterator[Step]:
        trial = self.name()
        config = {"model": "floors", "options": {}, "train": {"epochs": 0}}
        yield self.proposed(trial, "floors", "floors", 1, {}, config)
        yield "trial_started", {"trial": trial, "attempt": 1, "node": "here", "pid": 1}
        for floor in ("majority", "metadata"):
            file = f"artifacts/floors/0-{floor}.parquet"
            metrics = self.predictions(file, 0.3)
            yield (
                "floor_scored",
                {
                    "fold": 0,
                    "trial": trial,
                    "floor": floor,
                    "metrics": metrics,
                    "predictions": file,
                },
            )
        yield self.ended(trial, "completed", None)

    def config(self, arm: str, lr: float, **train: Any) -> dict[str, Any]:
        model = self.arms[arm]
        options = OPTIONS if model in ARMS.values() else model_entry(model).quick_options
        return {
            "model": model,
            "options": validate_options(model, options).model_dump(mode="json"),
            "train": TrainConfig(epochs=EPOCHS, lr=lr, **train).model_dump(mode="json"),
        }

    def trial(
        self, trial: str, kind: str, arm: str, number: int, lr: float, **options: Any
    ) -> Iterator[Step]:
        status = options.pop("status", "completed")
        config, params = self.config(arm, lr), {"lr": lr}
        yield self.proposed(trial, kind, arm, number, params, config, **options)
        yield "trial_started", {"trial": trial, "attempt": 1, "node": "here", "pid": 1}
        last = EPOCHS if status == "completed" else 2
        for epoch in range(1, last + 1):
            yield self.epoch(trial, epoch, 1)
        if kind in ("final", "control"):
            self.save_best(trial, last, config)
            yield self.final(trial, arm, number, options["variant"])
        yield self.ended(trial, status, last)

    def retried(self, trial: str, arm: str, number: int) -> Iterator[Step]:
        """A trial that ran out of memory, goes on with half the batch, and repeats an epoch."""
        yield self.proposed(trial, "search", arm, number, {"lr": 0.003}, self.config(arm, 0.003))
        yield "trial_started", {"trial": trial, "attempt": 1, "node": "here", "pid": 1}
        yield self.epoch(trial, 1, 1)
        yield self.ended(trial, "out_of_memory", 1)
        config = self.config(arm, 0.003, batch_size=32)
        yield self.proposed(trial, "search", arm, number, {"lr": 0.003}, config, attempt=2)
        yield "trial_started", {"trial": trial, "attempt": 2, "node": "here", "pid": 2}
        for epoch in range(1, EPOCHS + 1):
            yield self.epoch(trial, epoch, 2)
        yield self.ended(trial, "completed", EPOCHS, attempt=2)

    def scored(self, kind: str, arm: str, number: int, parent: str, variant: str) -> Iterator[Step]:
        options = {"parent": parent, "variant": variant}
        yield from self.trial(self.name(), kind, arm, number, 0.004, **options)

    def proposed(
        self,
        trial: str,
        kind: str,
        arm: str,
        number: int,
        params: dict[str, Any],
        config: dict[str, Any],
        **options: Any,
    ) -> Step:
        return "trial_proposed", {
            "trial": trial,
            "kind": kind,
            "arm": arm,
            "fold": 0,
            "seed": 100 + number,
            "number": number,
            "params": params,
            "config": config,
            "parent": options.get("parent"),
            "epochs": config["train"]["epochs"],
            "attempt": options.get("attempt", 1),
            "resume_from": None,
            "variant": options.get("variant", "kept"),
        }

    def epoch(self, trial: str, epoch: int, attempt: int) -> Step:
        value = round(0.3 + 0.1 * epoch + 0.001 * int(trial[1:]), 4)
        metrics = {
            "train_loss": float("nan") if epoch == 2 else 1.0 / epoch,
            "train_accuracy": value,
            "valid_loss": 1.2 / epoch,
            "valid_accuracy": value,
            "valid_macro_f1": value,
            "valid_log_loss": 1.1 / epoch,
            "lr": 0.003,
            "seconds_step": 0.5,
            "frames_seen": 96.0 * epoch,
        }
        fields = {"checkpoint": f"{epoch}.{attempt}", "best": True}
        return "epoch", {
            "trial": trial, "attempt": attempt, "epoch": epoch, "metrics": metrics, **fields
        }  # fmt: skip

    def save_best(self, trial: str, epoch: int, config: dict[str, Any]) -> None:
        torch.manual_seed(int(trial[1:]))
        model = create_model(config["model"], len(CLASSES), **config["options"])
        folder = CheckpointFolder(self.folder / "checkpoints" / trial, attempt=1)
        folder.save_best(epoch, model.state_dict(), {})

    def final(self, trial: str, arm: str, number: int, variant: str) -> Step:
        file = f"artifacts/{trial}/test_predictions.parquet"
        metrics = self.predictions(file, 0.7)
        perturbed = {"reversed": {"accuracy": 0.2, "confusion": [[1, 0, 0]] * 3}}
        return "final_scored", {
            "trial": trial,
            "arm": arm,
            "fold": 0,
            "seed": 100 + number,
            "variant": variant,
            "metrics": metrics,
            "clip_metrics": metrics,
            "perturbations": perturbed if arm == "early" and variant == "kept" else {},
            "predictions": file,
            "checkpoint": f"best-{EPOCHS}.1",
        }

    def predictions(self, file: str, skill: float) -> dict[str, float]:
        label_N = np.arange(NUM_TEST) % len(CLASSES)
        other_N = (label_N + 1) % len(CLASSES)
        said_N = np.where(self.rng.random(NUM_TEST) < skill, label_N, other_N)
        prob_NK = np.full((NUM_TEST, len(CLASSES)), 0.1, np.float32)
        prob_NK[np.arange(NUM_TEST), said_N] = 0.8
        ids = [f"v{30 + n}.mp4" for n in range(NUM_TEST)]
        table = pd.DataFrame({"video_id": ids, "group": ids, "fold": 0, "label_id": label_N})
        for k in range(len(CLASSES)):
            table[f"p{k}"] = prob_NK[:, k]
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path, index=False)
        accuracy = float((said_N == label_N).mean())
        return {"accuracy": accuracy, "macro_f1": accuracy, "log_loss": 1.5 - accuracy}

    def ended(self, trial: str, status: str, best: int | None, attempt: int = 1) -> Step:
        value = None if best is None else round(0.3 + 0.1 * best + 0.001 * int(trial[1:]), 4)
        return "trial_ended", {
            "trial": trial,
            "attempt": attempt,
            "status": status,
            "reason": "" if status == "completed" else f"it is {status}",
            "best_epoch": best,
            "best_value": value,
            "best_checkpoint": None if best is None else f"best-{best}.{attempt}",
        }


class LedgerMaker:
    """Writes a study's events by and by, as a driver does that is killed and started again.

    A study that has ended gets its models logged, which takes seconds: most tests leave that out.
    """

    def __init__(self, home: Path, *, ended: bool = False) -> None:
        self.folder = studies_folder(home) / NAME
        self.folder.mkdir(parents=True, exist_ok=True)
        self._steps = (s for s in StudySteps(self.folder) if ended or s[0] != "study_ended")

    def write(self, num_events: int | None = None) -> int:
        """Append the next events (all when None) and return how many there were."""
        ledger = Ledger(self.folder / "ledger.jsonl")
        count = 0
        for event, fields in islice(self._steps, num_events):
            ledger.append(event, **fields)
            count += 1
        ledger.close()
        return count


def make_study(home: Path, *, ended: bool = False) -> Path:
    """Write the whole study and return its folder."""
    maker = LedgerMaker(home, ended=ended)
    maker.write()
    return maker.folder
