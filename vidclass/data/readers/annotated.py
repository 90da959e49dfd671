"""What readers of labelled parts and frames share: their videos, and what tables say of a video."""

import posixpath
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vidclass.data.annotations import SOURCE_COLUMN
from vidclass.data.decoded import DecodeError
from vidclass.data.image_folders import images_fps
from vidclass.data.manifest import MANIFEST_COLUMNS, SEGMENT_COLUMNS, Dataset, new_manifest
from vidclass.data.pyav_reader import open_container, stream_of
from vidclass.data.readers.columns import Columns, Mistake, lines_of, read_columns, told_lines
from vidclass.data.readers.walk import VideoNames, case_clashes, groups_by_name
from vidclass.data.splits import SPLITS
from vidclass.data.tables import place
from vidclass.errors import UserError

__all__ = [
    "OF_THE_VIDEO",
    "REFUSED",
    "frame_rate",
    "AnnotatedVideos",
    "sources",
]

OF_THE_VIDEO = ("group", "split")
"""Columns of label tables that say something of the whole video, besides group columns."""
REFUSED = (*MANIFEST_COLUMNS, *SEGMENT_COLUMNS)
"""Names that a group column can't have."""
_GROUPS = Columns(("video", "group"), further=True, refused=REFUSED)


class AnnotatedVideos:
    """The videos of a data set whose labels are of parts or frames, and what is known of each.

    Args:
        root: the folder that ids are relative to.
        video_ids: all videos; one without labels is an unlabelled video.
        group_pattern: finds the group in the name.
        errors: where mistakes are collected.
    """

    def __init__(
        self,
        root: Path,
        video_ids: Iterable[str],
        group_pattern: str | None,
        errors: list[UserError],
    ) -> None:
        self.root = root
        self.errors = errors
        ids = list(video_ids)
        self.table = pd.DataFrame(index=pd.Index(ids, name="video_id", dtype=object), dtype=object)
        self.table["path"] = [str(root / video_id) for video_id in ids]
        self.table["label"] = None
        self.table["group"] = groups_by_name(ids, group_pattern, errors)
        self.table["split"] = None
        self.table = self.table.astype(object)
        self._names = VideoNames(root, ids)
        self._by_base: dict[str, list[str]] = {}
        for video_id in ids:
            base = posixpath.basename(video_id).casefold()
            for known in {base, posixpath.splitext(base)[0]}:
                self._by_base.setdefault(known, []).append(video_id)
        self._said: dict[tuple[str, str], tuple[str, str]] = {}

    def find(self, name: str) -> str | None:
        r"""Return the video that ``name`` means, or None.

        Labels are often made on another machine (``C:\films\a.avi``), so that the name of the file
        alone decides where there is no such path and only one video is called so.
        """
        found = self._names.find(name)
        if found is None:
            base = posixpath.basename(name.replace("\\", "/")).casefold()
            meant = self._by_base.get(base, [])
            found = meant[0] if len(meant) == 1 else None
        return found

    def match(self, column: pd.Series, csv: Path) -> pd.Series:
        """Return the video of each row of ``csv`` by its name, None where there is none."""
        known = {name: self.find(name) for name in column.dropna().unique()}
        written = lines_of(column)
        ids = pd.Series([name and known[name] for _, name in written], column.index, dtype=object)
        mistakes = [
            Mistake(line, name or "no video")
            for (line, name), video_id in zip(written, ids.tolist(), strict=True)
            if video_id is None
        ]
        if mistakes:
            name = str(mistakes[0].value)
            mistakes[0] = Mistake(mistakes[0].line, f"{name}: {self._names.why_not(name)}")
        self.errors += told_lines(
            f"every video of {csv.name} is in the folder",
            csv,
            mistakes,
            "a path relative to the folder, as in cage1/clip1.mp4",
        )
        return ids

    def keep(self, rows: pd.DataFrame, ids: pd.Series, csv: Path, columns: Iterable[str]) -> None:
        """Keep what ``rows`` say of whole videos in ``columns``; all rows of a video say the same.

        A split of single rows would be a split by frame or bout, which is refused here.
        """
        for column in columns:
            if column not in rows.columns:
                continue
            if column not in self.table.columns:
                self.table[column] = None
            mistakes, odd = [], []
            for (line, value), video_id in zip(lines_of(rows[column]), ids.tolist(), strict=True):
                if value is None or video_id is None:
                    continue
                if column == "split" and value not in SPLITS:
                    odd.append(Mistake(line, repr(value)))
                here = (value, place(csv, line))
                said, where = self._said.setdefault((video_id, column), here)
                if said != value:
                    mistakes.append(Mistake(line, f"{video_id} is {value}, but {said} in {where}"))
                self.table.at[video_id, column] = said
            self.errors += told_lines(
                f"all rows of a video have the same {column}",
                csv,
                mistakes,
                f"one {column} a video: it is never divided by frame or bout",
            )
            self.errors += told_lines("a split is train, valid or test", csv, odd, "mend it")

    def apply_groups(self) -> None:
        """Read ``groups.csv`` (video, group and group columns) where it lies in the folder."""
        csv = self.root / "groups.csv"
        if not csv.is_file():
            return
        rows = read_columns(csv, _GROUPS, self.errors)
        if rows is not None:
            self.keep(rows, self.match(rows["video"], csv), csv, rows.columns.drop("video"))

    def dataset(
        self,
        annotations: pd.DataFrame,
        *,
        class_names: tuple[str, ...] | None = None,
        frame_rows: pd.DataFrame | None = None,
        warnings: Iterable[str] = (),
    ) -> Dataset:
        """Return the data set; mistakes that come up here are added to ``errors``."""
        labelled = set(annotations["video_id"])
        for column in OF_THE_VIDEO:
            given = self.table[column].notna()
            lacking = [v for v in self.table.index[~given] if v in labelled]
            if given.any() and lacking:
                own = annotations[annotations["video_id"] == lacking[0]]
                where = own[SOURCE_COLUMN].iloc[0]
                self.errors.append(
                    UserError(
                        f"either every labelled video has a {column} or none has",
                        f"{where}: {lacking[0]} ({len(lacking)} of {len(labelled)} have none)",
                        f"fill the column {column}, or remove it",
                    )
                )
        told = [*warnings, *case_clashes(self.table.index, "videos")]
        told += case_clashes(annotations["label"].dropna().unique(), "classes")
        groups_known = bool(self.table["group"].notna().all())
        table = self.table.copy()
        table["group"] = table["group"].fillna(pd.Series(table.index, index=table.index))
        return Dataset(
            self.root,
            new_manifest(table.reset_index()),
            groups_known,
            annotations=annotations,
            class_names=class_names,
            frame_rows=frame_rows,
            warnings=tuple(told),
        )


def frame_rate(path: Path) -> float | None:
    """Return the rate of a video, or of a folder of images; None where it does not open."""
    try:
        if path.is_dir():
            return images_fps(path)
        with open_container(path) as container:
            stream = stream_of(container)
            rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    except (DecodeError, OSError):
        return None
    return float(rate) if rate else None


def sources(lines: pd.Index, path: Path) -> pd.Series:
    """Return the column ``source`` of rows that stand in ``lines`` of ``path``."""
    named = [place(path, line) for line in lines.tolist()]
    return pd.Series(named, index=lines, dtype=object, name=SOURCE_COLUMN)
