"""``params.json``, ``results.json`` and ``fit_history.csv`` of a trial, as pure functions.

The keys of ``results.json`` go back to a sweep system of 2019; ``results_schema.json`` beside this
file says of each what it means, its unit, and when it is null.
"""

from typing import Any

import pandas as pd

from vidclass.sweep.arm_stores import store_key_of
from vidclass.sweep.spec import DataSpec
from vidclass.sweep.state import Epoch, Final, State, Trial
from vidclass.tracking.runs import Cost

__all__ = ["fit_history", "learning_rate_rounds", "parameters", "results"]

Values = dict[str, Any]

HISTORY_COLUMNS = {
    "acc": "train_accuracy",
    "loss": "train_loss",
    "val_acc": "valid_accuracy",
    "val_loss": "valid_loss",
}


def parameters(state: State, name: str, trial: Trial) -> Values:
    """Return every parameter of a trial, resolved: nothing is left to a default."""
    data = state.spec["data"] | trial.config.get("data", {})
    return {
        "study": name,
        "spec_hash": state.started["spec_hash"],
        "version": state.started["version"],
        "trial": trial.trial,
        "kind": trial.kind,
        "arm": trial.arm,
        "fold": trial.fold,
        "seed": trial.seed,
        "number": trial.number,
        "variant": trial.variant,
        "parent": trial.parent,
        "model": trial.config["model"],
        "model_options": trial.config["options"],
        "train": trial.config["train"],
        "searched": trial.params,
        "data_task": data.get("task", "multiclass"),
        "data_windows": data.get("windows"),
        "data_annotator": data.get("annotator"),
        "data_subject": data.get("subject"),
        "data_source": data["source"],
        "data_preset": data.get("preset"),
        "data_seed": data.get("seed"),
        "data_group_pattern": data.get("group_pattern"),
        "data_classes": data.get("classes"),
        "data_share": data.get("share"),
        "data_split": data.get("split", {}),
        "data_store": data.get("store", {}),
        "data_content_hash": state.data.get("content_hash"),
        "data_split_hash": state.data.get("split_hash"),
        "data_store_key": store_key_of(state.data, data["store"]) if state.data else None,
        "data_window_span_s": data["window"]["span_s"],
        "data_window_num_frames": data["window"]["num_frames"],
        "data_input_size": data["input_size"],
        "data_geometry": data["geometry"],
        "data_input": data.get("input", "rgb"),
        "data_views": data["views"],
        "data_sampling": data.get("sampling", {}),
        "data_crop": data.get("crop", {}),
        "data_augment": data["augment"],
    }


def results(
    state: State, name: str, trial: Trial, videos: dict[str, int], cost: Cost | None
) -> Values:
    """Return the content of ``results.json``.

    Args:
        state: of the study.
        name: of the study.
        trial: one that has ended.
        videos: number of samples (videos, or windows of them) of each split of the trial's fold.
        cost: of its model, where it is known.
    """
    views = DataSpec.model_validate(state.spec["data"]).clips_per_video
    return {
        **parameters(state, name, trial),
        "status": trial.status,
        "reason": trial.reason,
        "attempts": len(trial.attempts),
        "class_names": state.data.get("classes"),
        "data_total_rows_train": videos.get("train"),
        "data_total_rows_valid": _times(videos.get("valid"), views),
        "data_total_rows_test": _times(videos.get("test"), views),
        "model_param_count": cost.parameters if cost else None,
        "model_gmacs": cost.gmacs if cost else None,
        "model_weights_sha256": trial.weights_sha256,
        "features_duration_seconds": trial.seconds_features,
        **_fit(trial),
        **_times_of(trial, state.finals.get(trial.trial)),
        **_test(state.finals.get(trial.trial)),
    }


def fit_history(trial: Trial) -> pd.DataFrame:
    """Return index, acc, loss, val_acc, val_loss, fit_round, epoch: one row an epoch."""
    rounds = learning_rate_rounds(trial)
    rows = [
        {
            "index": index,
            **{column: epoch.metrics.get(key) for column, key in HISTORY_COLUMNS.items()},
            "val_acc": _right(epoch.metrics, "valid_"),
            "fit_round": rounds[epoch.epoch],
            "epoch": epoch.epoch,
        }
        for index, epoch in enumerate(_epochs(trial))
    ]
    return pd.DataFrame(rows, columns=["index", *HISTORY_COLUMNS, "fit_round", "epoch"])


def learning_rate_rounds(trial: Trial) -> dict[int, int]:
    """Return the round of each epoch, from 1.

    A round ends where the schedules plateau and rounds drop the learning rate; the others move it
    at every step and are one round.
    """
    rounds: dict[int, int] = {}
    number, before = 1, None
    for epoch in _epochs(trial):
        lr = epoch.metrics.get("lr")
        in_rounds = trial.config["train"].get("schedule") in ("plateau", "rounds")
        if in_rounds and lr and before and lr < before:
            number += 1
        before = lr or before
        rounds[epoch.epoch] = number
    return rounds


def _epochs(trial: Trial) -> list[Epoch]:
    return [trial.epochs[number] for number in sorted(trial.epochs)]


def _times(count: int | None, views: int) -> int | None:
    return None if count is None else count * views


def _fit(trial: Trial) -> Values:
    best = trial.epochs.get(trial.best_epoch or 0)
    metrics = best.metrics if best else {}
    rounds = learning_rate_rounds(trial)
    last = {number: epoch for epoch, number in sorted(rounds.items())}
    seen = _epochs(trial)[-1].metrics.get("frames_seen") if trial.epochs else None
    return {
        "fit_best_epoch": trial.best_epoch,
        "fit_best_round": rounds.get(trial.best_epoch or 0),
        "fit_num_epochs": len(trial.epochs),
        **{f"fit_stopped_epoch{number}": last.get(number) for number in (1, 2, 3)},
        "fit_frames_seen": seen,
        "fit_train_acc": metrics.get("train_accuracy"),
        "fit_train_loss": metrics.get("train_loss"),
        "fit_val_acc": _right(metrics, "valid_"),
        "fit_val_loss": metrics.get("valid_loss"),
        "fit_val_macro_f1": metrics.get("valid_macro_f1"),
        "fit_val_mean_average_precision": metrics.get("valid_mean_average_precision"),
        "fit_val_hamming_loss": metrics.get("valid_hamming_loss"),
    }


def _times_of(trial: Trial, final: Final | None) -> Values:
    """Return when and for how long the trial trained and was tested."""
    starts = [a.started_at for a in trial.attempts if a.started_at is not None]
    ends = [epoch.time for epoch in _epochs(trial)]
    test = max(0.0, final.time - ends[-1]) if final and ends else None
    return {
        "fit_dt_train_start": starts[0] if starts else None,
        "fit_dt_train_end": ends[-1] if ends else None,
        "fit_dt_train_duration_seconds": max(0.0, trial.seconds - (test or 0.0)),
        "fit_dt_test_start": ends[-1] if final and ends else None,
        "fit_dt_test_end": final.time if final else None,
        "fit_dt_test_duration_seconds": test,
    }


def _test(final: Final | None) -> Values:
    metrics = final.metrics if final else {}
    return {
        "fit_test_acc": _right(metrics, ""),
        "fit_test_loss": metrics.get("log_loss"),
        "fit_test_macro_f1": metrics.get("macro_f1"),
        "fit_test_mean_average_precision": metrics.get("mean_average_precision"),
        "fit_test_hamming_loss": metrics.get("hamming_loss"),
        "class_thresholds": list(final.thresholds) if final and final.thresholds else None,
    }


def _right(metrics: dict[str, float], prefix: str) -> float | None:
    """Return the share of samples that are answered right; of several classes, in all of them."""
    accuracy = metrics.get(f"{prefix}accuracy")
    return metrics.get(f"{prefix}exact_match") if accuracy is None else accuracy
