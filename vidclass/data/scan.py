"""Every file of a data set decoded from its first frame to its last, and what that showed.

What a study would store is not kept, only the facts: whether each frame decodes, how many there
are, small grey pictures for finding copies, and the first and the last frame for looking at. They
are cached in the home folder by content, so that no file is decoded twice, and an interrupted scan
goes on where it was.
"""

import hashlib
import io
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from vidclass.data.decode import DECODER_VERSION, DecodeError, FrameChoice, decode_video, probe
from vidclass.data.fingerprint import with_content_hashes
from vidclass.data.manifest import (
    PROBE_COLUMNS,
    STATUS_OK,
    STATUS_QUARANTINED,
    Dataset,
    segments,
)
from vidclass.data.parallel import Died, for_each_file
from vidclass.data.signatures import SIDE, Signature, grid_frames, signature_of, small_pictures
from vidclass.home import write_aside

__all__ = [
    "FACT_COLUMNS",
    "Scans",
    "known_scans",
    "scan_dataset",
    "scan_files",
    "scan_video",
    "with_facts",
]

SCAN_VERSION = 1
"""Raise it when the same file would give other facts or pictures."""
SHORT_SIDE = 120
JPEG_QUALITY = 80
FLUSH_FILES = 500
FLUSH_S = 30.0

FACT_COLUMNS = ("content_hash", "status", "reason", *PROBE_COLUMNS, "header_frames", "reader")
_SIGNATURE_COLUMNS = ("step_s", "moves", "small", "hashes")
_PICTURE_COLUMNS = ("first", "last")


def scan_video(path: str) -> dict[str, Any]:
    """Decode a whole file; return its facts, signature and two pictures, or why it does not decode.

    Returns:
        ``FACT_COLUMNS`` without the hash, and of a file that decodes ``step_s``, ``moves``,
        ``small`` and ``hashes`` (see `Signature`), ``first`` and ``last`` (JPEG).
    """
    keeper = _Keeper()
    try:
        header = probe(path)
        wanted, step_s = grid_frames(header.num_frames, header.fps)
        keeper.wanted = set(wanted.tolist())
        choice = FrameChoice(short_side=SHORT_SIDE)
        decoded = decode_video(Path(path), choice, begin=keeper.begin, write=keeper.write)
    except DecodeError as error:
        return {"status": STATUS_QUARANTINED, "reason": error.reason}
    signature = signature_of(np.concatenate(keeper.pictures), step_s)
    return {
        "status": STATUS_OK,
        "reason": None,
        **asdict(decoded.probe),
        "header_frames": header.num_frames,
        "reader": decoded.reader,
        "step_s": step_s,
        "moves": signature.moves,
        "small": signature.small_FHW.tobytes(),
        "hashes": signature.hash_F.tobytes(),
        "first": _jpeg(keeper.first),
        "last": _jpeg(keeper.last),
    }


class _Keeper:
    """Receives the frames of a video as they are decoded, and keeps those that are looked at."""

    def __init__(self) -> None:
        self.wanted: set[int] = set()
        self.begin()

    def begin(self, *_: int) -> None:
        """Start over: another reader begins with the first frame."""
        self.pictures: list[npt.NDArray[np.uint8]] = []
        self.first = self.last = np.zeros((0, 0, 3), np.uint8)
        self._seen = 0

    def write(self, frames_THWC: npt.NDArray[np.uint8]) -> None:
        """Take the next frames."""
        if self._seen == 0:
            self.first = frames_THWC[0].copy()
        self.last = frames_THWC[-1].copy()
        inside = [n for n in range(len(frames_THWC)) if n + self._seen in self.wanted]
        if inside:
            self.pictures.append(small_pictures(frames_THWC[inside]))
        self._seen += len(frames_THWC)


def _jpeg(frame_HWC: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame_HWC).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def scan_dataset(
    dataset: Dataset, home: Path, progress: Callable[[str, int, int], None]
) -> tuple[pd.DataFrame, "Scans"]:
    """Return the manifest, hashed and with what decoding each file showed, and all else of that.

    Args:
        dataset: as a reader found it.
        home: where hashes and scans are cached.
        progress: called with (stage, done, total).
    """
    manifest = _hashed(dataset, home, progress)
    folder = _folder(dataset, home)
    scans = scan_files(manifest, folder, lambda *at: progress("decoded", *at))
    return with_facts(manifest, scans.facts), scans


def known_scans(
    dataset: Dataset, home: Path, progress: Callable[[str, int, int], None]
) -> tuple[pd.DataFrame, "Scans"]:
    """Return what `scan_dataset` returns of the files that it decoded before; decode none."""
    manifest = _hashed(dataset, home, progress)
    scans = Scans(_folder(dataset, home), manifest)
    return with_facts(manifest, scans.facts), scans


def _hashed(
    dataset: Dataset, home: Path, progress: Callable[[str, int, int], None]
) -> pd.DataFrame:
    root = hashlib.sha256(str(dataset.root).encode()).hexdigest()[:16]
    cache = home / "hashes" / f"{root}.parquet"
    return with_content_hashes(dataset.manifest, cache, lambda *at: progress("hashed", *at))


def _folder(dataset: Dataset, home: Path) -> Path:
    name = f"{dataset.root}\0{DECODER_VERSION}\0{SCAN_VERSION}"
    return home / "scans" / hashlib.sha256(name.encode()).hexdigest()[:16]


def scan_files(
    manifest: pd.DataFrame, folder: Path, progress: Callable[[int, int], None]
) -> "Scans":
    """Scan the readable files of ``manifest`` that ``folder`` does not hold yet, over Ray.

    Args:
        manifest: with content hashes.
        folder: cache of this data set and decoder.
        progress: called with (done, total) files.
    """
    readable = manifest[(manifest["status"] == STATUS_OK) & manifest["content_hash"].notna()]
    files = readable.drop_duplicates("content_hash")
    left = files[~files["content_hash"].isin(Scans(folder, files).facts["content_hash"])]
    hashes, paths = left["content_hash"].tolist(), left["path"].astype(str).tolist()
    rows: list[dict[str, Any]] = []
    died: list[dict[str, Any]] = []  # not cached: a fuller machine may have been the reason
    flushed = time.monotonic()
    for done, (place, answer) in enumerate(for_each_file(scan_video, paths), start=1):
        if isinstance(answer, Died):
            dead = {"status": STATUS_QUARANTINED, "reason": answer.reason}
            died.append({"content_hash": hashes[place], **dead})
        else:
            rows.append({"content_hash": hashes[place], **answer})
        if len(rows) >= FLUSH_FILES or time.monotonic() - flushed > FLUSH_S:
            _flush(rows, folder)
            rows, flushed = [], time.monotonic()
        progress(done, len(paths))
    _flush(rows, folder)
    return Scans(folder, manifest, died)


def _flush(rows: list[dict[str, Any]], folder: Path) -> None:
    if not rows:
        return
    columns = [*FACT_COLUMNS, *_SIGNATURE_COLUMNS, *_PICTURE_COLUMNS]
    table = pd.DataFrame(rows, columns=columns)
    name = hashlib.sha256("\0".join(table["content_hash"]).encode()).hexdigest()[:16]
    with write_aside(folder / f"{name}.parquet") as aside:
        table.to_parquet(aside, index=False)


class Scans:
    """What is known of the files of a data set; pictures are read when they are asked for.

    The folder also keeps what it knows of files that were in the data set before.

    Args:
        folder: where `scan_files` keeps what it saw.
        manifest: the data set, with content hashes.
        died: facts of files that are not kept.

    Attributes:
        facts: a row a file of the data set that was scanned: ``FACT_COLUMNS``.
    """

    def __init__(
        self, folder: Path, manifest: pd.DataFrame, died: Sequence[dict[str, Any]] = ()
    ) -> None:
        self._folder = folder
        dead = pd.DataFrame(list(died), columns=list(FACT_COLUMNS))
        known = pd.concat([self._read(list(FACT_COLUMNS)), dead], ignore_index=True)
        is_there = known["content_hash"].isin(manifest["content_hash"].dropna())
        self.facts = known[is_there].reset_index(drop=True)

    def signatures(self, manifest: pd.DataFrame) -> dict[str, Signature]:
        """Return the signature of each video of ``manifest`` that decodes, by its id."""
        found = {
            row["content_hash"]: Signature(
                step_s=float(row["step_s"]),
                small_FHW=np.frombuffer(row["small"], np.uint8).reshape(-1, SIDE, SIDE),
                hash_F=np.frombuffer(row["hashes"], np.uint64),
                moves=bool(row["moves"]),
            )
            for row in self._decoded(_SIGNATURE_COLUMNS)
        }
        pairs = zip(manifest["video_id"], manifest["content_hash"], strict=True)
        return {video_id: found[key] for video_id, key in pairs if key in found}

    def pictures(self, content_hashes: list[str]) -> dict[str, tuple[bytes, bytes]]:
        """Return the first and the last frame of files that decode, as JPEG."""
        asked = set(content_hashes)
        return {
            row["content_hash"]: (row["first"], row["last"])
            for row in self._decoded(_PICTURE_COLUMNS)
            if row["content_hash"] in asked
        }

    def _decoded(self, columns: Sequence[str]) -> list[dict[Hashable, Any]]:
        table = self._read(["content_hash", "status", *columns])
        return table[table["status"] == STATUS_OK].to_dict("records")

    def _read(self, columns: list[str]) -> pd.DataFrame:
        parts = [
            pd.read_parquet(path, columns=columns)
            for path in sorted(self._folder.glob("*.parquet"))
        ]
        if not parts:
            return pd.DataFrame(columns=columns)
        return pd.concat(parts, ignore_index=True).drop_duplicates("content_hash")


def with_facts(manifest: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Return ``manifest`` with what the scan found out of each file that could be opened.

    Of a part of a file: frames and duration of that part; one behind the end is quarantined.
    """
    found = manifest[["content_hash"]].merge(facts, on="content_hash", how="left")
    known = found["status"].notna().to_numpy() & (manifest["status"] == STATUS_OK).to_numpy()
    result = manifest.copy()
    for column in PROBE_COLUMNS:
        result.loc[known, column] = found.loc[known, column].to_numpy("float64")
    for column in ("status", "reason"):
        values = found[column].astype(object).where(found[column].notna(), None)
        result.loc[known, column] = values[known].to_numpy()
    part = segments(result)
    start_s = part["start_s"].fillna(0.0).clip(upper=result["duration_s"])
    end_s = part["end_s"].fillna(result["duration_s"]).clip(upper=result["duration_s"])
    is_part = part.notna().any(axis=1) & (result["status"] == STATUS_OK)
    length_s = (end_s - start_s)[is_part]
    result.loc[is_part, "duration_s"] = length_s
    result.loc[is_part, "num_frames"] = (length_s * result["fps"]).round()
    behind = is_part & (start_s >= end_s) & (part["start_s"] != part["end_s"])
    reason = "the part lies behind the end of the file"
    result.loc[behind, ["status", "reason"]] = [STATUS_QUARANTINED, reason]
    return result
