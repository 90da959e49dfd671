"""The manifest: one row a video, from which everything else is read."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vidclass.home import write_aside

__all__ = [
    "MANIFEST_COLUMNS",
    "PROBE_COLUMNS",
    "SEGMENT_COLUMNS",
    "STATUS_OK",
    "STATUS_QUARANTINED",
    "Dataset",
    "chosen_from",
    "group_columns",
    "new_manifest",
    "published_columns",
    "read_manifest",
    "segments",
    "usable",
    "write_manifest",
]

STATUS_OK = "ok"
STATUS_QUARANTINED = "quarantined"

PROBE_COLUMNS = ("num_frames", "fps", "width", "height", "duration_s", "bitrate_bps")
"""What opening a file tells; empty until the store is prepared, and for quarantined videos."""

MANIFEST_COLUMNS = (
    "video_id",
    "path",
    "label",
    "group",
    "split",
    *PROBE_COLUMNS,
    "size_bytes",
    "content_hash",
    "status",
    "reason",
)
SEGMENT_COLUMNS = ("start_s", "end_s")
"""Optional: only this part of the file is the video; empty means from its begin, to its end."""

_PUBLISHED = re.compile(r"split_([1-9]\d*)")
_NUMBERS = (*PROBE_COLUMNS, "size_bytes", *SEGMENT_COLUMNS)
_NEVER_ABSENT = ("video_id", "path", "group", "status")
_TEXTS = ("label", "split", "content_hash", "reason")


@dataclass(frozen=True)
class Dataset:
    """Videos with labels, as a reader found them.

    Attributes:
        root: the folder that video ids are relative to.
        manifest: one row a video, not probed yet: ``MANIFEST_COLUMNS``, then perhaps
            ``SEGMENT_COLUMNS``, published splits (``split_1``, ...) and further group columns.
        groups_known: False when no group was given, so that each file is its own group.
        annotations: interval labels, see :mod:`vidclass.data.annotations`; None where labels are
            of whole videos.
        class_names: all classes in their own order, where the data set states it.
        frame_rows: which frames its label files name, columns ``video_id`` and ``frame`` (a number
            from 0, or an image's name), so that they can be counted against the frames there are.
            None where labels are not of single frames.
        warnings: what the user should know but need not mend.
    """

    root: Path
    manifest: pd.DataFrame
    groups_known: bool
    annotations: pd.DataFrame | None = None
    class_names: tuple[str, ...] | None = None
    frame_rows: pd.DataFrame | None = None
    warnings: tuple[str, ...] = ()


def new_manifest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` as a manifest, sorted by id; columns that are not known are kept as text.

    Args:
        rows: ``video_id``, ``path``, ``label``, ``group``, ``split``, perhaps ``start_s`` and
            ``end_s`` (dropped where they say nothing), published splits and group columns.
    """
    segmented = [
        name for name in SEGMENT_COLUMNS if name in rows.columns and rows[name].notna().any()
    ]
    further = [
        str(name) for name in rows.columns if name not in (*MANIFEST_COLUMNS, *SEGMENT_COLUMNS)
    ]
    manifest = rows.reindex(columns=[*MANIFEST_COLUMNS, *segmented, *further])
    manifest["status"] = STATUS_OK
    return _typed(manifest).sort_values("video_id", ignore_index=True)


def usable(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that can be trained on or scored: not quarantined, with a label."""
    kept = (manifest["status"] == STATUS_OK) & manifest["label"].notna()
    return manifest[kept].reset_index(drop=True)


def segments(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return ``start_s`` and ``end_s`` of each row; empty (NaN) where the whole file is meant."""
    return manifest.reindex(columns=list(SEGMENT_COLUMNS)).astype("float64")


def published_columns(manifest: pd.DataFrame) -> dict[int, str]:
    """Return the columns that hold the splits published with a data set, by their number."""
    found = {str(name): _PUBLISHED.fullmatch(str(name)) for name in manifest.columns}
    return {int(match.group(1)): name for name, match in found.items() if match}


def chosen_from(manifest: pd.DataFrame) -> dict[int, str]:
    """Return the published splits among which one is chosen, as :func:`published_columns` does.

    None where the column ``split`` already is the only one, as of Kinetics: it is kept like any
    other given split, with validation as a share of train.
    """
    columns = published_columns(manifest)
    if list(columns) == [1] and manifest["split"].equals(manifest[columns[1]]):
        return {}
    return columns


def group_columns(manifest: pd.DataFrame) -> list[str]:
    """Return the names of the further group columns: animal, session, day, camera, ..."""
    known = {*MANIFEST_COLUMNS, *SEGMENT_COLUMNS, *published_columns(manifest).values()}
    return [str(name) for name in manifest.columns if name not in known]


def write_manifest(manifest: pd.DataFrame, path: Path) -> None:
    """Write ``manifest`` as Parquet, aside and renamed."""
    with write_aside(path) as aside:
        manifest.to_parquet(aside, index=False)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read what :func:`write_manifest` wrote."""
    return _typed(pd.read_parquet(path))


def _typed(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return ``manifest`` with floats in its number columns and None where a text is absent."""
    numbers = [name for name in _NUMBERS if name in manifest.columns]
    manifest = manifest.astype(
        {**dict.fromkeys(numbers, "float64"), **dict.fromkeys(_NEVER_ABSENT, "str")}
    )
    further = [*published_columns(manifest).values(), *group_columns(manifest)]
    _none_for_absent(manifest, (*_TEXTS, *further))
    return manifest


def _none_for_absent(table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    for column in columns:
        values = table[column].astype(object)
        table[column] = values.where(values.notna(), None)
