"""What a video container says of itself, read from a few header bytes.

Decoders fill frames that are missing with the last one that was there, without a word; so a
truncated file has to be known by its container. Nothing here decodes.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_avi", "is_turned", "missing_bytes"]

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067


def is_avi(path: Path) -> bool:
    """Say whether the file is an AVI container."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[:4] == b"RIFF" and head[8:] == b"AVI "


def is_turned(path: Path) -> bool:
    """Say whether a track of an MP4 or QuickTime file is to be shown turned or mirrored."""
    with path.open("rb") as file:
        for kind, start, length in _iso_boxes(file, path.stat().st_size):
            if kind == b"moov":
                file.seek(start)
                return _has_turned_track(file.read(length))
    return False


def _has_turned_track(moov: bytes) -> bool:
    found = moov.find(b"tkhd")
    while found >= 0:
        content = moov[found + 4 :]
        matrix = content[52:72] if content[:1] == b"\1" else content[40:60]
        if len(matrix) == 20:
            a, b, _, c, d = struct.unpack(">5i", matrix)
            if b or c or a < 0 or d < 0:
                return True
        found = moov.find(b"tkhd", found + 4)
    return False


def missing_bytes(path: Path) -> int:
    """Return how many bytes the container's own structure says are absent from the file's end.

    Knows the MP4 family (ISO base media, QuickTime) and Matroska / WebM; 0 for all others, and for
    streams that were written without a length.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12:
            return 0
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return _beyond_iso(file, size)
        if int.from_bytes(head[:4], "big") == _EBML:
            return _beyond_matroska(file, size)
    return 0


def _beyond_iso(file: BinaryIO, size: int) -> int:
    """Return by how much the last top-level box ends behind the file."""
    end = 0
    for _, start, length in _iso_boxes(file, size):
        end = start + length
    return max(0, end - size)


def _iso_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and length of each top-level box."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1 and len(header) == 16:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: the box reaches to the end of the file; other values: not a box
            return
        yield header[4:8], position, length
        position += length


def _beyond_matroska(file: BinaryIO, size: int) -> int:
    """Find the segment, which follows the EBML header; its length is absent in live streams."""
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(12)
        id_bytes = _leading_zeros(header[:1]) + 1
        identity = int.from_bytes(header[:id_bytes], "big")
        length_bytes = _leading_zeros(header[id_bytes : id_bytes + 1]) + 1
        raw = header[id_bytes : id_bytes + length_bytes]
        if len(raw) < length_bytes or length_bytes > 8:
            return 0
        unknown = (1 << (7 * length_bytes)) - 1
        length = int.from_bytes(raw, "big") & unknown
        if length == unknown:
            return 0
        position += id_bytes + length_bytes + length
        if identity == _SEGMENT:
            return max(0, position - size)
    return 0


def _leading_zeros(byte: bytes) -> int:
    return 8 - byte[0].bit_length() if byte else 8
