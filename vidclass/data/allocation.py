"""Giving whole groups to the parts of a division, so that every class fills each part by its share.

Legend: G groups, P parts, K columns that are balanced (classes first), C those that a group has.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["divide_groups"]

Columns = int | npt.NDArray[np.int64]
"""Columns of a group, or its videos in each; a plain number where it has one column."""


def divide_groups(
    videos: pd.DataFrame,
    shares: Sequence[float],
    generator: np.random.Generator,
    *,
    least: int = 1,
    balance: Sequence[str] = (),
) -> npt.NDArray[np.int64]:
    """Give each group one part, so that each class fills each part by its share.

    Greedy: the largest group first (ties at random), into the part that most lacks its classes:
    where it lowers the squared distance to the wished counts most. Where the groups left of a
    class are only just enough to give each part ``least`` of them, the group goes to a part that
    still lacks some.

    Args:
        videos: ``label``, ``group`` and the columns of ``balance``, one row a video.
        shares: of each part, summing to 1.
        generator: breaks ties.
        least: groups of each class that every part gets while there are enough.
        balance: further columns whose values within a class are spread over the parts too, as far
            as whole groups allow.

    Returns:
        The part of each row of ``videos``, ``[N]``.
    """
    group_N, group_names = pd.factorize(videos["group"].astype(str), sort=True)
    column_NB, num_columns, num_classes = _columns(videos, balance)
    group, column, count = _counts(group_N, column_NB)
    bounds = np.searchsorted(group, np.arange(len(group_names) + 1)).tolist()
    least_K = np.where(np.arange(num_columns) < num_classes, least, 0)
    parts = _Parts(shares, least_K, column, count)
    size_G = np.bincount(group_N, minlength=len(group_names))
    part_G = np.zeros(len(group_names), dtype=np.int64)
    shuffled = generator.permutation(len(group_names))
    for number in shuffled[np.argsort(-size_G[shuffled], kind="stable")].tolist():
        first, stop = bounds[number], bounds[number + 1]
        # Most groups have one column, and plain numbers are ten times as fast as arrays of one.
        own = int(column[first]) if stop - first == 1 else column[first:stop]
        num_videos = int(count[first]) if stop - first == 1 else count[first:stop]
        best = parts.best(own, num_videos)
        part = best[int(generator.integers(len(best)))]
        parts.give(part, own, num_videos)
        part_G[number] = part
    result: npt.NDArray[np.int64] = part_G[group_N]
    return result


class _Parts:
    """What each part holds so far, and what it should hold."""

    def __init__(
        self,
        shares: Sequence[float],
        least_K: npt.NDArray[np.int64],
        column: npt.NDArray[np.int64],
        count: npt.NDArray[np.int64],
    ) -> None:
        num_columns = len(least_K)
        self._least_K = least_K
        self._total_K = np.bincount(column, weights=count, minlength=num_columns)
        self._target_PK = np.outer(shares, self._total_K)
        self._filled_PK = np.zeros_like(self._target_PK)
        self._held_PK = np.zeros_like(self._target_PK)  # groups
        self._left_K = np.bincount(column, minlength=num_columns)

    def give(self, part: int, columns_C: Columns, count_C: Columns) -> None:
        """Put a group into a part."""
        self._filled_PK[part, columns_C] += count_C
        self._held_PK[part, columns_C] += 1
        self._left_K[columns_C] -= 1

    def best(self, columns_C: Columns, count_C: Columns) -> list[int]:
        """Return the parts that suit a group best."""
        if isinstance(columns_C, int) and isinstance(count_C, int):
            return self._best_of_one(columns_C, count_C)
        lacks_PC = np.maximum(self._least_K[columns_C] - self._held_PK[:, columns_C], 0)
        tight_C = self._left_K[columns_C] <= lacks_PC.sum(axis=0)
        needed_P = ((lacks_PC > 0) & tight_C).sum(axis=1)
        over_PC = 2 * (self._filled_PK[:, columns_C] - self._target_PK[:, columns_C]) + count_C
        rise_P = (over_PC * count_C / self._total_K[columns_C]).sum(axis=1)
        candidates = np.flatnonzero(needed_P == needed_P.max())
        rise = rise_P[candidates]
        best: list[int] = candidates[rise <= rise.min() + 1e-9].tolist()
        return best

    def _best_of_one(self, k: int, count: int) -> list[int]:
        """Return the same for a group of one column."""
        filled_P, target_P = self._filled_PK[:, k].tolist(), self._target_PK[:, k].tolist()
        least, total = int(self._least_K[k]), float(self._total_K[k])
        lacks_P = [max(least - held, 0) for held in self._held_PK[:, k].tolist()]
        tight = int(self._left_K[k]) <= sum(lacks_P)
        candidates = [part for part, lack in enumerate(lacks_P) if lack > 0] if tight else []
        rise = {
            part: (2 * (filled_P[part] - target_P[part]) + count) * count / total
            for part in candidates or range(len(filled_P))
        }
        bound = min(rise.values()) + 1e-9
        return [part for part, value in rise.items() if value <= bound]


def _columns(
    videos: pd.DataFrame, balance: Sequence[str]
) -> tuple[npt.NDArray[np.int64], int, int]:
    """Return the columns that each video counts for, ``[N, 1 + B]``, their number, and classes."""
    labels = videos["label"].astype(str)
    codes, classes = pd.factorize(labels, sort=True)
    parts, num_columns = [codes], len(classes)
    for name in balance:
        codes, values = pd.factorize(labels + "\0" + videos[name].astype(str), sort=True)
        parts.append(codes + num_columns)
        num_columns += len(values)
    return np.stack(parts, axis=1).astype(np.int64), num_columns, len(classes)


def _counts(
    group_N: npt.NDArray[np.int64], column_NB: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (group, column, videos) of every pair that occurs, sorted by group."""
    num_columns = int(column_NB.max()) + 1
    pairs = (group_N[:, None] * num_columns + column_NB).ravel()
    found, count = np.unique(pairs, return_counts=True)
    return found // num_columns, found % num_columns, count
