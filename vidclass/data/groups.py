"""Columns that tell what belongs together (animal, session, day, camera), and holding out by one.

The column ``group`` of a manifest is what splits keep whole. ``hold_out_by`` puts another column
there, or several together.
"""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from vidclass.data.manifest import group_columns
from vidclass.errors import UserError

__all__ = ["JOIN", "hold_out_by", "nesting"]

JOIN = "+"


def hold_out_by(manifest: pd.DataFrame, column: str | None) -> pd.DataFrame:
    """Return ``manifest`` with ``group`` made of ``column``; unchanged where that is None.

    Args:
        manifest: one row a video.
        column: a column, or several joined by ``+``: then the unit is each combination of values.

    Raises:
        UserError: when there is no such column, or a labelled video has no value in it.
    """
    if column is None or column == "group":
        return manifest
    names = [name.strip() for name in column.split(JOIN)]
    known = ["group", *group_columns(manifest)]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UserError(
                "videos are held out by a column of the data set",
                f"{name}; there are: {', '.join(known)}",
                f"did you mean {close[0]}?"
                if close
                else "add the column to the table of labels or groups",
            )
    needed = manifest["label"].notna()
    if not needed.any():  # labels of parts of videos are in another table
        needed = ~needed
    for name in names:
        lacking = manifest.loc[needed & manifest[name].isna(), "video_id"]
        if len(lacking):
            raise UserError(
                "every labelled video has a value in the column that is held out by",
                f"{name}: {len(lacking)} have none, first {lacking.iloc[0]}",
                "fill the column, or take these videos out",
            )
    texts = manifest[names].fillna("").astype(str)  # a video without a label may lack a value
    return manifest.assign(group=["/".join(row) for row in texts.itertuples(index=False)])


def nesting(manifest: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return a sentence a pair of columns: one lies within the other, or they cross.

    A session of one animal only lies within the animal: holding out by animal holds out whole
    sessions. A camera that sees several animals crosses it: held-out animals were seen by it.
    """
    told = []
    for place, fine in enumerate(columns):
        for coarse in columns[:place]:
            known = manifest[[coarse, fine]].dropna().drop_duplicates()
            if not len(known):
                continue
            one_parent = known[fine].is_unique
            one_child = known[coarse].is_unique
            if one_parent and one_child:
                told.append(f"{fine} and {coarse} say the same")
            elif one_parent:
                told.append(f"each {fine} lies within one {coarse}")
            elif one_child:
                told.append(f"each {coarse} lies within one {fine}")
            else:
                several = int(np.sum(known[fine].value_counts() > 1))
                told.append(f"{fine} crosses {coarse} ({several} values in several)")
    return told
