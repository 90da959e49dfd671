"""Makes a small study folder with the real ledger and real prediction files, for tests of the page.

What the arms score is drawn from a seeded generator; the events are those that the engine writes.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

from vidclass.home import studies_folder
from vidclass.sweep import ledger as ledger_module
from vidclass.sweep.exposure import record_exposure
from vidclass.sweep.ledger import Ledger
from vidclass.sweep.spec import StudySpec

CLASSES = ["left", "right", "grow", "shrink"]
REVERSED = [1, 0, 3, 2]
SKILL = {"single": 0.25, "early": 0.80, "slow": 0.90}
FEWER_SKILL = {0.25: 0.50, 0.5: 0.70}
FLOOR_SKILL = {
    "majority": None,
    "metadata": 0.25,
    "middle_frame": 0.25,
    "bag_of_frames": 0.28,
    "bag_with_differences": 0.45,
}
HASH = "5f" * 32


def make_spec(study: str) -> StudySpec:
    """Return a spec with three arms; single has no order of frames to use."""
    search = {"lr": {"low": 5e-4, "high": 8e-3, "log": True}, "label_smoothing": [0.0, 0.1]}
    models = {"single": "single_frame", "early": "early_fusion", "slow": "slow_fusion"}
    return StudySpec.model_validate(
        {
            "study": study,
            "title": "Does fusing frames over time help?",
            "arms": [
                {"name": name, "model": model, "search": search} for name, model in models.items()
            ],
        }
    )


@contextmanager
def simulated_clock(start: float = 1_750_000_000.0) -> Iterator[SimpleNamespace]:
    """Let the ledger read a clock that the maker moves, so that trials take plausible times."""
    clock = SimpleNamespace(now=start)
    fake = SimpleNamespace(time=lambda: clock.now, monotonic=time.monotonic)
    with mock.patch.object(ledger_module, "time", fake):
        yield clock


class StudyMaker:
    """Writes the events of one study in the order in which an engine would.

    Args:
        home: the home folder.
        name: the study's name.
        folds: outer folds; 1 is one split.
        seed: of all that is drawn.
    """

    def __init__(self, home: Path, name: str, folds: int, seed: int) -> None:
        self.home, self.name, self.folds = home, name, folds
        self.folder = studies_folder(home) / name
        self.spec = make_spec(name)
        self.rng = np.random.default_rng(seed)
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.manifest = self._manifest()
        self.splits = self._splits()
        self.numbers = itertools.count(1)

    def _manifest(self) -> pd.DataFrame:
        groups, each = (20, 4) if self.folds > 1 else (60, 8)
        rows = [
            {
                "video_id": f"g{group:02d}/v{video}.mp4",
                "path": f"/secret/place/g{group:02d}/v{video}.mp4",
                "label": CLASSES[(video + group) % len(CLASSES)],
                "group": f"g{group:02d}",
                "split": None,
                "num_frames": 12.0 if (group, video) != (0, 0) else 6.0,
                "fps": 10.0,
                "width": 64.0,
                "height": 48.0,
                "duration_s": 1.2,
                "bitrate_bps": 9e4,
                "size_bytes": 14177.0,
                "content_hash": f"{group * each + video:064x}",
                "status": "ok",
                "reason": None,
            }
            for group in range(groups)
            for video in range(each)
        ]
        broken = {**rows[0], "video_id": "broken.mp4", "status": "quarantined", "group": "gx"}
        return pd.DataFrame([*rows, {**broken, "reason": "no video stream"}])

    def _splits(self) -> pd.DataFrame:
        usable = self.manifest[self.manifest["status"] == "ok"]
        number = usable["group"].str[1:].astype(int)
        parts = []
        for fold in range(self.folds):
            if self.folds > 1:
                test, valid = number % self.folds == fold, number % self.folds == (fold + 1) % 5
            else:
                test, valid = number >= 24, (number >= 16) & (number < 24)
            split = np.where(test, "test", np.where(valid, "valid", "train"))
            parts.append(
                pd.DataFrame({"video_id": usable["video_id"], "fold": fold, "split": split})
            )
        return pd.concat(parts, ignore_index=True)

    def start(self, clock: SimpleNamespace) -> None:
        self.clock = clock
        self.ledger.append(
            "study_started",
            spec=self.spec.model_dump(mode="json"),
            spec_hash=HASH,
            version="0.1.0",
            schema=1,
            hardware={"cpu": "two cores", "gpus": 0, "memory_gib": 8.0},
            slots=2,
            profile="laptop",
        )
        self.manifest.to_parquet(self.folder / "manifest.parquet", index=False)
        self.splits.to_parquet(self.folder / "splits.parquet", index=False)
        self.ledger.append(
            "data_ready",
            content_hash=HASH,
            split_hash=HASH[::-1],
            store_key="store" + HASH,
            classes=CLASSES,
            num_videos=len(self.manifest),
            num_quarantined=1,
            num_groups=int(self.manifest.query("status == 'ok'")["group"].nunique()),
            groups_known=True,
            folds=self.folds,
            seconds={"probe": 1.5, "decode": 7.0},
            readers={"decord": len(self.manifest) - 2, "decord, in order": 1},
            clips_per_split=self.splits.query("fold == 0")["split"].value_counts().to_dict(),
            manifest="manifest.parquet",
            splits="splits.parquet",
        )

    def predictions(self, fold: int, skill: float | None) -> pd.DataFrame:
        """Return video-level predictions right with probability ``skill`` (None: constant)."""
        ids = self.splits.query("fold == @fold and split == 'test'")["video_id"]
        rows = self.manifest.set_index("video_id").loc[ids]
        label_N = rows["label"].map(CLASSES.index).to_numpy(np.int64)
        if skill is None:
            said_N = np.zeros_like(label_N)
        else:
            right_N = self.rng.random(len(label_N)) < skill
            wrong_N = (label_N + self.rng.integers(1, len(CLASSES), len(label_N))) % len(CLASSES)
            said_N = np.where(right_N, label_N, wrong_N)
        prob_NK = np.full((len(label_N), len(CLASSES)), 0.1, dtype=np.float32)
        prob_NK[np.arange(len(label_N)), said_N] = 0.7
        table = pd.DataFrame(
            {"video_id": list(ids), "group": rows["group"].to_numpy(), "fold": fold}
        )
        table["label_id"] = label_N
        return table.join(pd.DataFrame(prob_NK, columns=[f"p{k}" for k in range(len(CLASSES))]))

    def write(self, table: pd.DataFrame, file: str) -> float:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(path, index=False)
        said = table[[f"p{k}" for k in range(len(CLASSES))]].to_numpy().argmax(axis=1)
        return float((said == table["label_id"]).mean())

    def floors(self, fold: int) -> None:
        name = self._propose("floors", "floors", fold, 1, {}, epochs=0)
        for floor, skill in FLOOR_SKILL.items():
            file = f"artifacts/floors/{fold}-{floor}.parquet"
            accuracy = self.write(self.predictions(fold, skill), file)
            metrics = {"accuracy": accuracy}
            self.ledger.append(
                "floor_scored",
                fold=fold,
                trial=name,
                floor=floor,
                metrics=metrics,
                predictions=file,
            )
        self._end(name, "completed", [])

    def train(self, kind: str, arm: str, fold: int, number: int, **options: Any) -> str:
        """Write a whole training and return the trial's name."""
        status = options.get("status", "completed")
        params = options.get("params") or {
            "lr": float(np.exp(self.rng.uniform(np.log(5e-4), np.log(8e-3)))),
            "label_smoothing": float(self.rng.choice([0.0, 0.1])),
        }
        name = self._propose(kind, arm, fold, number, params, **options)
        reach = 0.25 if status == "collapsed" else SKILL[arm] * self.rng.uniform(0.85, 1.0)
        values = []
        for epoch in range(1, 4 if status == "stopped" else 9):
            values.append(self._epoch(name, epoch, reach, diverged=status == "diverged"))
        self._end(name, status, values, options.get("reason", ""))
        return name

    def _propose(self, kind: str, arm: str, fold: int, number: int, params: Any, **o: Any) -> str:
        name = f"t{next(self.numbers):04d}"
        model = {a.name: a.model for a in self.spec.arms}.get(arm, "floors")
        self.ledger.append(
            "trial_proposed",
            trial=name,
            kind=kind,
            arm=arm,
            fold=fold,
            seed=1000 + number,
            number=number,
            params=params,
            config={"model": model, "options": {}, "train": {"epochs": 8, "batch_size": 64}},
            parent=o.get("parent"),
            epochs=o.get("epochs", 8),
            attempt=1,
            resume_from=None,
            variant=o.get("variant", "kept"),
        )
        self.ledger.append("trial_started", trial=name, attempt=1, node="node", pid=1)
        return name

    def _epoch(self, name: str, epoch: int, reach: float, *, diverged: bool) -> float:
        self.clock.now += 5.0
        value = 0.25 + max(0.0, reach - 0.25) * (1 - np.exp(-epoch / 2)) + self.rng.normal(0, 0.01)
        value = float(np.clip(value, 0.0, 1.0))
        metrics = {
            "train_loss": float("nan") if diverged else 1.5 * float(np.exp(-epoch / 3)),
            "train_accuracy": value,
            "valid_loss": 1.4 * float(np.exp(-epoch / 4)),
            "valid_accuracy": value,
            "valid_macro_f1": value,
            "valid_log_loss": 1.0 - value,
            "lr": 1e-3,
            "seconds_data": 0.05,
            "seconds_step": 4.0,
            "seconds_eval": 0.5,
            "memory_gib": 0.6,
            "frames_seen": 6400.0 * epoch,
            "cpu_percent": 99.0,
        }
        self.ledger.append(
            "epoch", trial=name, attempt=1, epoch=epoch, metrics=metrics, checkpoint=f"{epoch}.1",
            best=True,
        )  # fmt: skip
        return value

    def _end(self, name: str, status: str, values: list[float], reason: str = "") -> None:
        best = int(np.argmax(values)) if values else None
        self.ledger.append(
            "trial_ended",
            trial=name,
            attempt=1,
            status=status,
            reason=reason,
            best_epoch=None if best is None else best + 1,
            best_value=None if best is None else values[best],
            best_checkpoint=None if best is None else f"best-{best + 1}.1",
        )

    def search(self, fold: int, num_trials: int = 6) -> dict[str, str]:
        """Write the search of all arms and return the best trial of each."""
        best: dict[str, str] = {}
        for number in range(1, num_trials + 1):
            for arm in SKILL:
                options = {"status": "stopped"} if number == 3 else {}
                if arm == "early" and number == 2:
                    options = {"status": "collapsed", "reason": "macro recall at chance"}
                if arm == "slow" and number == 4 and fold == 0:
                    options = {"status": "failed", "reason": "killed while reading /secret/place/x"}
                name = self.train("search", arm, fold, number, **options)
                best.setdefault(arm, name)
        return best

    def finals(self, fold: int, winners: dict[str, str]) -> None:
        for arm, winner in winners.items():
            for seed in (1, 2):
                self._score("final", arm, fold, seed, winner, SKILL[arm])
                if arm != "single":
                    self._score("control", arm, fold, seed, winner, 0.45)

    def fewer_videos(self, fold: int, arm: str, winner: str) -> None:
        for share, skill in FEWER_SKILL.items():
            self._score("fewer_videos", arm, fold, 1, winner, skill, f"videos_{share}")

    def _score(
        self,
        kind: str,
        arm: str,
        fold: int,
        number: int,
        parent: str,
        skill: float,
        variant: str = "",
    ) -> None:
        variant = variant or ("shuffled" if kind == "control" else "kept")
        name = self.train(kind, arm, fold, number, variant=variant, parent=parent)
        table = self.predictions(fold, skill)
        file = f"artifacts/{name}/test_predictions.parquet"
        accuracy = self.write(table, file)
        metrics = {"accuracy": accuracy, "macro_f1": accuracy, "log_loss": 1 - accuracy}
        event = self.ledger.append(
            "final_scored",
            trial=name,
            arm=arm,
            fold=fold,
            seed=1000 + number,
            variant=variant,
            metrics=metrics,
            clip_metrics={**metrics, "accuracy": accuracy - 0.01},
            perturbations=self._perturbations(table) if kind == "final" and arm != "single" else {},
            predictions=file,
            checkpoint="best-8.1",
        )
        record_exposure(
            self.home,
            content_hash=HASH,
            split_hash=HASH[::-1],
            study=self.name,
            trial=name,
            scored_at=event["time"],
        )

    def _perturbations(self, table: pd.DataFrame) -> dict[str, Any]:
        label_N = table["label_id"].to_numpy()
        result = {}
        for order, right in (("shuffled", 0.4), ("reversed", 0.1), ("frozen", 0.25)):
            other_N = np.array(REVERSED)[label_N]
            said_N = np.where(self.rng.random(len(label_N)) < right, label_N, other_N)
            confusion = np.zeros((len(CLASSES), len(CLASSES)), dtype=int)
            np.add.at(confusion, (label_N, said_N), 1)
            accuracy = float((said_N == label_N).mean())
            result[order] = {
                "accuracy": accuracy, "macro_f1": accuracy, "confusion": confusion.tolist()
            }  # fmt: skip
        return result


def make_study(
    home: Path,
    name: str = "small_study",
    *,
    folds: int = 1,
    until: str = "end",
    num_trials: int = 6,
    seed: int = 0,
) -> Path:
    """Make a study folder and return it.

    Args:
        home: the home folder.
        name: the study's name.
        folds: 1 or 5.
        until: ``data``, ``search``, ``finals`` (scored, no champion, not ended) or ``end``.
        num_trials: search trials an arm and fold.
        seed: of all that is drawn.
    """
    with simulated_clock() as clock:
        maker = StudyMaker(home, name, folds, seed)
        maker.start(clock)
        if until != "data":
            _work(maker, until, num_trials)
        maker.ledger.close()
    return maker.folder


def _work(maker: StudyMaker, until: str, num_trials: int) -> None:
    for fold in range(maker.folds):
        maker.floors(fold)
    winners = {fold: maker.search(fold, num_trials) for fold in range(maker.folds)}
    if until == "search":
        return
    for fold, best in winners.items():
        for arm, trial in best.items():
            maker.ledger.append("winner", arm=arm, fold=fold, trial=trial, mean=SKILL[arm], runs=[])
    maker.ledger.append(
        "comparisons_declared",
        primary=maker.spec.primary.model_dump(mode="json"),
        comparisons=maker.spec.comparisons,
        control=None,
        arms=[arm.name for arm in maker.spec.arms],
        hash=HASH,
    )
    for fold, best in winners.items():
        maker.finals(fold, best)
    if until == "end":
        maker.ledger.append("champion", arm="slow", valid_mean=0.9, chosen_on="validation")
        for fold, best in winners.items():
            maker.fewer_videos(fold, "slow", best["slow"])
        maker.ledger.append("study_ended", reason="complete")
