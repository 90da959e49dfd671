"""The labels of a data set beside frames that were extracted of it, so that they are read again.

Labels of whole videos become ``labels.csv``, those of parts or frames ``timestamps.csv``: a time
stays true whatever frames were taken. The groups of the latter lie in ``groups.csv``, since a video
without a part has no row in it.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vidclass.data.convert import Labels, interval_table
from vidclass.data.manifest import Dataset, group_columns, published_columns
from vidclass.home import write_aside

__all__ = ["write_labels"]

_LABELS, _TIMES, _GROUPS = "labels.csv", "timestamps.csv", "groups.csv"


def write_labels(out: Path, dataset: Dataset, names: Mapping[str, str]) -> None:
    """Write the tables of labels and groups, and remove those of an earlier call.

    Args:
        out: the folder.
        dataset: as a reader found it.
        names: folder of each extracted video, relative to ``out``, by its id; others are left out.
    """
    manifest = dataset.manifest[dataset.manifest["video_id"].isin(list(names))]
    group = ["group"] if dataset.groups_known else []
    further = [*group_columns(manifest), *published_columns(manifest).values()]
    videos = manifest.assign(video=manifest["video_id"].map(names)).set_index("video", drop=False)
    tables: dict[str, pd.DataFrame] = {}
    if dataset.annotations is None:
        known = ["video", "label", *_filled(videos, ["split", *group, *further])]
        tables[_LABELS] = videos[known]
    else:
        said = ["split", *([] if group else further)]
        tables[_TIMES] = _intervals(dataset.annotations, names, videos[_filled(videos, said)])
        if group:
            tables[_GROUPS] = videos[["video", *group, *_filled(videos, further)]]
    for name in (_LABELS, _TIMES, _GROUPS):
        if name not in tables:
            (out / name).unlink(missing_ok=True)
            continue
        with write_aside(out / name) as aside:
            tables[name].to_csv(aside, index=False)


def _filled(videos: pd.DataFrame, columns: list[str]) -> list[str]:
    return [name for name in columns if videos[name].notna().any()]


def _intervals(
    annotations: pd.DataFrame, names: Mapping[str, str], of_videos: pd.DataFrame
) -> pd.DataFrame:
    rows = annotations[annotations["video_id"].isin(list(names))]
    rows = rows.assign(video_id=rows["video_id"].map(dict(names)))
    table = interval_table(Labels(rows, of_frames=False, of_videos=of_videos))
    return table.drop_duplicates(ignore_index=True)  # equal to the millisecond
