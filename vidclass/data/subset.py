"""A part of the training videos, cut by group, for the question what more videos would bring."""

import hashlib
import math

import pandas as pd

from vidclass.errors import UserError

__all__ = ["share_of_groups"]

NO_CLASS = -1


def share_of_groups(table: pd.DataFrame, share: float, *, seed: int) -> pd.DataFrame:
    """Return the rows of ``share`` of the groups of ``table``, whole groups only.

    Each class keeps the same share of its groups, rounded up, so that none dies out; a group of
    several classes counts for its most frequent one, one without any for none. A smaller share is
    part of a larger one.

    Args:
        table: rows with ``group`` and ``label_id``, or ``label_ids``.
        share: of the groups, above 0 and at most 1.
        seed: of the draw.

    Raises:
        UserError: for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise UserError("a share of the videos is above 0 and at most 1", share, "share: 0.25")
    rows = table
    if "label_ids" in table:
        rows = table[["group", "label_ids"]].explode("label_ids")
        rows = rows.assign(label_id=rows["label_ids"].astype("float64").fillna(NO_CLASS))
    class_of_group = rows.groupby("group")["label_id"].agg(lambda ids: ids.mode().iloc[0])
    drawn = pd.DataFrame({"label_id": class_of_group})
    drawn["rank"] = [_rank(str(group), seed) for group in drawn.index]
    place = drawn.groupby("label_id")["rank"].rank(method="first")
    size = drawn.groupby("label_id")["rank"].transform("size")
    kept = drawn.index[place <= (size * share).map(math.ceil)]
    return table[table["group"].isin(kept)].reset_index(drop=True)


def _rank(group: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")
