"""The classes one by one, where any number of them may hold: what stands for a confusion matrix.

Legend: N samples, K classes.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.samples import Float32
from vidclass.report.table import Cell, Column, Table, count, missing, percent, text
from vidclass.sweep.predictions import class_columns
from vidclass.training import multilabel
from vidclass.training.scoring import Metric

__all__ = ["chance_of_several", "class_figures", "class_table", "said_together"]

FIGURES = ("average_precision", "precision", "recall", "f1")


def chance_of_several(label_NK: Float32, metric: Metric) -> float:
    """Return what is reached without looking at a sample.

    A random order has the class's share as average precision. Always naming a class of share p has
    the F1 2p / (1 + p). The exact match is that of the most frequent set of classes.
    """
    if not len(label_NK):
        return float("nan")
    share_K = label_NK.mean(axis=0)
    share_K = share_K[share_K > 0]
    if metric == "mean_average_precision":
        return float(share_K.mean())
    if metric == "macro_f1":
        return float((2 * share_K / (1 + share_K)).mean())
    return float(np.unique(label_NK, axis=0, return_counts=True)[1].max() / len(label_NK))


def class_figures(predictions: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return ``class``, average precision, precision, recall, F1, support and said.

    Figures are means over seeds, each over all folds. Support counts a sample once, not once a
    seed; so does said, which is a mean.
    """
    seeds = [_figures(rows, classes) for _, rows in predictions.groupby("seed_index")]
    if not seeds:
        return pd.DataFrame(columns=["class", *FIGURES, "support", "said"])
    table = seeds[0][["class", "support"]].copy()
    for name in (*FIGURES, "said"):
        table[name] = np.mean([figures[name].to_numpy(np.float64) for figures in seeds], axis=0)
    return table


def _figures(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    label_NK = rows[class_columns(rows, "y")].to_numpy()
    said_NK = rows[class_columns(rows, "d")].to_numpy() > 0
    prob_NK = rows[class_columns(rows, "p")].to_numpy(np.float64)
    # Thresholds differ between folds and seeds, so that a table of all of them has none to tell.
    unknown = np.full(len(classes), np.nan)
    return multilabel.per_class(label_NK, prob_NK, said_NK, classes, unknown)


def class_table(predictions: pd.DataFrame, classes: list[str], unit: str) -> Table:
    """Return one row a class.

    Args:
        predictions: of one arm, all seeds and folds.
        classes: in the order of their ids.
        unit: what is scored, in the singular.
    """
    columns = (
        Column("class", "Class", numeric=False),
        Column("average_precision", "Average precision", "area under precision and recall"),
        Column("precision", "Precision", "share of the answers that are right"),
        Column("recall", "Recall", "share of the labels that are found"),
        Column("f1", "F1", "at the thresholds that validation chose"),
        Column("support", "Labelled", f"test {unit}s in which the class holds"),
        Column("said", "Said", f"test {unit}s in which it is said to hold, mean over seeds"),
    )
    rows = [
        [
            text(row["class"]),
            *(_share(row[name]) for name in FIGURES),
            count(int(row["support"])),
            count(round(float(row["said"]))),
        ]
        for row in class_figures(predictions, classes).to_dict("records")
    ]
    return Table(columns, rows)


def _share(value: float) -> Cell:
    return missing("no label in the test set") if np.isnan(value) else percent(value)


def said_together(predictions: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return how often class j is said where class i holds, a share of the answers, ``[K, K]``."""
    label_NK = predictions[class_columns(predictions, "y")].to_numpy()
    said_NK = predictions[class_columns(predictions, "d")].to_numpy() > 0
    counts_KK = multilabel.co_occurrence(label_NK, said_NK)
    holds_K1 = (label_NK > 0).sum(axis=0)[:, None]
    return np.asarray(counts_KK / np.maximum(holds_K1, 1), dtype=np.float64)
