"""What a data set is made of, as figures: counts, lengths, sizes, rates, share of each class.

Pure functions of a probed manifest and its annotations; `vidclass.data.explore_page` draws them.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.manifest import STATUS_OK, STATUS_QUARANTINED, group_columns

__all__ = ["UNLABELLED", "Exploration", "class_shares", "explore", "union_s"]

UNLABELLED = "(no label)"
MOST_KINDS = 12


@dataclass(frozen=True)
class Exploration:
    """The figures of a data set.

    Attributes:
        overview: what and how much, in order.
        classes: a row a class: videos, groups, share of the videos, seconds, and the least, median
            and greatest length in seconds.
        shares: a row a video, a column a class: its share of the video's time. Empty where labels
            are of whole videos.
        sizes: a row a frame size: videos and their share, the most frequent first.
        rates: a row a frame rate, likewise.
        columns: a row a group column: values, and videos of the most frequent one.
        lengths_s: of all videos that decode.
        unreadable: ``video_id`` and ``reason`` of the others.
    """

    overview: list[tuple[str, str]]
    classes: pd.DataFrame
    shares: pd.DataFrame
    sizes: pd.DataFrame
    rates: pd.DataFrame
    columns: pd.DataFrame
    lengths_s: npt.NDArray[np.float64]
    unreadable: pd.DataFrame


def explore(
    manifest: pd.DataFrame, groups_known: bool, annotations: pd.DataFrame | None = None
) -> Exploration:
    """Return the figures of a data set.

    Args:
        manifest: probed.
        groups_known: whether the data set names its groups.
        annotations: interval labels, where parts of videos are labelled.
    """
    good = manifest[manifest["status"] == STATUS_OK]
    shares = pd.DataFrame() if annotations is None else class_shares(good, annotations)
    sides = good[["width", "height"]].astype("int64").astype(str)
    return Exploration(
        overview=_overview(manifest, good, groups_known),
        classes=_classes(good) if shares.empty else _labelled_parts(good, shares),
        shares=shares,
        sizes=_kinds(sides["width"] + " x " + sides["height"], "size"),
        rates=_kinds(good["fps"].round(2).map("{:g}".format), "fps"),
        columns=_columns(good),
        lengths_s=good["duration_s"].to_numpy("float64"),
        unreadable=manifest.loc[manifest["status"] == STATUS_QUARANTINED, ["video_id", "reason"]],
    )


def class_shares(videos: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each video's time that each class holds; classes may overlap.

    Args:
        videos: probed rows.
        annotations: interval labels; rows that overlap within a class count once.

    Returns:
        A row a video with annotations, a column a class.
    """
    length_s = dict(zip(videos["video_id"], videos["duration_s"], strict=True))
    known = annotations[annotations["label"].notna() & annotations["video_id"].isin(list(length_s))]
    rows = []
    for (video_id, label), own in known.groupby(["video_id", "label"]):
        whole_s = float(length_s[video_id])
        held_s = union_s(own["start_s"].to_numpy(), own["end_s"].to_numpy(), whole_s)
        rows.append((video_id, label, held_s / whole_s))
    table = pd.DataFrame(rows, columns=["video_id", "label", "share"])
    return table.pivot(index="video_id", columns="label", values="share").fillna(0.0)


def union_s(
    start_N: npt.NDArray[np.float64], end_N: npt.NDArray[np.float64], length_s: float
) -> float:
    """Return the seconds that intervals cover together, within ``length_s``."""
    order = np.argsort(start_N, kind="stable")
    start = np.clip(start_N[order], 0.0, length_s)
    end = np.maximum.accumulate(np.clip(end_N[order], 0.0, length_s))
    before = np.concatenate([[0.0], end[:-1]])
    return float(np.maximum(0.0, end - np.maximum(start, before)).sum())


def _overview(
    manifest: pd.DataFrame, good: pd.DataFrame, groups_known: bool
) -> list[tuple[str, str]]:
    seconds = float(good["duration_s"].sum())
    hours = f"{seconds / 3600:.2f} hours" if seconds >= 3600 else f"{seconds:.0f} seconds"
    groups = f"{manifest['group'].nunique():,}" if groups_known else "not given: each is its own"
    size_bytes = float(manifest["size_bytes"].sum())
    return [
        ("videos", f"{len(manifest):,}, of which {len(good):,} decode"),
        ("groups", groups),
        ("length", f"{hours}, {int(good['num_frames'].sum()):,} frames"),
        ("files", f"{manifest['path'].nunique():,}, {size_bytes / 1e6:,.1f} MB"),
    ]


def _classes(good: pd.DataFrame) -> pd.DataFrame:
    videos = good.assign(label=good["label"].fillna(UNLABELLED)).groupby("label", sort=True)
    length_s = videos["duration_s"]
    return pd.DataFrame(
        {
            "videos": videos.size(),
            "groups": videos["group"].nunique(),
            "share": videos.size() / max(len(good), 1),
            "seconds": length_s.sum(),
            "least_s": length_s.min(),
            "median_s": length_s.median(),
            "most_s": length_s.max(),
        }
    )


def _labelled_parts(good: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """Return a row a class of labelled parts: in how many videos, and its share of their time."""
    length_s = good.set_index("video_id")["duration_s"][shares.index]
    group = good.set_index("video_id")["group"][shares.index]
    shown = shares > 0
    return pd.DataFrame(
        {
            "videos": shown.sum(),
            "groups": [group[shown[name]].nunique() for name in shares.columns],
            "share": shares.mul(length_s, axis="index").sum() / length_s.sum(),
            "seconds": shares.mul(length_s, axis="index").sum(),
            "least_share": shares.min(),
            "median_share": shares.median(),
            "most_share": shares.max(),
        }
    ).rename_axis("label")


def _kinds(values: pd.Series, name: str) -> pd.DataFrame:
    counts = values.value_counts()
    table = pd.DataFrame({"videos": counts, "share": counts / max(len(values), 1)})
    rest = table.iloc[MOST_KINDS:]
    table = table.iloc[:MOST_KINDS].rename_axis(name)
    if len(rest):
        table.loc[f"{len(rest)} others"] = [rest["videos"].sum(), rest["share"].sum()]
    return table.astype({"videos": "int64"})


def _columns(good: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name in group_columns(good):
        counts = good[name].value_counts()
        first = f"{counts.index[0]} ({counts.iloc[0]})" if len(counts) else ""
        rows.append((name, len(counts), int(good[name].isna().sum()), first))
    table = pd.DataFrame(rows, columns=["column", "values", "empty", "most_frequent"])
    return table.set_index("column")
