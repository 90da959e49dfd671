"""The manifest: one row a video, from which everything else is read."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vidclass.home import write_aside

__all__ = [
    "MANIFEST_COLUMNS",
    "PROBE_COLUMNS",
    "STATUS_OK",
    "STATUS_QUARANTINED",
    "Dataset",
    "new_manifest",
    "read_manifest",
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
_NUMBERS = {**dict.fromkeys(PROBE_COLUMNS, "float64"), "size_bytes": "float64"}


@dataclass(frozen=True)
class Dataset:
    """Videos with labels, as a reader found them.

    Attributes:
        root: the folder that video ids are relative to.
        manifest: one row a video, columns ``MANIFEST_COLUMNS``; not probed yet.
        groups_known: False when no group was given, so that each file is its own group.
    """

    root: Path
    manifest: pd.DataFrame
    groups_known: bool


def new_manifest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``rows`` (video_id, path, label, group, split) as a manifest, sorted by id."""
    manifest = rows.reindex(columns=list(MANIFEST_COLUMNS)).astype(_NUMBERS)
    for column in ("label", "split", "content_hash", "reason"):
        values = manifest[column].astype(object)
        manifest[column] = values.where(values.notna(), None)
    manifest["status"] = STATUS_OK
    return manifest.sort_values("video_id", ignore_index=True)


def usable(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that can be trained on or scored: not quarantined, with a label."""
    kept = (manifest["status"] == STATUS_OK) & manifest["label"].notna()
    return manifest[kept].reset_index(drop=True)


def write_manifest(manifest: pd.DataFrame, path: Path) -> None:
    """Write ``manifest`` as Parquet, aside and renamed."""
    with write_aside(path) as aside:
        manifest.to_parquet(aside, index=False)


def read_manifest(path: Path) -> pd.DataFrame:
    """Read what :func:`write_manifest` wrote."""
    manifest = pd.read_parquet(path)
    for column in ("label", "split", "content_hash", "reason"):
        values = manifest[column].astype(object)
        manifest[column] = values.where(values.notna(), None)
    return manifest
