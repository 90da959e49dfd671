"""What is labelled of a data set: which videos, which classes they show, and the samples of them.

Three ways to be labelled: each video shows one class; each video shows any number of classes; parts
of recordings are labelled, and sliding windows over them are the samples. A split never looks at
samples: it divides the groups of videos by the classes that each video shows.

Legend: K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vidclass.data.annotations import Task, choose_annotations, class_names_of
from vidclass.data.manifest import STATUS_OK, Dataset, usable
from vidclass.data.selection import chosen_classes
from vidclass.data.subset import share_of_groups
from vidclass.data.windows import LabelFrom, window_table
from vidclass.errors import UserError

__all__ = [
    "SEPARATOR",
    "Labelled",
    "Labelling",
    "Windows",
    "labelled",
    "make_samples",
    "select_labelled",
]

SEPARATOR = ";"
"""Between the classes of a video in a table; alone it says that the video shows none of them."""


class Windows(BaseModel):
    """Sliding windows over labelled recordings: each is a sample."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    length_frames: int | None = Field(default=None, ge=1)
    """Stored frames of a window; or"""
    length_s: float | None = Field(default=None, gt=0)
    """seconds of it."""
    stride_frames: int | None = Field(default=None, ge=1)
    """Stored frames from one window to the next; or"""
    stride_s: float | None = Field(default=None, gt=0)
    """seconds; by default one frame."""
    label_from: LabelFrom = "last"
    """Which frame labels a window: the last, the one in the centre, or the majority of all."""

    @model_validator(mode="after")
    def _given_once(self) -> "Windows":
        length, stride = (self.length_frames, self.length_s), (self.stride_frames, self.stride_s)
        if length.count(None) != 1:
            raise ValueError(
                f"windows have a length_frames or a length_s; received {length[0]} and {length[1]}"
            )
        if None not in stride:
            raise ValueError(
                f"windows have a stride_frames or a stride_s; received {stride[0]} and {stride[1]}"
            )
        return self


class Labelling(NamedTuple):
    """How the labels of a data set are read.

    Args:
        task: whether one label holds at a time or several may.
        windows: samples are windows of recordings; None where they are whole videos.
        annotator: whose interval labels are taken, where several labelled.
        subject: whose behaviour is looked at, where several subjects are labelled; None is all.
    """

    task: Task = "multiclass"
    windows: Windows | None = None
    annotator: str | None = None
    subject: str | None = None

    @property
    def several(self) -> bool:
        """Whether a video may show several classes."""
        return self.task == "multilabel" or self.windows is not None


@dataclass(frozen=True)
class Labelled:
    """The videos that can be trained on or scored.

    Attributes:
        videos: rows of the manifest.
        shown: ``video_id`` and ``label``, a row for every class that a video shows.
        classes: all classes, in the order of their ids.
        annotations: the interval labels that were chosen; None where labels are of whole videos.
    """

    videos: pd.DataFrame
    shown: pd.DataFrame
    classes: list[str]
    annotations: pd.DataFrame | None = None

    def rows_to_divide(self) -> pd.DataFrame:
        """Return the rows by which groups are divided: a video once for every class that it shows.

        A video that shows no class has to be somewhere too: it counts for the most frequent one.
        Where no video shows any, there is nothing to divide by, and no row is returned.
        """
        counts = self.shown["label"].value_counts()
        rows = self.videos.drop(columns="label").merge(self.shown, on="video_id", how="left")
        if counts.empty:
            return rows.iloc[:0]
        return rows.assign(label=rows["label"].fillna(counts.index[0]))


def labelled(manifest: pd.DataFrame, dataset: Dataset, labelling: Labelling) -> Labelled:
    """Return what of a data set can be used.

    Args:
        manifest: that of the data set, perhaps probed since.
        dataset: where annotations and the order of classes come from.
        labelling: how labels are read.

    Raises:
        UserError: when the labels are not of the kind that ``labelling`` needs.
    """
    if dataset.annotations is not None and dataset.annotations["label"].notna().any():
        if labelling.windows is None and labelling.task == "multiclass":
            raise UserError(
                "interval labels make windows with one label each, or videos with several",
                "neither data.windows nor data.task: multilabel",
                "data.windows: {length_s: 1, stride_s: 0.5}, or data.task: multilabel",
            )
        return _from_annotations(manifest, dataset, labelling)
    if labelling.windows is not None:
        raise UserError(
            "windows get their labels from those of intervals or frames",
            f"{dataset.root} labels whole videos",
            "leave data.windows out; data.views scores several clips of a video",
        )
    videos = usable(manifest)
    shown = videos[["video_id", "label"]]
    if labelling.task == "multilabel":
        shown = _several(videos)
    return Labelled(videos, shown, sorted(shown["label"].unique()))


def _from_annotations(manifest: pd.DataFrame, dataset: Dataset, labelling: Labelling) -> Labelled:
    assert dataset.annotations is not None
    annotations = choose_annotations(
        dataset.annotations, annotator=labelling.annotator, subject=labelling.subject
    )
    is_labelled = manifest["video_id"].isin(annotations["video_id"])
    videos = manifest[(manifest["status"] == STATUS_OK) & is_labelled].reset_index(drop=True)
    shown = annotations.loc[annotations["video_id"].isin(videos["video_id"])]
    shown = shown[["video_id", "label"]].dropna().drop_duplicates(ignore_index=True)
    classes = dataset.class_names or class_names_of(annotations)
    return Labelled(videos, shown, list(classes), annotations)


def _several(videos: pd.DataFrame) -> pd.DataFrame:
    """Return the classes of each video from a text that names several."""
    shown = videos[["video_id"]].assign(label=videos["label"].str.split(SEPARATOR))
    shown = shown.explode("label").assign(label=lambda rows: rows["label"].str.strip())
    return shown[shown["label"] != ""].drop_duplicates(ignore_index=True)


def select_labelled(
    dataset: Dataset,
    labelling: Labelling,
    *,
    classes: Sequence[str] | int | None,
    share: float | None,
    seed: int,
) -> Dataset:
    """Return a part of a data set that shows several classes: some of them, a share of its groups.

    Videos that show none of the chosen classes are left out, and so are the labels of others.

    Args:
        dataset: labelled by intervals, or by several classes a video.
        labelling: how labels are read.
        classes: names, or how many classes to draw; None is all.
        share: of the groups of each class, whole ones; None is all.
        seed: of both draws.

    Raises:
        UserError: as :func:`labelled`.
        UserErrors: for classes that the data set does not have.
    """
    found = labelled(dataset.manifest, dataset, labelling)
    kept, shown, videos = found.classes, found.shown, found.videos
    if classes is not None:
        chosen = chosen_classes(sorted(kept), classes, seed)
        kept = [name for name in kept if name in chosen]
        shown = shown[shown["label"].isin(kept)]
        videos = videos[videos["video_id"].isin(shown["video_id"])]
    names = shown.groupby("video_id")["label"].agg(list)
    if share is not None:
        shows = [tuple(map(kept.index, names.get(video, []))) for video in videos["video_id"]]
        held = videos.assign(label_ids=pd.Series(shows, index=videos.index, dtype=object))
        videos = share_of_groups(held, share, seed=seed).drop(columns="label_ids")
    annotations = found.annotations
    if annotations is None:
        texts = [SEPARATOR.join(names.get(v, [])) or SEPARATOR for v in videos["video_id"]]
        videos = videos.assign(label=texts)
    else:
        is_kept = annotations["label"].isna() | annotations["label"].isin(kept)
        annotations = annotations[is_kept & annotations["video_id"].isin(videos["video_id"])]
    return replace(dataset, manifest=videos, annotations=annotations, class_names=tuple(kept))


def make_samples(
    found: Labelled, stored: pd.DataFrame, labelling: Labelling
) -> pd.DataFrame | None:
    """Return the sample table of a data set; None where each video is a sample of one class.

    Args:
        found: see :func:`labelled`.
        stored: ``video_id``, ``T`` and ``fps`` of the stored videos.
        labelling: how labels are read.

    Returns:
        The columns of :mod:`vidclass.data.samples`, sorted by ``sample_id``.

    Raises:
        UserError: when no window is labelled.
        UserErrors: with all videos whose intervals contradict each other.
    """
    ids = {name: number for number, name in enumerate(found.classes)}
    groups = found.videos.set_index("video_id")["group"]
    if labelling.windows is not None:
        samples = _windows(found, stored, labelling.task, labelling.windows)
    elif labelling.task == "multilabel":
        shown = found.shown.groupby("video_id")["label"].agg(tuple)
        samples = found.videos[["video_id"]].assign(sample_id=found.videos["video_id"])
        labels = [shown.get(video_id, ()) for video_id in samples["video_id"]]
        samples["labels"] = pd.Series(labels, index=samples.index, dtype=object)
    else:
        return None
    if labelling.task == "multilabel":
        samples["label_ids"] = [_ids(names, ids) for names in samples.pop("labels")]
    else:
        samples["label_id"] = samples.pop("label").map(ids)
    samples["group"] = samples["video_id"].map(groups)
    return samples.sort_values("sample_id", ignore_index=True)


def _ids(names: Sequence[str], ids: dict[str, int]) -> tuple[int, ...]:
    return tuple(sorted(ids[name] for name in names))


def _windows(found: Labelled, stored: pd.DataFrame, task: Task, how: Windows) -> pd.DataFrame:
    assert found.annotations is not None
    videos = stored[stored["video_id"].isin(found.videos["video_id"])]
    videos = videos.rename(columns={"T": "num_frames"})
    samples = window_table(found.annotations, videos, found.classes, task, **how.model_dump())
    if samples.empty:
        longest = int(videos["num_frames"].max()) if len(videos) else 0
        raise UserError(
            "some window of a recording is labelled",
            f"none: windows of {how.length_frames or how.length_s} "
            f"{'frames' if how.length_frames else 's'}, recordings of up to {longest} frames",
            "a shorter data.windows.length_s, or label_from: majority",
        )
    return samples
