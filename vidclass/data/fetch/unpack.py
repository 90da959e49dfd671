"""Taking archives apart without letting them write anywhere but into their folder.

Every member is looked at before a byte of it is written: absolute names, ``..``, links, devices and
names that no file system takes are refused, and with them the whole archive. What comes out lies in
a folder aside until all of it is there.
"""

import errno
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from vidclass.data.fetch.rar import is_rar, unpack_rar
from vidclass.disk import check_space, disk_errors_for_users
from vidclass.errors import UserError

__all__ = ["checked_name", "is_archive", "unpack"]

BLOCK_BYTES = 2**20
MOST_NAME_BYTES = 255  # of a part of a path, on all common file systems
_SUFFIX = re.compile(r".*\.(zip|rar|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz))", re.IGNORECASE)
_NEVER = re.compile(r"[\x00-\x1f]")
Told = Callable[[int, int], None]

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    ArithmeticError,
    ValueError,
    OSError,
)
"""What libraries raise at damaged archives; of OSErrors all but these, which damage can't cause."""
_FAULTS_OF_THE_DISK = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENOSPC,
    errno.EPERM,
    errno.EROFS,
}


def is_archive(name: str) -> bool:
    """Say whether a file is an archive that can be unpacked, by its name."""
    return _SUFFIX.fullmatch(name) is not None


def unpack(archive: Path, folder: Path, progress: Told = lambda done, total: None) -> list[Path]:
    """Unpack ``archive`` (zip, tar, rar) into ``folder``; files of the same names are replaced.

    Args:
        archive: the file.
        folder: is made; nothing appears in it before all members are out.
        progress: called with members done and members in all (0 where unknown).

    Returns:
        The files.

    Raises:
        UserError: when the archive is damaged, holds a member that could write elsewhere, needs a
            tool that is not there, or the disk is too small.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{archive.name}.aside"
    shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed
    aside.mkdir()
    try:
        with disk_errors_for_users(archive.name, folder), _damage_for_users(archive):
            num_files = _unpack_aside(archive, aside, progress)
            files = [path for path in sorted(aside.rglob("*")) if not path.is_dir()]
            if len(files) != num_files:
                raise _refused(archive, files[0].name, "names that this disk takes for one")
            return _move(files, aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def checked_name(name: str, archive: Path) -> PurePosixPath:
    """Return a member's name as a path below the folder that it is unpacked into.

    Raises:
        UserError: when it could be a path elsewhere, or no file can be called so.
    """
    plain = name.replace("\\", "/")
    path = PurePosixPath(plain)
    parts = [part for part in path.parts if part != "."]
    wrong = (
        "it is absolute"
        if path.is_absolute() or re.match(r"[A-Za-z]:", plain)
        else "it leads out of the folder by .."
        if ".." in parts
        else "it has no name"
        if not parts
        else "it holds control characters"
        if _NEVER.search(plain)
        else "a part of it is too long"
        if any(len(part.encode(errors="replace")) > MOST_NAME_BYTES for part in parts)
        else ""
    )
    if wrong:
        raise _refused(archive, name, wrong)
    return PurePosixPath(*parts)


def _refused(archive: Path, name: str, why: str) -> UserError:
    return UserError(
        "an archive holds files and folders that stay below the folder it is unpacked into",
        f"{archive.name}: {name[:200]!r}: {why}",
        "nothing of it was unpacked; get the archive from its makers",
    )


def _unpack_aside(archive: Path, aside: Path, progress: Told) -> int:
    """Return how many files of different names came out."""
    if zipfile.is_zipfile(archive):
        return _unpack_zip(archive, aside, progress)
    if is_rar(archive):
        return unpack_rar(archive, aside, lambda name: checked_name(name, archive), progress)
    if tarfile.is_tarfile(archive):
        return _unpack_tar(archive, aside, progress)
    raise UserError(
        "an archive is zip, tar or rar", f"{archive.name}: it is none of these", "fetch it again"
    )


def _unpack_zip(archive: Path, aside: Path, progress: Told) -> int:
    targets: set[Path] = set()
    with zipfile.ZipFile(archive) as opened:
        members = opened.infolist()
        for member in members:
            checked_name(member.filename, archive)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, member.filename, "it is a link or a device")
            if member.flag_bits & 1:
                raise _refused(archive, member.filename, "it needs a password")
        check_space(archive.name, aside, sum(member.file_size for member in members))
        for done, member in enumerate(members, start=1):
            target = aside / checked_name(member.filename, archive)
            if member.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                with opened.open(member) as source:
                    _write(source, target)
                targets.add(target)
            progress(done, len(members))
    return len(targets)


def _unpack_tar(archive: Path, aside: Path, progress: Told) -> int:
    targets: set[Path] = set()
    # One pass, since finding a member of a compressed tar means reading all that lies before it.
    with tarfile.open(archive, "r|*") as opened:
        for done, member in enumerate(opened, start=1):
            target = aside / checked_name(member.name, archive) if member.name != "." else aside
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                check_space(archive.name, aside, member.size)
                source = opened.extractfile(member)
                assert source is not None  # it is a file
                with source:
                    _write(source, target)
                targets.add(target)
            else:
                raise _refused(archive, member.name, "it is a link or a device")
            progress(done, 0)
    return len(targets)


def _write(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, BLOCK_BYTES)


def _move(files: Sequence[Path], aside: Path, folder: Path) -> list[Path]:
    moved = [folder / path.relative_to(aside) for path in files]
    for path, target in zip(files, moved, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
    return moved


@contextmanager
def _damage_for_users(archive: Path) -> Iterator[None]:
    """Turn what libraries raise at damaged archives into one message."""
    try:
        yield
    except UserError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno in _FAULTS_OF_THE_DISK:
            raise
        raise UserError(
            "an archive can be unpacked",
            f"{archive.name}: {error or type(error).__name__}",
            "it is damaged: fetch it again",
        ) from error
