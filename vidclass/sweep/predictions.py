"""Prediction files of scored trials and floors: one row a sample (or clip).

Columns: ``sample_id``, ``video_id``, ``group``, ``fold``; then ``label_id``, or where several
labels may hold ``y0 ... y{K-1}`` (1 where the class is there) and ``d0 ... d{K-1}`` (1 where it is
said to be, by thresholds found on validation); and the probabilities ``p0 ... p{K-1}``.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.home import write_aside
from vidclass.training.evaluate import Predictions
from vidclass.training.scoring import Thresholds, decisions

__all__ = [
    "CLIP_FILE",
    "VIDEO_FILE",
    "clip_predictions",
    "class_columns",
    "sample_predictions",
    "write_table",
]

VIDEO_FILE = "test_predictions.parquet"
CLIP_FILE = "clip_predictions.parquet"


def sample_predictions(
    predicted: Predictions, fold: int, thresholds: Thresholds | None
) -> pd.DataFrame:
    """Return one row a sample."""
    return _table(predicted, predicted.prob_NK, fold, thresholds)


def clip_predictions(
    predicted: Predictions, fold: int, thresholds: Thresholds | None
) -> pd.DataFrame:
    """Return one row a clip, with a column ``view``."""
    views = predicted.num_views
    prob_CK = predicted.clip_prob_NVK.reshape(len(predicted.sample_ids) * views, -1)
    table = _table(predicted, prob_CK, fold, thresholds)
    at = list(table.columns).index("fold") + 1
    table.insert(at, "view", np.tile(np.arange(views), len(predicted.sample_ids)))
    return table


def _table(
    predicted: Predictions,
    prob_NK: npt.NDArray[np.float32],
    fold: int,
    thresholds: Thresholds | None,
) -> pd.DataFrame:
    """Return the columns of the module, each sample as often as there are clips of it."""
    repeats = len(prob_NK) // max(len(predicted.sample_ids), 1)
    row_C = np.repeat(np.arange(len(predicted.sample_ids)), repeats)
    labels = predicted.labels[row_C]
    parts = {
        "sample_id": np.array(predicted.sample_ids, dtype=object)[row_C],
        "video_id": np.array(predicted.video_ids, dtype=object)[row_C],
        "group": np.array(predicted.groups, dtype=object)[row_C],
        "fold": fold,
    }
    if thresholds is None:
        table = pd.DataFrame({**parts, "label_id": labels})
        return pd.concat([table, _columns("p", prob_NK)], axis=1)
    said_NK = decisions(prob_NK, thresholds)
    marks = [_columns("y", labels.astype(np.int8)), _columns("d", said_NK.astype(np.int8))]
    return pd.concat([pd.DataFrame(parts), *marks, _columns("p", prob_NK)], axis=1)


def _columns(letter: str, values_NK: npt.NDArray[np.generic]) -> pd.DataFrame:
    return pd.DataFrame(
        values_NK, columns=[f"{letter}{k}" for k in range(values_NK.shape[1])], copy=False
    )


def class_columns(table: pd.DataFrame, letter: str) -> list[str]:
    """Return the columns ``letter`` + number of a class, in the order of the classes."""
    found = [str(c) for c in table.columns if str(c)[:1] == letter and str(c)[1:].isdigit()]
    return sorted(found, key=lambda name: int(name[1:]))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` as Parquet, aside first."""
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)
