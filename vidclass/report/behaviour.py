"""What the arms confuse, and how their answers move when the frames of a clip are disturbed.

Legend: K classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.report.class_by_class import class_figures
from vidclass.report.collect import StudyTables
from vidclass.sweep.predictions import class_columns
from vidclass.training import metrics

__all__ = [
    "ClassScore",
    "Pair",
    "class_scores",
    "confusion_of",
    "perturbed",
    "swap_rates",
    "worst_class",
    "worst_pairs",
]

Counts = npt.NDArray[np.int64]
PERTURBATIONS = ("shuffled", "reversed", "frozen")


@dataclass(frozen=True)
class ClassScore:
    """Score of one class, and how many scored samples bear its label.

    The score is F1, or average precision where several classes may hold.
    """

    label: str
    score: float
    support: int


@dataclass(frozen=True)
class Pair:
    """Samples of class ``label`` that were called ``said``: ``count`` of ``support`` answers."""

    label: str
    said: str
    count: int
    support: int

    @property
    def share(self) -> float:
        """Share of the label's answers."""
        return self.count / self.support


def confusion_of(predictions: pd.DataFrame, num_classes: int) -> Counts:
    """Return counts ``[K, K]`` over all folds and seeds; rows are labels."""
    label_N = predictions["label_id"].to_numpy(np.int64)
    return metrics.confusion(label_N, predictions["pred_id"].to_numpy(np.int64), num_classes)


def class_scores(predictions: pd.DataFrame, classes: list[str]) -> list[ClassScore]:
    """Return score and support of each class; support counts a sample once, not once a seed."""
    if class_columns(predictions, "y"):
        table = class_figures(predictions, classes)
        figures = zip(table["class"], table["average_precision"], table["support"], strict=True)
        return [ClassScore(str(name), float(ap), int(support)) for name, ap, support in figures]
    table = metrics.per_class(confusion_of(predictions, len(classes)), classes)
    samples = predictions.drop_duplicates(["fold", "sample_id"])["label_id"].value_counts()
    return [
        ClassScore(str(name), float(f1), int(samples.get(k, 0)))
        for k, (name, f1) in enumerate(zip(table["class"], table["f1"], strict=True))
    ]


def worst_class(predictions: pd.DataFrame, classes: list[str]) -> ClassScore | None:
    """Return the class with the lowest score among those that the test set holds."""
    present = [score for score in class_scores(predictions, classes) if score.support]
    return min(present, key=lambda each: each.score, default=None)


def worst_pairs(confusion_KK: Counts, classes: list[str], limit: int = 3) -> list[Pair]:
    """Return the wrong answers that take the largest share of their label, largest first."""
    support_K = confusion_KK.sum(axis=1)
    pairs = [
        Pair(classes[i], classes[j], int(confusion_KK[i, j]), int(support_K[i]))
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j and confusion_KK[i, j]
    ]
    return sorted(pairs, key=lambda pair: -pair.share)[:limit]


def perturbed(tables: StudyTables, arm: str) -> dict[str, float]:
    """Return the test score of ``arm`` under each perturbation, mean over seeds, then folds."""
    name = tables.spec.primary.metric
    rows = [
        {"fold": final.fold, "order": order, "score": scores[name]}
        for final in tables.state.finals.values()
        if final.arm == arm and final.variant == "kept"
        for order, scores in final.perturbations.items()
        if scores.get(name) is not None
    ]
    if not rows:
        return {}
    means = pd.DataFrame(rows).groupby(["order", "fold"])["score"].mean()
    return {str(order): float(value) for order, value in means.groupby("order").mean().items()}


def reversed_confusion(tables: StudyTables, arm: str) -> Counts | None:
    """Return the counts ``[K, K]`` on reversed clips over all seeds and folds of ``arm``."""
    found = [
        np.asarray(final.perturbations["reversed"]["confusion"], dtype=np.int64)
        for final in tables.state.finals.values()
        if final.arm == arm and "confusion" in final.perturbations.get("reversed", {})
    ]
    return np.sum(found, axis=0) if found else None


def swap_rates(tables: StudyTables, arm: str, limit: int = 4) -> list[tuple[str, float, float]]:
    """Return which pairs of classes trade places when clips run backwards.

    Returns:
        (pair as ``left / right``, swap rate on reversed clips, the same on clips as they are), the
        highest first. The rate of a pair is the share of its two classes' videos that are called by
        the other's name.
    """
    turned_KK = reversed_confusion(tables, arm)
    if turned_KK is None:
        return []
    finals = tables.finals
    kept = finals[(finals["arm"] == arm) & (finals["kind"] == "final")]
    kept_KK = confusion_of(kept, len(tables.classes))
    classes = tables.classes
    rates = [
        (f"{classes[i]} / {classes[j]}", _swap(turned_KK, i, j), _swap(kept_KK, i, j))
        for i in range(len(classes))
        for j in range(i + 1, len(classes))
    ]
    rates = [rate for rate in rates if np.isfinite(rate[1]) and rate[1] > 0]
    return sorted(rates, key=lambda rate: -rate[1])[:limit]


def _swap(confusion_KK: Counts, i: int, j: int) -> float:
    whole = int(confusion_KK[i].sum() + confusion_KK[j].sum())
    return float(confusion_KK[i, j] + confusion_KK[j, i]) / whole if whole else float("nan")
