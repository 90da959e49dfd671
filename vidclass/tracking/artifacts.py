"""The files of a trial, made from the study's state and files alone: no MLflow, no clock.

They lie in the study's folder under ``artifacts/TRIAL/``; making them again gives the same bytes.

Legend: N videos, K classes.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.home import write_aside
from vidclass.sweep.predictions import CLIP_FILE, VIDEO_FILE, class_columns
from vidclass.sweep.state import Final, State, Trial
from vidclass.tracking.results import fit_history, parameters, results
from vidclass.tracking.runs import Cost
from vidclass.training.metrics import confusion
from vidclass.training.multilabel import co_occurrence, per_class

__all__ = ["floor_files", "trial_files"]

_LARGEST_ANNOTATED = 20
"""Classes up to which the cells of a confusion picture hold figures."""


def trial_files(
    state: State, name: str, folder: Path, trial: Trial, cost: Cost | None
) -> list[Path]:
    """Write the files of an ended trial and return all that belong to it.

    Args:
        state: of the study.
        name: of the study.
        folder: of the study.
        trial: one that has ended.
        cost: of its model, where it is known.
    """
    place = folder / "artifacts" / trial.trial
    files = [place / "params.json", place / "results.json", place / "fit_history.csv"]
    _write_json(files[0], parameters(state, name, trial))
    _write_json(files[1], results(state, name, trial, _split_rows(state, folder, trial.fold), cost))
    with write_aside(files[2]) as aside:
        fit_history(trial).to_csv(aside, index=False)
    final = state.finals.get(trial.trial)
    if final is not None:
        write = _scored_files if final.thresholds is None else _scored_files_of_several
        files += write(place, state.data["classes"], final)
    return files


def floor_files(folder: Path, event: dict[str, Any], classes: list[str]) -> list[Path]:
    """Write what a scored floor confuses, or its classes one by one, and return its files.

    Its predictions are among them.
    """
    predictions = folder / event["predictions"]
    if not predictions.exists():
        return []
    place = predictions.with_suffix("")
    if event.get("thresholds"):
        return [predictions, *_class_files(place, predictions, classes, event["thresholds"])]
    counts_KK, _ = _read_confusion(predictions, len(classes))
    _write_confusion(place / "confusion_matrix.csv", counts_KK, classes)
    return [predictions, place / "confusion_matrix.csv"]


def _scored_files_of_several(place: Path, classes: list[str], final: Final) -> list[Path]:
    """Write the probabilities, and the classes one by one, where any number of them may hold."""
    predictions = place / VIDEO_FILE
    if not predictions.exists():
        return []
    array = place / "test_predictions.npy"
    table = pd.read_parquet(predictions)
    with write_aside(array) as aside, aside.open("wb") as file:
        np.save(file, table[class_columns(table, "p")].to_numpy(np.float32))
    assert final.thresholds is not None
    files = [predictions, array, *_class_files(place, predictions, classes, final.thresholds)]
    clips = place / CLIP_FILE
    return [*files, clips] if clips.exists() else files


def _class_files(
    place: Path, predictions: Path, classes: list[str], thresholds: Sequence[float]
) -> list[Path]:
    """Write ``per_class.csv`` and ``co_occurrence.csv`` (labels against labels) into ``place``."""
    table = pd.read_parquet(predictions)
    label_NK = table[class_columns(table, "y")].to_numpy()
    said_NK = table[class_columns(table, "d")].to_numpy() > 0
    prob_NK = table[class_columns(table, "p")].to_numpy(np.float32)
    figures = per_class(label_NK, prob_NK, said_NK, classes, thresholds)
    with write_aside(place / "per_class.csv") as aside:
        figures.to_csv(aside, index=False, float_format="%.6f")
    _write_confusion(place / "co_occurrence.csv", co_occurrence(label_NK), classes)
    return [place / "per_class.csv", place / "co_occurrence.csv"]


def _scored_files(place: Path, classes: list[str], final: Final) -> list[Path]:
    predictions = place / VIDEO_FILE
    if not predictions.exists():
        return []
    counts_KK, prob_NK = _read_confusion(predictions, len(classes))
    share_KK = counts_KK / np.maximum(counts_KK.sum(axis=1, keepdims=True), 1)
    array = place / "test_predictions.npy"
    with write_aside(array) as aside, aside.open("wb") as file:
        np.save(file, prob_NK)
    files = [predictions, array]
    for name, values_KK in (
        ("confusion_matrix", counts_KK),
        ("confusion_matrix_normalised", share_KK),
    ):
        _write_confusion(place / f"{name}.csv", values_KK, classes)
        files.append(place / f"{name}.csv")
    _draw_confusion(place / "confusion_matrix.png", counts_KK, share_KK, classes, final.trial)
    files.append(place / "confusion_matrix.png")
    clips = place / CLIP_FILE
    return [*files, clips] if clips.exists() else files


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _split_rows(state: State, folder: Path, fold: int) -> dict[str, int]:
    """Return the samples of each split of ``fold``; empty before the data are ready."""
    path = folder / "splits.parquet"
    if not path.exists():
        return {}
    splits = pd.read_parquet(path, columns=["fold", "split", "video_id"])
    if state.data.get("samples"):
        samples = pd.read_parquet(folder / state.data["samples"], columns=["video_id"])
        splits = splits.merge(samples, on="video_id")
    counts = splits.loc[splits["fold"] == fold, "split"].value_counts()
    return {str(split): int(count) for split, count in counts.items()}


def _read_confusion(
    path: Path, num_classes: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return counts ``[K, K]`` (rows are labels) and probabilities ``[N, K]`` float32."""
    table = pd.read_parquet(path)
    prob_NK = table[[f"p{k}" for k in range(num_classes)]].to_numpy(np.float32)
    label_N = table["label_id"].to_numpy(np.int64)
    return confusion(label_N, prob_NK.argmax(axis=1), num_classes), prob_NK


def _write_confusion(path: Path, values_KK: npt.NDArray[Any], classes: list[str]) -> None:
    table = pd.DataFrame(values_KK, index=pd.Index(classes, name="label"), columns=classes)
    with write_aside(path) as aside:
        table.to_csv(aside, float_format="%.6f")


def _draw_confusion(
    path: Path,
    counts_KK: npt.NDArray[np.int64],
    share_KK: npt.NDArray[np.float64],
    classes: list[str],
    title: str,
) -> None:
    """Draw counts and row-normalised shares side by side, both coloured by the share."""
    # Without pyplot: its global state is not for threads.
    from matplotlib.figure import Figure

    num_classes = len(classes)
    side = min(3.0 + 0.35 * num_classes, 20.0)
    figure = Figure(figsize=(2 * side, side), layout="constrained")
    figure.suptitle(title)
    panels = zip(figure.subplots(1, 2), ("videos", "share of the label"), strict=True)
    for (axes, subtitle), values_KK, form in zip(
        panels, (counts_KK, share_KK), ("{:d}", "{:.2f}"), strict=True
    ):
        axes.imshow(share_KK, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(num_classes), classes, rotation=90, fontsize=8)
        axes.set_yticks(range(num_classes), classes, fontsize=8)
        axes.set(xlabel="predicted", ylabel="label", title=subtitle)
        if num_classes > _LARGEST_ANNOTATED:
            continue
        for row, column in np.ndindex(num_classes, num_classes):
            colour = "white" if share_KK[row, column] > 0.5 else "black"
            text = form.format(values_KK[row, column])
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    with write_aside(path) as aside:
        figure.savefig(aside, format="png", metadata={"Software": None})
