"""Prediction files of scored trials and floors: one row a video (or clip), one column a class."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.home import write_aside
from vidclass.training import metrics
from vidclass.training.evaluate import Predictions

__all__ = ["CLIP_FILE", "VIDEO_FILE", "clip_table", "score", "video_table", "write_table"]

VIDEO_FILE = "test_predictions.parquet"
CLIP_FILE = "clip_predictions.parquet"


def video_table(predicted: Predictions, fold: int) -> pd.DataFrame:
    """Return video_id, group, fold, label_id, p0 ... p{K-1}: one row a video."""
    table = pd.DataFrame(
        {
            "video_id": predicted.video_ids,
            "group": predicted.groups,
            "fold": fold,
            "label_id": predicted.label_N,
        }
    )
    return pd.concat([table, _columns(predicted.prob_NK)], axis=1)


def clip_table(predicted: Predictions, fold: int) -> pd.DataFrame:
    """Return the same with a column ``view``: one row a clip."""
    views = predicted.num_views
    table = video_table(predicted, fold).iloc[:, :4].loc[lambda t: t.index.repeat(views)]
    table = table.reset_index(drop=True)
    table["view"] = np.tile(np.arange(views), len(predicted.video_ids))
    return pd.concat([table, _columns(predicted.clip_prob_NVK.reshape(len(table), -1))], axis=1)


def _columns(prob_NK: npt.NDArray[np.float32]) -> pd.DataFrame:
    return pd.DataFrame(prob_NK, columns=[f"p{k}" for k in range(prob_NK.shape[1])])


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write ``table`` as Parquet, aside first."""
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)


def score(label_N: npt.NDArray[np.int64], prob_NK: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return accuracy, top-5 accuracy, macro F1, macro recall and log-loss of predictions."""
    predicted_N, num_classes = prob_NK.argmax(axis=1), prob_NK.shape[1]
    return {
        "accuracy": metrics.accuracy(label_N, prob_NK),
        "top5_accuracy": metrics.top_k_accuracy(label_N, prob_NK, min(5, num_classes)),
        "macro_f1": metrics.macro_f1(label_N, predicted_N, num_classes),
        "macro_recall": metrics.macro_recall(label_N, predicted_N, num_classes),
        "log_loss": metrics.log_loss(label_N, prob_NK),
    }
