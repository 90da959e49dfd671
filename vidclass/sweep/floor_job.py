"""The job that fits the floors of a fold and scores them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.samples import read_samples
from vidclass.data.sampling import Window
from vidclass.home import studies_folder
from vidclass.sweep import predictions as files
from vidclass.sweep.features import floor_features_of
from vidclass.sweep.job_data import Job, device, manifest_of, split_table, store_of
from vidclass.training.evaluate import Predictions
from vidclass.training.floor_features import floor_features
from vidclass.training.floors import FLOORS, run_floor
from vidclass.training.scoring import log_loss, scores, thresholds_of

__all__ = ["run_floors"]


def run_floors(job: Job, home: Path, report: Callable[[str, dict[str, Any]], None]) -> None:
    """Fit every floor on train and validation of the fold, and score it on test.

    Nothing is tuned, but where several labels may hold: the thresholds are those that a fit on
    train alone finds on validation.
    """
    tables = [split_table(job, home, name) for name in ("train", "valid", "test")]
    table = pd.concat(tables, ignore_index=True)
    train, fitted = len(tables[0]), len(tables[0]) + len(tables[1])
    store, manifest, num_classes = store_of(job, home), manifest_of(job, home), len(job["classes"])
    num_frames_N = store.rows(table["video_id"].tolist())["T"].to_numpy()
    samples = read_samples(table, num_frames_N, num_classes)
    labels = samples.labels
    features = floor_features(
        store,
        table,
        manifest,
        Window(**job["window"]),
        geometry=job["geometry"],
        encoded=floor_features_of(job, store, home, device()),
    )
    rows = np.arange(len(table))

    def predict(name: str, stop: int, asked: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return run_floor(name, features, rows[:stop], asked, labels, num_classes, job["seed"])

    for name in FLOORS:
        thresholds = None
        if labels.ndim == 2:
            valid = rows[train:fitted]
            thresholds = thresholds_of(labels[valid], predict(name, train, valid))
        prob_NK = predict(name, fitted, rows[fitted:])
        predicted = Predictions(
            prob_NK=prob_NK,
            clip_prob_NVK=prob_NK[:, None],
            labels=labels[fitted:],
            sample_ids=samples.sample_ids[fitted:],
            video_ids=samples.video_ids[fitted:],
            groups=samples.groups[fitted:],
            loss=log_loss(labels[fitted:], prob_NK),
        )
        file = f"artifacts/floors/{job['fold']}-{name}.parquet"
        path = studies_folder(home) / job["study"] / file
        files.write_table(files.sample_predictions(predicted, job["fold"], thresholds), path)
        report(
            "floor",
            {
                "floor": name,
                "metrics": scores(predicted.labels, prob_NK, thresholds),
                "thresholds": thresholds,
                "predictions": file,
            },
        )
