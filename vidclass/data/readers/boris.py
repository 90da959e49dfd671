"""Videos with exports of BORIS: tabular events or aggregated events, as TSV or CSV.

State events are intervals, point events have no length; behaviours may overlap. Modifiers are not
read. Time without an event is time without behaviour; a video without any event is unlabelled.
"""

import math
from collections.abc import Iterable
from itertools import accumulate, pairwise
from pathlib import Path

import pandas as pd

from vidclass.data.annotations import SOURCE_COLUMN, new_annotations
from vidclass.data.manifest import Dataset
from vidclass.data.readers.annotated import AnnotatedVideos
from vidclass.data.readers.boris_tables import SUFFIXES, Bout, Export, is_export, read_export
from vidclass.data.readers.columns import Mistake, told_lines
from vidclass.data.readers.registry import ReadRequest, register_reader
from vidclass.data.readers.walk import find_videos, walk
from vidclass.data.tables import place
from vidclass.errors import UserError, raise_collected

__all__: list[str] = []


def _recognises(path: Path) -> bool:
    if path.is_file():
        return is_export(path)
    return any(is_export(file) for file in path.iterdir() if file.is_file())


@register_reader("boris", _recognises)
def _read_boris(request: ReadRequest) -> Dataset:
    """Read a folder of videos and of exports anywhere below it, or one export beside videos.

    A video is found by its path, or by its name alone, since exports name paths of the machine that
    coded them. Where the same subject of a video was coded in several observations, these are
    annotators; an independent variable called observer, annotator, coder or rater names them too.

    Raises:
        UserErrors: with all mistakes at once.
    """
    root = request.path if request.path.is_dir() else request.path.parent
    errors: list[UserError] = []
    videos = AnnotatedVideos(root, find_videos(root, errors), request.group_pattern, errors)
    videos.apply_groups()
    files = [request.path] if request.path.is_file() else _exports(root, errors)
    if not files:
        looked_at = sorted(path.name for path in root.iterdir() if path.suffix.lower() in SUFFIXES)
        errors.append(
            UserError(
                "a BORIS data set holds exports, tables that begin with Observation id",
                f"{root}: {', '.join(looked_at) or 'no table'}",
                "Export events, as TSV or CSV",
            )
        )
    exports = [export for file in files if (export := read_export(file, errors)) is not None]
    raise_collected(errors)
    rows = [row for export in exports for row in _rows(export, videos)]
    columns = ["video_id", "start_s", "end_s", "label", "subject", "annotator", SOURCE_COLUMN]
    table = pd.DataFrame(rows, columns=[*columns, "observation"], dtype=object)
    warnings = [told for export in exports for told in _told(export)]
    warnings += _name_annotators(table)
    dataset = videos.dataset(new_annotations(table), warnings=warnings)
    raise_collected(errors)
    return dataset


def _exports(root: Path, errors: list[UserError]) -> list[Path]:
    found = []
    for name in walk(root, errors):
        try:
            if is_export(root / name):
                found.append(root / name)
        except OSError as error:
            errors.append(UserError("a table can be read", f"{name}: {error.strerror}", "check it"))
    return found


def _rows(export: Export, videos: AnnotatedVideos) -> Iterable[tuple[object, ...]]:
    """Return the annotations of an export, collecting the events that belong to no video."""
    rows: list[tuple[object, ...]] = []
    lost: list[Mistake] = []
    unclear: list[Mistake] = []
    early: list[Mistake] = []
    for bout in export.bouts:
        media = bout.observation.media or ((bout.media,) if bout.media else ())
        if len(media) > 1 and len(media) != len(bout.observation.durations_s):
            unclear.append(Mistake(bout.line, bout.observation.name))
            continue
        start_s = bout.start_s - bout.observation.offset_s
        if start_s < -0.0005:
            early.append(Mistake(bout.line, f"{bout.start_s:g} s, offset to be taken off"))
        for name, first_s, last_s in _parts(bout, media):
            video_id = videos.find(name)
            if video_id is None:
                lost.append(Mistake(bout.line, name))
            rows.append(
                (
                    video_id,
                    first_s,
                    last_s,
                    bout.behaviour,
                    bout.subject,
                    bout.observation.observer,
                    place(export.path, bout.line),
                    bout.observation.name,
                )
            )
        if not media:
            lost.append(Mistake(bout.line, "no media file"))
    path = export.path
    videos.errors += told_lines(
        "every media file of an export is in the folder", path, lost, "put it below the folder"
    )
    videos.errors += told_lines(
        "where videos of an observation follow each other, the export tells how long each one is",
        path,
        unclear,
        "export with a current BORIS (column Media duration (s)), or observe one video each",
    )
    videos.errors += told_lines(
        "no event comes before its video", path, early, "check Time offset in BORIS"
    )
    return rows


def _parts(bout: Bout, media: tuple[str, ...]) -> Iterable[tuple[str, float, float]]:
    """Return the parts of a bout: media file, start and stop in it."""
    start_s = max(bout.start_s - bout.observation.offset_s, 0.0)
    stop_s = max(bout.stop_s - bout.observation.offset_s, start_s)
    if len(media) == 1:
        yield media[0], start_s, stop_s
        return
    edges = [0.0, *accumulate(bout.observation.durations_s)]
    if media:
        edges[-1] = math.inf  # the rest belongs to the last file; being outside is told elsewhere
    for name, (begin_s, end_s) in zip(media, pairwise(edges), strict=True):
        first_s, last_s = max(start_s, begin_s), min(stop_s, end_s)
        is_point = start_s == stop_s and begin_s <= start_s < end_s
        if last_s > first_s or is_point:
            yield name, first_s - begin_s, last_s - begin_s


def _told(export: Export) -> Iterable[str]:
    """Return what of an export was not read."""
    name = export.path.name
    if export.num_modified:
        yield f"{name}: modifiers are not read ({export.num_modified} rows have some)"
    if export.num_other:
        yield (
            f"{name}: {export.num_other} rows of live observations or of pictures are left out, "
            "they have no video"
        )
    if not export.bouts and not export.num_other:
        yield f"{name}: no events"


def _name_annotators(table: pd.DataFrame) -> list[str]:
    """Give observations of the same subject of a video the part of annotators, and tell so."""
    key = [table[name].fillna("") for name in ("video_id", "subject", "annotator")]
    several = table.groupby(key)["observation"].transform("nunique") > 1
    again = table["video_id"].isin(table.loc[several, "video_id"].unique())
    unnamed = again & table["annotator"].isna()
    table.loc[unnamed, "annotator"] = table.loc[unnamed, "observation"]
    count = table.loc[unnamed, "video_id"].nunique()
    if not count:
        return []
    return [
        f"{count} videos were coded in several observations; these count as annotators, choose one"
    ]
