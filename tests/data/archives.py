"""Archives made by hand: what no usual tool would pack, and RAR, which no free tool packs.

The RAR files are of version 3 with members stored as they are (method 0x30), as its published
description lays them out: a marker, an archive header, then for each member a header and its bytes.
"""

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

MARKER = b"Rar!\x1a\x07\x00"
STORED, PACKED = 0x30, 0x33
JANUARY_2020 = (40 << 25) | (1 << 21) | (1 << 16)  # as MS-DOS counts
REGULAR, SYMLINK = 0o100644, 0o120777


def _block(kind: int, flags: int, rest: bytes) -> bytes:
    head = struct.pack("<BHH", kind, flags, 7 + len(rest)) + rest
    return struct.pack("<H", zlib.crc32(head) & 0xFFFF) + head


def rar_bytes(
    members: Mapping[str, bytes], method: int = STORED, mode: int = REGULAR, crc: int | None = None
) -> bytes:
    """Return a RAR 3 archive; with method PACKED its members only claim to be packed."""
    parts = [MARKER, _block(0x73, 0, bytes(6))]
    for name, content in members.items():
        encoded = name.replace("/", "\\").encode("ascii")  # as RAR itself writes paths
        checksum = zlib.crc32(content) if crc is None else crc
        rest = struct.pack(
            "<IIBIIBBHI",
            len(content),
            len(content),
            3,
            checksum,
            JANUARY_2020,
            29,
            method,
            len(encoded),
            mode,
        )
        parts += [_block(0x74, 0x8000, rest + encoded), content]
    parts.append(_block(0x7B, 0, b""))
    return b"".join(parts)


def zip_bytes(members: Mapping[str, bytes], mode: int = REGULAR) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def tar_bytes(
    members: Mapping[str, bytes], kind: bytes = tarfile.REGTYPE, packing: str = "gz"
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{packing}") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
            else:
                info.linkname = content.decode()
            archive.addfile(info, io.BytesIO(content) if kind == tarfile.REGTYPE else None)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
