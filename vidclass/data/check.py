"""What is wrong with a data set, before a study finds out: files, labels, copies, divisions.

Pure functions of what the readers, the scan of the files and the search for copies found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from vidclass.data.frame_label_check import MISMATCH_COLUMNS
from vidclass.data.interval_policy import REPORT_COLUMNS
from vidclass.data.leakage import Leak, find_leaks, leak_table, told_apart
from vidclass.data.manifest import SEGMENT_COLUMNS, STATUS_QUARANTINED, segments, usable

__all__ = [
    "Checked",
    "describe_classes",
    "describe_splits",
    "examine",
    "families",
    "footage_conflicts",
    "label_conflicts",
    "same_contents",
]


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        manifest: every video, probed; what does not decode is quarantined with its reason.
        mismatches: a row a video whose frames and frame labels are not the same ones, see
            :func:`vidclass.data.frame_label_check.frame_label_mismatches`.
        intervals: a row an interval that is not as a study needs it, see
            :func:`vidclass.data.interval_check.interval_problems`.
        contents: a row a file whose content another file has too: ``content_hash``, ``video_id``.
        conflicts: those of ``contents`` that are labelled differently though they are copies.
        copies: pairs of videos that show the same footage though their files differ, see
            :func:`vidclass.data.near_duplicates.near_duplicates`.
        look_conflicts: those of ``copies`` that are labelled differently, see
            :func:`footage_conflicts`.
        splits: how the videos are divided; None where they can't be, or none is labelled.
        undivided: why labelled videos can't be.
        leaks: what is in two splits of a fold.
        official: copies that a published split has in two parts itself; nothing to mend.
        warnings: what the user should know but need not mend.
    """

    manifest: pd.DataFrame
    mismatches: pd.DataFrame
    intervals: pd.DataFrame
    contents: pd.DataFrame
    conflicts: pd.DataFrame
    copies: pd.DataFrame
    look_conflicts: pd.DataFrame
    splits: pd.DataFrame | None
    undivided: str
    leaks: Sequence[Leak]
    official: Sequence[Leak]
    warnings: Sequence[str] = ()

    @property
    def unreadable(self) -> pd.DataFrame:
        """The videos that do not decode, with their reasons."""
        return self.manifest[self.manifest["status"] == STATUS_QUARANTINED]

    @property
    def clean(self) -> bool:
        """Whether there is nothing to mend."""
        conflicts = (self.conflicts, self.look_conflicts)
        tables = (self.unreadable, self.mismatches, self.intervals, *conflicts)
        return not (any(map(len, tables)) or self.leaks or self.undivided)

    def as_json(self) -> dict[str, Any]:
        """Return all findings as plain values."""
        unreadable = self.unreadable[["video_id", "reason"]]
        return {
            "clean": self.clean,
            "num_videos": len(self.manifest),
            "unreadable": unreadable.to_dict("records"),
            "label_mismatches": self.mismatches.to_dict("records"),
            "intervals": self.intervals.to_dict("records"),
            "same_content": self.contents.to_dict("records"),
            "label_conflicts": self.conflicts.to_dict("records"),
            "same_footage": self.copies.to_dict("records"),
            "footage_label_conflicts": self.look_conflicts.to_dict("records"),
            "undivided": self.undivided,
            "leaks": leak_table(self.leaks).to_dict("records"),
            "official_leaks": leak_table(self.official).to_dict("records"),
            "warnings": list(self.warnings),
        }


def examine(
    manifest: pd.DataFrame,
    copies: pd.DataFrame,
    splits: pd.DataFrame | None,
    *,
    undivided: str = "",
    mismatches: pd.DataFrame | None = None,
    intervals: pd.DataFrame | None = None,
    warnings: Sequence[str] = (),
) -> Checked:
    """Put together what is wrong.

    Args:
        manifest: probed and hashed.
        copies: pairs that show the same footage.
        splits: the division to hold the videos against; None where there is none.
        undivided: why labelled videos can't be divided.
        mismatches: videos whose frames and frame labels differ; None where labels are of videos.
        intervals: intervals to mend; None where labels are of videos.
        warnings: what need not be mended.
    """
    contents = same_contents(manifest)
    copies = _of_other_content(copies, manifest)
    leaks: list[Leak] = []
    official: list[Leak] = []
    if splits is not None:
        leaks, official = told_apart(find_leaks(splits, manifest, copies), splits, manifest)
    return Checked(
        manifest=manifest,
        mismatches=_or_none(mismatches, MISMATCH_COLUMNS),
        intervals=_or_none(intervals, REPORT_COLUMNS),
        contents=contents,
        conflicts=label_conflicts(manifest),
        copies=copies,
        look_conflicts=footage_conflicts(copies, manifest),
        splits=splits,
        undivided=undivided,
        leaks=leaks,
        official=official,
        warnings=warnings,
    )


def _or_none(found: pd.DataFrame | None, columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns)) if found is None else found


def same_contents(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the videos whose file has the content of another file, sorted by content.

    Parts of one file are no copies.
    """
    known = manifest[manifest["content_hash"].notna()]
    files = known.groupby("content_hash")["path"].nunique()
    kept = known[known["content_hash"].isin(files.index[files > 1])]
    columns = ["content_hash", "video_id", "group", "label"]
    return kept[columns].sort_values(["content_hash", "video_id"], ignore_index=True)


def label_conflicts(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the labelled videos whose copies have another label, sorted by content.

    Copies are videos of equal content, of parts of files those of the same part.
    """
    known = manifest[manifest["content_hash"].notna() & manifest["label"].notna()]
    same = [known["content_hash"], *(segments(known)[name] for name in SEGMENT_COLUMNS)]
    differ = known["label"].groupby(same, dropna=False).transform("nunique") > 1
    columns = ["content_hash", "video_id", "label"]
    return known.loc[differ, columns].sort_values(["content_hash", "video_id"], ignore_index=True)


def footage_conflicts(copies: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs that show the same footage and have different labels.

    Signatures are of whole files, so that only equal parts of two files count.

    Returns:
        ``video_a``, ``label_a``, ``video_b``, ``label_b`` and ``correlation``.
    """
    part = segments(manifest).fillna(-1.0)
    of_video = manifest[["video_id", "label"]].assign(**part).set_index("video_id")
    first, second = (
        of_video.loc[copies[name].tolist()].reset_index() for name in ("video_a", "video_b")
    )
    same_part = (first[list(SEGMENT_COLUMNS)] == second[list(SEGMENT_COLUMNS)]).all(axis=1)
    labelled = first["label"].notna() & second["label"].notna()
    pairs = pd.DataFrame(
        {
            "video_a": first["video_id"],
            "label_a": first["label"],
            "video_b": second["video_id"],
            "label_b": second["label"],
            "correlation": copies["correlation"].to_numpy(),
        }
    )
    differs = same_part & labelled & (first["label"] != second["label"])
    return pairs[differs].reset_index(drop=True)


def families(copies: pd.DataFrame) -> list[tuple[list[str], float]]:
    """Return sets of videos that pairs of ``copies`` join, and the least correlation in each."""
    codes, ids = pd.factorize(pd.concat([copies["video_a"], copies["video_b"]]), sort=True)
    first, second = codes[: len(copies)], codes[len(copies) :]
    joined = coo_array((np.ones(len(copies)), (first, second)), shape=(len(ids), len(ids)))
    _, family_of = connected_components(joined, directed=False)
    least = copies["correlation"].groupby(family_of[first]).min()
    return [
        (sorted(ids[family_of == family]), float(correlation))
        for family, correlation in least.items()
    ]


def _of_other_content(copies: pd.DataFrame, manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of files that differ: equal ones are told as such, parts of one are none."""
    content = manifest.set_index("video_id")["content_hash"]
    first, second = copies["video_a"].map(content), copies["video_b"].map(content)
    return copies[~(first.notna() & (first == second))].reset_index(drop=True)


def describe_classes(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a row a class: videos, groups, seconds in all, and the range of frames and fps."""
    videos = usable(manifest).groupby("label", sort=True)
    return pd.DataFrame(
        {
            "videos": videos.size(),
            "groups": videos["group"].nunique(),
            "seconds": videos["duration_s"].sum().round(1),
            "fewest_frames": videos["num_frames"].min().astype(int),
            "most_frames": videos["num_frames"].max().astype(int),
            "lowest_fps": videos["fps"].min().round(2),
            "highest_fps": videos["fps"].max().round(2),
        }
    )


def describe_splits(splits: pd.DataFrame) -> str:
    """Return one line on the folds of ``splits`` and the videos of their parts, averaged."""
    num_folds = splits["fold"].nunique()
    counts = (splits.groupby("split").size() / num_folds).round().astype(int)
    parts = ", ".join(f"{name} {counts.get(name, 0)}" for name in ("train", "valid", "test"))
    if num_folds == 1:
        return f"one split: {parts} videos"
    tested = splits[splits["split"] == "test"]
    every = "every video" if len(tested) == splits["video_id"].nunique() else "each video at most"
    return f"{num_folds} folds, {every} test once; in each about: {parts} videos"
