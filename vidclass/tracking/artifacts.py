"""The files of a trial, made from the study's state and files alone: no MLflow, no clock.

They lie in the study's folder under ``artifacts/TRIAL/``; making them again gives the same bytes.

Legend: N videos, K classes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.home import write_aside
from vidclass.sweep.predictions import CLIP_FILE, VIDEO_FILE
from vidclass.sweep.state import State, Trial
from vidclass.tracking.results import fit_history, parameters, results
from vidclass.tracking.runs import Cost
from vidclass.training.metrics import confusion

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
    _write_json(files[1], results(state, name, trial, _split_rows(folder, trial.fold), cost))
    with write_aside(files[2]) as aside:
        fit_history(trial).to_csv(aside, index=False)
    if trial.trial in state.finals:
        files += _scored_files(place, state.data["classes"], trial.trial)
    return files


def floor_files(folder: Path, event: dict[str, Any], classes: list[str]) -> list[Path]:
    """Write the confusion matrix of a scored floor and return its files, predictions included."""
    predictions = folder / event["predictions"]
    if not predictions.exists():
        return []
    place = predictions.with_suffix("")
    counts_KK, _ = _read_confusion(predictions, len(classes))
    _write_confusion(place / "confusion_matrix.csv", counts_KK, classes)
    return [predictions, place / "confusion_matrix.csv"]


def _scored_files(place: Path, classes: list[str], title: str) -> list[Path]:
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
    _draw_confusion(place / "confusion_matrix.png", counts_KK, share_KK, classes, title)
    files.append(place / "confusion_matrix.png")
    clips = place / CLIP_FILE
    return [*files, clips] if clips.exists() else files


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with write_aside(path) as aside:
        aside.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _split_rows(folder: Path, fold: int) -> dict[str, int]:
    """Return the videos of each split of ``fold``; empty before the data are ready."""
    path = folder / "splits.parquet"
    if not path.exists():
        return {}
    splits = pd.read_parquet(path, columns=["fold", "split"])
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
