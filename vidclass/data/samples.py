"""The samples of a data set: videos, or stretches of them, each with what it shows.

A sample table has one row a sample: ``video_id``, ``group``, and ``label_id`` (a class) or
``label_ids`` (a tuple of classes, perhaps none: several may hold at a time). Optional are
``sample_id``, by which predictions name the sample (default: the video), and ``first_frame`` and
``last_frame``, the stored frames that its clips may show, both included (default: all).

Legend: N samples, K classes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.errors import UserError

__all__ = ["Labels", "Samples", "multi_hot", "read_samples"]

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Labels = Int64 | Float32
"""``label_N`` int64, the class of each sample; or ``label_NK`` float32, 1 where a class holds."""


@dataclass(frozen=True)
class Samples:
    """The rows of a sample table as arrays.

    Attributes:
        sample_ids: names in predictions; each occurs once.
        video_ids: where the frames come from.
        groups: samples of one group are never divided by a split.
        labels: see :data:`Labels`.
        first_N: first stored frame that a clip may show.
        last_N: last one.
    """

    sample_ids: list[str]
    video_ids: list[str]
    groups: list[str]
    labels: Labels
    first_N: Int64
    last_N: Int64

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.sample_ids)


def read_samples(
    table: pd.DataFrame, num_frames_N: Int64, num_classes: int | None = None
) -> Samples:
    """Return the samples of ``table``.

    Args:
        table: a sample table.
        num_frames_N: stored frames of the video of each row.
        num_classes: K; needed where the table has ``label_ids``.

    Raises:
        UserError: when two rows have one name, a stretch lies outside its video, or a label is no
            class.
    """
    video_ids = table["video_id"].astype(str).tolist()
    sample_ids = table["sample_id"].astype(str).tolist() if "sample_id" in table else video_ids
    _check_names(sample_ids)
    first_N, last_N = np.zeros(len(table), dtype=np.int64), num_frames_N - 1
    if "first_frame" in table:
        first_N = table["first_frame"].to_numpy(np.int64)
    if "last_frame" in table:
        last_N = table["last_frame"].to_numpy(np.int64)
    _check_stretches(sample_ids, first_N, last_N, num_frames_N)
    if "label_ids" in table:
        assert num_classes is not None, "num_classes gives the width of the labels"
        labels: Labels = multi_hot(table["label_ids"], num_classes)
    else:
        labels = table["label_id"].to_numpy(np.int64)
    return Samples(
        sample_ids, video_ids, table["group"].astype(str).tolist(), labels, first_N, last_N
    )


def multi_hot(label_ids: Iterable[Sequence[int]], num_classes: int) -> Float32:
    """Return 1 where a class is among the labels of a sample, else 0, ``[N, K]``.

    Raises:
        UserError: when a label is no class.
    """
    rows = [np.asarray(ids, dtype=np.int64).reshape(-1) for ids in label_ids]
    label_NK = np.zeros((len(rows), num_classes), dtype=np.float32)
    for label_K, ids in zip(label_NK, rows, strict=True):
        if len(ids) and not (0 <= ids.min() and ids.max() < num_classes):
            raise UserError(
                "every label of a sample is a class",
                ids.tolist(),
                f"numbers from 0 to {num_classes - 1}",
            )
        label_K[ids] = 1.0
    return label_NK


def _check_names(sample_ids: list[str]) -> None:
    if len(set(sample_ids)) < len(sample_ids):
        names = pd.Series(sample_ids)
        raise UserError(
            "every sample has a name of its own",
            f"{names[names.duplicated()].iloc[0]} twice",
            "give stretches of one video a sample_id each",
        )


def _check_stretches(
    sample_ids: list[str], first_N: Int64, last_N: Int64, num_frames_N: Int64
) -> None:
    wrong = np.flatnonzero((first_N < 0) | (last_N < first_N) | (last_N >= num_frames_N))
    if len(wrong):
        row = wrong[0]
        raise UserError(
            "a sample is a stretch of one or more stored frames of its video",
            f"{len(wrong)} are not, first {sample_ids[row]}: frames {first_N[row]} to "
            f"{last_N[row]} of {num_frames_N[row]}",
            "frames count from 0; the last one belongs to the stretch",
        )
