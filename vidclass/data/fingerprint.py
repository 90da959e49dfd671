"""Content hashes of files, kept by (path, size, modification time): no file is read twice.

A folder of images has the size of its files together, the time of the newest, and the hash of their
names and contents.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import STATUS_QUARANTINED
from vidclass.home import write_aside

__all__ = ["with_content_hashes"]

_KNOWN = ["path", "size_bytes", "mtime_ns", "content_hash"]
_READERS = min(8, os.cpu_count() or 1)  # hashing and reading both release the interpreter lock


def with_content_hashes(
    manifest: pd.DataFrame, cache: Path, progress: Callable[[int, int], None]
) -> pd.DataFrame:
    """Return ``manifest`` with ``size_bytes`` and ``content_hash``; unreadable files quarantined.

    Args:
        manifest: one row a video.
        cache: a Parquet file of known hashes; made, read and replaced here.
        progress: called with (done, total) of the files that have to be read.
    """
    paths = manifest["path"].drop_duplicates()  # videos may be parts of one file
    facts, reasons = _stat(paths)
    if cache.exists():
        known = pd.read_parquet(cache)
        facts = facts.merge(known, on=_KNOWN[:-1], how="left")
    else:
        facts["content_hash"] = None
    unknown = facts.index[facts["content_hash"].isna() & facts["size_bytes"].notna()]
    hashes = facts["content_hash"].astype(object).where(facts["content_hash"].notna(), None)
    with ThreadPoolExecutor(_READERS) as pool:
        answers = pool.map(_hash_or_reason, facts.loc[unknown, "path"])
        for done, (row, answer) in enumerate(zip(unknown, answers, strict=True), start=1):
            hashes[row], reasons[row] = answer
            if done % 256 == 0 or done == len(unknown):
                progress(done, len(unknown))
    facts["content_hash"] = hashes
    if len(unknown):
        with write_aside(cache) as aside:
            facts.dropna().astype({"size_bytes": "int64", "mtime_ns": "int64"}).to_parquet(
                aside, index=False
            )
    result = manifest.copy()
    place = pd.Series(range(len(paths)), index=paths).loc[manifest["path"]].to_numpy()
    sizes = facts["size_bytes"].to_numpy("float64", na_value=float("nan"))
    result["size_bytes"] = sizes[place]
    result["content_hash"] = hashes.to_numpy()[place]
    for row, file in enumerate(place):
        if reasons[file] is not None:
            result.loc[row, ["status", "reason"]] = [STATUS_QUARANTINED, reasons[file]]
    return result


def file_sizes(paths: pd.Series) -> pd.Series:
    """Return the bytes of each file (or folder of images), NaN where it cannot be read."""
    distinct = paths.drop_duplicates()
    facts, _ = _stat(distinct)
    sizes = facts["size_bytes"].astype("float64")
    return paths.map(dict(zip(distinct, sizes, strict=True)))


def _stat(paths: pd.Series) -> tuple[pd.DataFrame, list[str | None]]:
    rows: list[tuple[str, int | None, int | None]] = []
    reasons: list[str | None] = []
    for path in paths:
        try:
            found = [os.stat(file) for file in _files(path)]
            newest = max(stat.st_mtime_ns for stat in found)
            rows.append((path, sum(stat.st_size for stat in found), newest))
            reasons.append(None)
        except OSError as error:
            rows.append((path, None, None))
            reasons.append(f"the file cannot be read: {error.strerror}")
    # Nullable integers: nanoseconds since 1970 do not fit a float64.
    table = pd.DataFrame(rows, columns=_KNOWN[:-1]).astype(
        {"size_bytes": "Int64", "mtime_ns": "Int64"}
    )
    return table, reasons


def _files(path: str) -> list[str]:
    """Return the file itself, or the files of a folder by name, hidden ones left out.

    Raises:
        OSError: also for a folder without files.
    """
    if not os.path.isdir(path):
        return [path]
    with os.scandir(path) as entries:
        names = sorted(e.name for e in entries if e.is_file() and not e.name.startswith("."))
    if not names:
        raise FileNotFoundError(errno.ENOENT, "the folder holds no images", path)
    return [os.path.join(path, name) for name in names]


def _hash_or_reason(path: str) -> tuple[str | None, str | None]:
    try:
        files = _files(path)
        hashes = []
        for name in files:
            with open(name, "rb") as file:
                hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        return None, f"the file cannot be read: {error.strerror}"
    if files == [path]:
        return hashes[0], None
    named = zip((os.path.basename(name) for name in files), hashes, strict=True)
    return hashlib.sha256(json.dumps(list(named)).encode()).hexdigest(), None
