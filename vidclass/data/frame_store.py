"""The frame store: each video decoded once, kept as raw uint8 or JPEG, mapped by all trials.

A store is a folder ``home/store/KEY``::

    store.json        what shaped the bytes; written last, so its presence means "complete"
    index.parquet     video_id, shard, offset, T, H, W, fps, num_bytes
    manifest.parquet  what decoding found and by which reader; quarantined videos and their reasons
    NAME.rgb          one shard: frames [T, H, W, 3] of several videos, one after the other;
                      NAME.grey: frames [T, H, W, 1]; NAME.jpeg: see :mod:`vidclass.data.jpeg`
    NAME.parquet      what that shard holds; the unit of resuming

Shards are memory-mapped read-only: their pages are clean and shared between processes.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.decode import DECODER_VERSION
from vidclass.data.jpeg import JpegFrames
from vidclass.data.manifest import segments
from vidclass.data.node_cache import node_copy
from vidclass.data.store_options import StoreOptions
from vidclass.data.video_frames import NUM_CHANNELS, GreyFrames, VideoFrames
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = [
    "INDEX_COLUMNS",
    "LAYOUT_VERSION",
    "FrameStore",
    "StoreOptions",
    "is_complete",
    "num_bytes",
    "store_key",
    "torn_shards",
    "write_store",
]

LAYOUT_VERSION = 1
TABLES = ("index.parquet", "manifest.parquet", "store.json")
"""Files of a complete store beside its shards, in the order in which they are written."""
INDEX_COLUMNS = ("video_id", "shard", "offset", "T", "H", "W", "fps", "num_bytes")


def store_key(manifest: pd.DataFrame, options: StoreOptions) -> str:
    """Return the name of the store that holds ``manifest`` under ``options``.

    It hashes all that shapes the bytes and their names: each video's id, content hash and part of
    the file, the options, the decoder's version and the layout's version. Order of rows does not
    matter.
    """
    digest = hashlib.sha256()
    shape = {"layout": LAYOUT_VERSION, "decoder": DECODER_VERSION, **options.identity()}
    digest.update(json.dumps(shape, sort_keys=True).encode())
    part = segments(manifest)
    parts = [
        "" if whole else f"\0{s}\0{e}"
        for whole, s, e in zip(part.isna().all(axis=1), part["start_s"], part["end_s"], strict=True)
    ]
    rows = zip(manifest["video_id"], manifest["content_hash"], parts, strict=True)
    for video_id, content_hash, of_file in sorted(rows, key=lambda row: str(row[0])):
        digest.update(f"\0{video_id}\0{content_hash}{of_file}".encode())
    return digest.hexdigest()[:20]


def num_bytes(index: pd.DataFrame) -> pd.Series:
    """Return the bytes that each row of ``index`` takes in its shard."""
    size: pd.Series = index["T"] * index["H"] * index["W"] * NUM_CHANNELS
    if "num_bytes" in index:  # the first stores have no such column, and three raw channels
        size = index["num_bytes"].fillna(size).astype("int64")
    return size


def torn_shards(folder: Path, index: pd.DataFrame) -> dict[str, str]:
    """Return ``{shard: what is wrong}`` for shards whose file is absent or has another size.

    With a depot the files there are meant, whatever copies this node has.
    """
    ends = (index["offset"] + num_bytes(index)).groupby(index["shard"]).max()
    copy = node_copy(folder)
    kept = copy.sizes() if copy is not None else None
    wrong = {}
    for shard, expected in ends.items():
        file = folder / str(shard)
        if kept is not None:
            actual = kept.get(str(shard))
        else:
            actual = file.stat().st_size if file.exists() else None
        if actual != expected:
            state = "absent" if actual is None else f"{actual} bytes"
            wrong[str(shard)] = f"{state}, expected {expected} bytes"
    return wrong


def is_complete(folder: Path) -> bool:
    """Say whether the store in ``folder`` is complete, here or in the depot."""
    copy = node_copy(folder)
    return (folder / "store.json").exists() if copy is None else copy.bring(TABLES)


def write_store(
    folder: Path, index: pd.DataFrame, manifest: pd.DataFrame, about: dict[str, Any]
) -> None:
    """Write index, manifest and, last, ``store.json``, which makes the store complete."""
    with write_aside(folder / "index.parquet") as aside:
        index.to_parquet(aside, index=False)
    with write_aside(folder / "manifest.parquet") as aside:
        manifest.to_parquet(aside, index=False)
    with write_aside(folder / "store.json") as aside:
        aside.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
    copy = node_copy(folder)
    if copy is not None:
        copy.push(TABLES)


class FrameStore:
    """Read-only view of a complete store; picklable (it re-opens by path).

    Attributes:
        path: its folder.
        index: one row a video, columns ``INDEX_COLUMNS``.
        about: what store.json says: decoder, options, how many videos each reader decoded.
        options: what shaped the frames.
    """

    def __init__(
        self, path: Path, index: pd.DataFrame, about: dict[str, Any] | None = None
    ) -> None:
        self.path = path
        self.index = index
        self.about = about or {}
        self.options = StoreOptions.model_validate(self.about.get("options", {}))
        self._row = {video_id: row for row, video_id in enumerate(index["video_id"])}
        self._shard = index["shard"].tolist()
        # Plain integers: reading one row of a DataFrame costs more than copying a small clip.
        place = index[["offset", "T", "H", "W"]].assign(num_bytes=num_bytes(index))
        self._place = place.to_numpy(np.int64).tolist()
        self._mapped: dict[str, npt.NDArray[np.uint8]] = {}

    @classmethod
    def open(cls, path: Path | str) -> "FrameStore":
        """Open the store in ``path``.

        Raises:
            UserError: when there is no complete store, or a shard is absent or torn.
        """
        folder = Path(path)
        if not is_complete(folder):
            raise UserError(
                "a frame store holds a store.json, which is written when it is complete",
                folder,
                "run the study (or `vidclass data prepare`) again: it continues the build",
            )
        index = pd.read_parquet(folder / "index.parquet")
        wrong = torn_shards(folder, index)
        if wrong:
            raise UserError(
                f"every shard of {folder} has the size that its index says",
                "; ".join(f"{shard}: {state}" for shard, state in sorted(wrong.items())),
                f"remove {folder / 'store.json'} and run again: whole shards are kept, "
                "torn ones are decoded again",
            )
        return cls(folder, index, json.loads((folder / "store.json").read_text()))

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.index)

    def __contains__(self, video_id: str) -> bool:
        """Say whether ``video_id`` is stored."""
        return video_id in self._row

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle as the path: mapped frames never travel between processes."""
        return (FrameStore.open, (str(self.path),))

    def rows(self, video_ids: Sequence[str]) -> pd.DataFrame:
        """Return the index rows of ``video_ids``, in their order.

        Raises:
            UserError: naming the videos that the store does not hold.
        """
        absent = [video_id for video_id in video_ids if video_id not in self._row]
        if absent:
            shown = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
            raise UserError(
                "every video of a table is in the frame store",
                f"{len(absent)} absent: {shown}",
                "prepare the store from the same manifest, and drop quarantined videos",
            )
        return self.index.iloc[[self._row[video_id] for video_id in video_ids]].reset_index(
            drop=True
        )

    def frames(self, video_id: str) -> VideoFrames:
        """Return the frames of a video, uint8 ``[T, H, W, 3]``.

        A raw store gives a read-only view of mapped pages; of others the frames asked for are
        decoded or copied when they are indexed. ``numpy.asarray`` makes an array of any.

        Raises:
            UserError: when the store does not hold ``video_id``.
        """
        if video_id not in self._row:
            self.rows([video_id])  # raises with the name
        row = self._row[video_id]
        offset, num_frames, height, width, size = self._place[row]
        packed = self._map(self._shard[row])[offset : offset + size]
        stored = (num_frames, height, width, self.options.num_channels)
        if self.options.format == "jpeg":
            return JpegFrames(packed, stored[:3], stored[3])
        frames = packed.reshape(stored)
        return GreyFrames(frames) if self.options.greyscale else frames

    def _map(self, shard: str) -> npt.NDArray[np.uint8]:
        if shard not in self._mapped:
            copy = node_copy(self.path)
            file = self.path / shard if copy is None else copy.local(shard)
            mapped = np.memmap(file, dtype=np.uint8, mode="r")
            # A plain array over the same pages: np.memmap's own slicing is several times slower.
            self._mapped[shard] = mapped.view(np.ndarray)
        return self._mapped[shard]
