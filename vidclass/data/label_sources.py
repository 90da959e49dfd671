"""Where labels for a conversion come from: a table by itself, or a data set of any format."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from vidclass.data.annotations import SOURCE_COLUMN, new_annotations
from vidclass.data.convert import Labels, VideoFacts
from vidclass.data.image_folders import image_names, natural
from vidclass.data.manifest import STATUS_OK
from vidclass.data.readers import read_dataset
from vidclass.data.readers.annotated import AnnotatedVideos
from vidclass.data.readers.columns import Mistake, header_of, lines_of, told_lines
from vidclass.data.readers.frame_labels import (
    FRAME_COLUMNS,
    find_videos_and_images,
    frame_numbers,
    frame_runs,
    read_frame_rows,
)
from vidclass.data.readers.timestamps import INTERVAL_COLUMNS, read_interval_rows
from vidclass.data.tables import place
from vidclass.errors import UserError, UserErrors, raise_collected

__all__ = ["Probe", "read_labels"]

Probe = Callable[[str], tuple[int, float] | None]
"""Frames and rate of the file of this path; None where it does not open."""
_NOT_OF_THE_VIDEO = {*INTERVAL_COLUMNS, *FRAME_COLUMNS, "subject", "annotator", "start_s", "end_s"}


def read_labels(
    source: str, home: Path, *, videos: Path | None, fps: float | None, probe: Probe
) -> Labels:
    """Read the labels of ``source``.

    Args:
        source: a table of intervals or of frames, or a data set with labels of parts.
        home: the home folder.
        videos: the folder of the videos that a table names; None where the table is enough.
        fps: the rate of all videos; None asks the videos.
        probe: tells the frames and the rate of a file.

    Raises:
        UserError: when nothing says a rate that is needed, or the source labels whole videos.
        UserErrors: with all mistakes of the source.
    """
    path = Path(source).expanduser()
    header = set(header_of(path)) if path.is_file() else set()
    if not (set(INTERVAL_COLUMNS) <= header or set(FRAME_COLUMNS) <= header):
        if videos is not None or fps is not None:
            raise UserError(
                "the videos of a data set tell their rate; --fps and --videos are for a table",
                source,
                "leave them out, or name the table itself",
            )
        return _of_dataset(source, home, probe)
    errors: list[UserError] = []
    of_frames = not set(INTERVAL_COLUMNS) <= header
    rows = read_frame_rows(path, errors) if of_frames else read_interval_rows(path, errors)
    if rows is None:
        raise UserErrors(errors)
    nameless = [Mistake(line, "empty") for line, name in lines_of(rows["video"]) if name is None]
    errors += told_lines("every row names a video", path, nameless, "fill the column video")
    raise_collected(errors)
    first = rows.drop_duplicates("video")["video"]
    places = {str(name): place(path, line) for line, name in lines_of(first)}
    facts = _video_facts(places, videos, fps, probe)
    if of_frames:
        annotations = _intervals_of_frames(rows, path, facts)
    else:
        annotations = new_annotations(rows.assign(video_id=rows["video"]))
    return Labels(annotations, of_frames, None, _of_videos(rows), facts)


def _of_dataset(source: str, home: Path, probe: Probe) -> Labels:
    dataset = read_dataset(source, home=home, labels_needed=False)
    if dataset.annotations is None:
        raise UserError(
            "what is converted has labels of parts or of frames",
            source,
            "a table of intervals or frames, a BORIS export, a DeepEthogram project",
        )
    manifest = dataset.manifest
    labelled = manifest[manifest["video_id"].isin(dataset.annotations["video_id"].unique())]
    usable = labelled[labelled["status"] == STATUS_OK]
    facts = {
        video_id: fact
        for video_id, path in zip(usable["video_id"], usable["path"], strict=True)
        if (fact := _facts_of(path, None, probe)) is not None
    }
    of_videos = labelled.set_index("video_id")[["split"]].dropna(how="all", axis=1)
    opens = dataset.annotations["video_id"].isin(list(facts))
    rows = dataset.annotations[opens]
    return Labels(
        rows if dataset.frame_rows is None else _at_frames(rows, facts),
        dataset.frame_rows is not None,
        dataset.class_names,
        of_videos,
        facts,
        unreadable=dataset.annotations[~opens],
    )


def _video_facts(
    names: Mapping[str, str], videos: Path | None, fps: float | None, probe: Probe
) -> dict[str, VideoFacts]:
    """Return what is known of the videos that a table names, each with its file and line.

    Raises:
        UserErrors: when a video is not in the folder, or does not open.
    """
    if videos is None:
        return {} if fps is None else {name: VideoFacts(None, fps) for name in names}
    errors: list[UserError] = []
    root = videos.expanduser().resolve()
    found = AnnotatedVideos(root, find_videos_and_images(root, errors), None, errors)
    facts = {}
    for name, where in names.items():
        video_id = found.find(name)
        fact = None if video_id is None else _facts_of(str(root / video_id), fps, probe)
        if fact is None:
            why = "does not open" if video_id else "is not there"
            told = f"{where}: {name} {why}"
            errors.append(UserError(f"every video is in {videos}", told, "check it"))
        else:
            facts[name] = fact
    raise_collected(errors)
    return facts


def _facts_of(path: str, fps: float | None, probe: Probe) -> VideoFacts | None:
    """Return what a file is, or what its frames at the rate ``fps`` are, as a store keeps them."""
    found = probe(path)
    if found is None:
        return None
    num_frames, own_fps = found
    if fps is not None and fps != own_fps:
        return VideoFacts(int((num_frames - 1) / own_fps * fps + 1e-6) + 1, fps)
    names = image_names(Path(path)) if Path(path).is_dir() else None
    return VideoFacts(num_frames, own_fps, names)


def _of_videos(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what a table says of whole videos; of rows that differ, the first counts."""
    columns = [name for name in rows.columns if name not in {*_NOT_OF_THE_VIDEO, SOURCE_COLUMN}]
    return rows.groupby("video", sort=False)[columns].first()


def _intervals_of_frames(
    rows: pd.DataFrame, path: Path, facts: Mapping[str, VideoFacts]
) -> pd.DataFrame:
    errors: list[UserError] = []
    parts = [pd.DataFrame(columns=["video_id", "start_s", "end_s", "label"], dtype=object)]
    for video, own in rows.groupby("video", sort=True):
        fact = facts.get(str(video))
        if fact is None:
            raise UserError(
                "labels of frames become times by a rate",
                f"{place(path, int(own.index[0]))}: none given for {video}",
                "--fps 25",
            )
        names = fact.names
        if names is None and not all(text.isascii() and text.isdigit() for text in own["frame"]):
            names = sorted(own["frame"].unique(), key=natural)
        numbers = frame_numbers(own["frame"], path, names, errors)
        absent = [
            Mistake(line, f"{video} has no image {frame}")
            for (line, frame), n in zip(lines_of(own["frame"]), numbers, strict=True)
            if n is None
        ]
        if absent:
            errors += told_lines("every label has its frame", path, absent, "mend it")
            continue
        total = max(
            fact.num_frames or 0, max((n for n in numbers if n is not None), default=-1) + 1
        )
        parts.append(frame_runs(own, numbers, total, fact.fps, path).assign(video_id=video))
    raise_collected(errors)
    return _at_frames(new_annotations(pd.concat(parts, ignore_index=True)), facts)


def _at_frames(annotations: pd.DataFrame, facts: Mapping[str, VideoFacts]) -> pd.DataFrame:
    """Return intervals whose edges lie between two frames with edges at the later one."""
    fps = annotations["video_id"].map({name: fact.fps for name, fact in facts.items()})
    edges = {
        edge: np.maximum(np.ceil(annotations[edge] * fps - 0.25), 0.0) / fps
        for edge in ("start_s", "end_s")
    }
    return annotations.assign(**edges)
