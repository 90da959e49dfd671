"""The check that nothing leaks from one split of a fold into another.

Three ways: a group in two splits, files of equal content in two splits, and files that show the
same footage (:mod:`vidclass.data.near_duplicates`) in two splits. Every finding names the files,
their groups and their splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from vidclass.data.published_splits import published_folds
from vidclass.data.splits import DEPLOY_FOLD
from vidclass.errors import UserError, raise_collected

__all__ = [
    "Leak",
    "check_leakage",
    "crossings",
    "find_leaks",
    "leak_table",
    "published_told",
    "told_apart",
]

TOLD_ERRORS = 20
"""Leaks of one kind that an error tells; ``vidclass data check --out`` writes them all."""
TOLD_FILES = 4

Kind = Literal["group", "content", "near_duplicate"]
_RULES: dict[Kind, tuple[str, str]] = {
    "group": (
        "a group is in one split of a fold",
        "give these videos one split, or correct their group",
    ),
    "content": (
        "files with equal content are in one split of a fold",
        "remove the copies, or give the copies one group",
    ),
    "near_duplicate": (
        "files that show the same footage are in one split of a fold",
        "give these videos one group, or remove the copies; if they only look alike: "
        "data.split.near_duplicates: warn",
    ),
}


@dataclass(frozen=True)
class Leak:
    """One thing that is in two splits of a fold.

    Attributes:
        kind: what it is.
        name: of the group; the head of the content hash; how far two files agree.
        folds: where it leaks.
        files: (video_id, group, split in the first of those folds).
    """

    kind: Kind
    name: str
    folds: tuple[int, ...]
    files: tuple[tuple[str, str, str], ...]

    @property
    def told(self) -> str:
        """The finding in one line."""
        shown = [f"{video} ({split}, group {group})" for video, group, split in self.files]
        if self.kind == "group":
            shown = [f"{video} ({split})" for video, _, split in self.files]
        files = ", ".join(shown[:TOLD_FILES]) + (", ..." if len(shown) > TOLD_FILES else "")
        more = f" and {len(self.folds) - 1} more" if len(self.folds) > 1 else ""
        name = {"group": "group ", "content": "content ", "near_duplicate": ""}[self.kind]
        return f"{name}{self.name} in fold {self.folds[0]}{more}: {files}"

    @property
    def error(self) -> UserError:
        """The finding as a mistake to mend."""
        rule, remedy = _RULES[self.kind]
        return UserError(rule, self.told, remedy)


def find_leaks(
    splits: pd.DataFrame, manifest: pd.DataFrame, copies: pd.DataFrame | None = None
) -> list[Leak]:
    """Return all leaks: groups first, then contents, then near duplicates.

    Args:
        splits: ``video_id``, ``fold``, ``split``.
        manifest: ``video_id``, ``group``, ``content_hash`` of the videos of ``splits``.
        copies: pairs ``video_a``, ``video_b``, ``told`` that show the same footage; None where
            nobody looked.
    """
    columns = manifest[["video_id", "group", "content_hash"]].drop_duplicates("video_id")
    joined = splits.merge(columns, on="video_id", how="left", validate="many_to_one")
    leaks = _shared(joined, "group", "group")
    leaks += _shared(joined, "content_hash", "content")
    if copies is not None and len(copies):
        leaks += _pairs(joined, copies)
    return leaks


def check_leakage(
    splits: pd.DataFrame, manifest: pd.DataFrame, copies: pd.DataFrame | None = None
) -> list[str]:
    """Check that no group, content or footage is in two splits of one fold.

    Equal files and footage in two lists of a published split are a warning, so that figures stay
    those of the literature.

    Returns:
        Such warnings.

    Raises:
        UserErrors: naming each group, and each set of files of equal content or footage.
    """
    errors: list[UserError] = []
    leaks, kept = told_apart(find_leaks(splits, manifest, copies), splits, manifest)
    for kind, (rule, remedy) in _RULES.items():
        found = [leak for leak in leaks if leak.kind == kind]
        errors += [leak.error for leak in found[:TOLD_ERRORS]]
        if len(found) > TOLD_ERRORS:
            errors.append(UserError(rule, f"{len(found) - TOLD_ERRORS} more", remedy))
    raise_collected(errors)
    return published_told(kept)


def told_apart(
    leaks: Sequence[Leak], splits: pd.DataFrame, manifest: pd.DataFrame
) -> tuple[list[Leak], list[Leak]]:
    """Return the leaks to mend, and the copies that a published split has itself.

    Who keeps to a published split can't mend it, and would leave the literature if he did.

    Args:
        leaks: of `find_leaks`.
        splits: in which they were found.
        manifest: of the data set, with its published splits where it has any.
    """
    published = published_folds(splits, manifest)
    if set(splits["fold"]) - {DEPLOY_FOLD} <= published:
        published.add(DEPLOY_FOLD)  # holds the same copies, and scores nothing
    own: list[Leak] = []
    kept: list[Leak] = []
    for leak in leaks:
        is_theirs = leak.kind != "group" and published >= set(leak.folds)
        (kept if is_theirs else own).append(leak)
    return own, kept


def published_told(kept: Sequence[Leak]) -> list[str]:
    """Return a warning on the copies of each kind that a published split has itself."""
    warnings = []
    for kind, what in (("content", "contents"), ("near_duplicate", "pairs of equal footage")):
        found = [leak for leak in kept if leak.kind == kind]
        if found:
            files = len({video_id for leak in found for video_id, _, _ in leak.files})
            warnings.append(
                f"the published split itself has {len(found)} {what} in two parts ({files} files); "
                f"it is kept, as in the literature; first {found[0].told}"
            )
    return warnings


def leak_table(leaks: Sequence[Leak]) -> pd.DataFrame:
    """Return a row a file of every leak: leak, kind, name, fold, video_id, group, split."""
    rows = [
        (number, leak.kind, leak.name, leak.folds[0], len(leak.folds), *file)
        for number, leak in enumerate(leaks)
        for file in leak.files
    ]
    columns = ["leak", "kind", "name", "fold", "num_folds", "video_id", "group", "split"]
    return pd.DataFrame(rows, columns=columns)


def crossings(splits: pd.DataFrame, manifest: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return for each column how many of its values are in train and in test of one fold.

    Holding out by animal says nothing of cameras: these rows do.

    Returns:
        A row a column: ``column``, ``values``, ``shared`` (in the fold that shares most) and
        ``example``, one such value; empty where there is none.
    """
    rows = []
    for column in columns:
        joined = splits.merge(manifest[["video_id", column]], on="video_id").dropna(subset=[column])
        tested = joined["split"] == "test"
        learned = joined["split"] == "train"
        keys = ["fold", column]
        shared = joined.loc[tested, keys].drop_duplicates()
        shared = shared.merge(joined.loc[learned, keys].drop_duplicates(), on=keys)
        most = int(shared.groupby("fold").size().max()) if len(shared) else 0
        example = str(shared[column].iloc[0]) if len(shared) else ""
        rows.append((column, joined[column].nunique(), most, example))
    return pd.DataFrame(rows, columns=["column", "values", "shared", "example"])


def _shared(joined: pd.DataFrame, key: str, kind: Kind) -> list[Leak]:
    """Return the values of ``key`` that are in two splits of a fold."""
    known = joined[joined[key].notna()]
    counts = known.groupby(["fold", key])["split"].nunique()
    folds_of: dict[object, list[int]] = {}
    for fold, value in counts[counts > 1].index:
        folds_of.setdefault(value, []).append(int(fold))
    if not folds_of:
        return []
    leaks = []
    for value, rows in known[known[key].isin(list(folds_of))].groupby(key, sort=True):
        folds = sorted(folds_of[value])
        name = str(value) if kind == "group" else str(value)[:12]
        leaks.append(Leak(kind, name, tuple(folds), _files(rows[rows["fold"] == folds[0]])))
    return leaks


def _pairs(joined: pd.DataFrame, copies: pd.DataFrame) -> list[Leak]:
    places = joined[["video_id", "fold", "split", "group", "content_hash"]]
    both = copies.merge(places, left_on="video_a", right_on="video_id").merge(
        places, left_on=["video_b", "fold"], right_on=["video_id", "fold"], suffixes=("_a", "_b")
    )
    told_above = both["content_hash_a"] == both["content_hash_b"]
    apart = both[(both["split_a"] != both["split_b"]) & ~told_above]
    leaks = []
    for (video_a, video_b), rows in apart.groupby(["video_a", "video_b"], sort=True):
        first = rows.sort_values("fold").iloc[0]
        files = (
            (str(video_a), str(first["group_a"]), str(first["split_a"])),
            (str(video_b), str(first["group_b"]), str(first["split_b"])),
        )
        folds = tuple(sorted(int(fold) for fold in rows["fold"].unique()))
        leaks.append(Leak("near_duplicate", str(first["told"]), folds, files))
    return leaks


def _files(rows: pd.DataFrame) -> tuple[tuple[str, str, str], ...]:
    columns = rows[["video_id", "group", "split"]].astype(str)
    return tuple(columns.itertuples(index=False, name=None))
