"""Giving whole groups to the parts of a division, so that every class fills each part by its share.

Legend: G groups, P parts, K columns that are balanced (classes first), C those that a group has.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["divide_groups"]


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
    starts = np.searchsorted(group, np.arange(len(group_names) + 1))
    total_K = np.bincount(column, weights=count, minlength=num_columns)
    target_PK = np.outer(shares, total_K)
    filled_PK = np.zeros_like(target_PK)
    held_PK = np.zeros_like(target_PK)  # groups
    left_K = np.bincount(column, minlength=num_columns)
    least_K = np.where(np.arange(num_columns) < num_classes, least, 0)
    size_G = np.bincount(group_N, minlength=len(group_names))
    part_G = np.zeros(len(group_names), dtype=np.int64)
    shuffled = generator.permutation(len(group_names))
    for number in shuffled[np.argsort(-size_G[shuffled], kind="stable")]:
        of_group = slice(starts[number], starts[number + 1])
        columns_C, count_C = column[of_group], count[of_group]
        lacks_PC = np.maximum(least_K[columns_C] - held_PK[:, columns_C], 0)
        tight_C = left_K[columns_C] <= lacks_PC.sum(axis=0)
        needed_P = ((lacks_PC > 0) & tight_C).sum(axis=1)
        over_PC = 2 * (filled_PK[:, columns_C] - target_PK[:, columns_C]) + count_C
        rise_P = (over_PC * count_C / total_K[columns_C]).sum(axis=1)
        candidates = np.flatnonzero(needed_P == needed_P.max())
        rise = rise_P[candidates]
        best = candidates[rise <= rise.min() + 1e-9]
        part = int(best[generator.integers(len(best))])
        part_G[number] = part
        filled_PK[part, columns_C] += count_C
        held_PK[part, columns_C] += 1
        left_K[columns_C] -= 1
    result: npt.NDArray[np.int64] = part_G[group_N]
    return result


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
