"""What a data set is, in a few lines: classes, groups, splits, and what its reader warns of."""

from collections.abc import Iterator

import pandas as pd

from vidclass.data.manifest import (
    STATUS_QUARANTINED,
    Dataset,
    chosen_from,
    group_columns,
    segments,
)

__all__ = ["class_table", "summary_lines"]


def class_table(dataset: Dataset) -> pd.DataFrame:
    """Return a row a class, in the data set's own order: its videos and groups.

    Of a data set whose labels are of parts of videos: videos with such a part, and its parts.
    """
    labelled = dataset.manifest[dataset.manifest["label"].notna()].groupby("label")
    columns = {"videos": labelled.size(), "groups": labelled["group"].nunique()}
    if dataset.annotations is not None:
        parts = dataset.annotations[dataset.annotations["label"].notna()].groupby("label")
        columns = {"videos": parts["video_id"].nunique(), "parts": parts.size()}
    table = pd.DataFrame(columns).astype("int64").rename_axis("label")
    order = dataset.class_names or tuple(sorted(map(str, table.index)))
    return table.reindex([*order, *sorted(set(table.index) - set(order))], fill_value=0)


def summary_lines(dataset: Dataset) -> Iterator[str]:
    """Yield the lines that ``vidclass data index`` prints above the table of classes."""
    manifest = dataset.manifest
    num_labelled = int(manifest["label"].notna().sum())
    told = f"{len(manifest)} videos in {dataset.root}"
    if num_labelled < len(manifest) and (num_labelled or dataset.annotations is None):
        told += f", {len(manifest) - num_labelled} of them without a label"
    yield told
    num_parts = int(segments(manifest).notna().any(axis=1).sum())
    if num_parts:
        num_files = manifest["path"].nunique()
        yield f"parts      {num_parts} videos are a part of a file; {num_files} files in all"
    yield (
        f"groups     {manifest['group'].nunique()}"
        if dataset.groups_known
        else "groups     not given: each file is its own"
    )
    columns = group_columns(manifest)
    if columns:
        told = ", ".join(f"{name} ({manifest[name].nunique()})" for name in columns)
        yield f"columns    {told}"
    for name in ("split", *(name for _, name in sorted(chosen_from(manifest).items()))):
        counts = manifest[name].value_counts()
        if len(counts):
            parts = ", ".join(
                f"{part} {counts[part]}" for part in ("train", "valid", "test") if part in counts
            )
            unused = int(manifest[name].isna().sum())
            yield f"{name:<10} {parts}" + (f", unused {unused}" if unused else "")
    if dataset.annotations is not None:
        yield f"labels     {_annotations_told(dataset.annotations)}"
    quarantined = int((manifest["status"] == STATUS_QUARANTINED).sum())
    if quarantined:
        yield f"left out   {quarantined} quarantined videos"
    for warning in dataset.warnings:
        yield f"warning    {warning}"


def _annotations_told(annotations: pd.DataFrame) -> str:
    points = int((annotations["start_s"] == annotations["end_s"]).sum())
    told = f"{len(annotations) - points} intervals and {points} points"
    told += f" in {annotations['video_id'].nunique()} videos"
    for column in ("subject", "annotator"):
        names = sorted(annotations[column].dropna().unique())
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            told += f"; {len(names)} {column}s: {shown}"
    return told
