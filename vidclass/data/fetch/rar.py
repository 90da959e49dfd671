"""RAR archives: rarfile reads what is in them, a tool of the system takes them apart.

Packing by RAR is not public, so no library does it alone; members that were stored without packing
need no tool. Which tool takes which version of RAR differs, so that they are tried in turn, and
what came out is compared with the sizes and checksums that the archive itself holds.
"""

import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import rarfile

from vidclass.disk import check_space
from vidclass.errors import UserError

__all__ = ["TOOLS", "is_rar", "unpack_rar"]

BLOCK_BYTES = 2**20
STORED = 0x30  # "method" of a member that was not packed

TOOLS: dict[str, tuple[str, ...]] = {
    "unrar": ("unrar", "x", "-o+", "-y", "-p-", "-inul", "{archive}", "{folder}/"),
    "unar": ("unar", "-quiet", "-force-overwrite", "-no-directory", "-o", "{folder}", "{archive}"),
    "7zz": ("7zz", "x", "-y", "-bd", "-p", "-o{folder}", "{archive}"),
    "7z": ("7z", "x", "-y", "-bd", "-p", "-o{folder}", "{archive}"),
    "bsdtar": ("bsdtar", "-x", "-f", "{archive}", "-C", "{folder}"),
}
"""Tools that unpack a whole archive in one call, in the order in which they are tried."""


def is_rar(path: Path) -> bool:
    """Say whether a file is a RAR archive, by its content."""
    return bool(rarfile.is_rarfile(path))


def unpack_rar(
    archive: Path,
    folder: Path,
    checked: Callable[[str], PurePosixPath],
    progress: Callable[[int, int], None],
) -> int:
    """Unpack ``archive`` into the empty ``folder``; return the number of files.

    Args:
        archive: the file.
        folder: that is there.
        checked: returns a member's path below the folder, or raises.
        progress: called with members done and in all.

    Raises:
        UserError: for links, passwords, further volumes, damage, and where no tool is there.
    """
    with _damage_for_users(archive), rarfile.RarFile(archive) as opened:
        members = opened.infolist()
        if opened.needs_password() and not members:
            raise _refused(archive, archive.name, "even its list of names needs a password")
        targets = {}
        for member in members:
            path = checked(member.filename)
            if (
                member.is_symlink()
                or member.file_redir
                or not (member.is_file() or member.is_dir())
            ):
                raise _refused(archive, member.filename, "it is a link or a device")
            if member.needs_password():
                raise _refused(archive, member.filename, "it needs a password")
            if member.is_file():
                targets[path] = member
        check_space(archive.name, folder, sum(member.file_size for member in targets.values()))
        if all(member.compress_type == STORED for member in targets.values()):
            for done, (path, member) in enumerate(targets.items(), start=1):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                with opened.open(member) as source, (folder / path).open("wb") as file:
                    shutil.copyfileobj(source, file, BLOCK_BYTES)
                progress(done, len(targets))
            return len(targets)
    _unpack_by_tool(archive, folder, targets)
    progress(len(targets), len(targets))
    return len(targets)


def _unpack_by_tool(
    archive: Path, folder: Path, targets: dict[PurePosixPath, rarfile.RarInfo]
) -> None:
    failures = []
    for name, command in TOOLS.items():
        if shutil.which(name) is None:
            continue
        filled = [part.format(archive=archive.resolve(), folder=folder) for part in command]
        done = subprocess.run(filled, capture_output=True, stdin=subprocess.DEVNULL)
        wrong = next(_differences(folder, targets), None)
        if wrong is None:
            return
        said = (done.stderr or done.stdout).decode(errors="replace").strip().split("\n")[0]
        failures.append(f"{name}: {said or wrong}")
        _empty(folder)
    if failures:
        raise UserError(
            "a RAR archive can be unpacked",
            f"{archive.name}: {'; '.join(failures)}",
            "fetch it again where it is damaged; where not, install another tool: unar, or bsdtar "
            "of libarchive-tools; Debian's 7-Zip unpacks no RAR",
        )
    raise UserError(
        "a packed RAR archive needs a tool of the system",
        f"{archive.name}: none of {', '.join(TOOLS)} is installed",
        "install one, for example `apt install unar` or `brew install unar`, and run again: "
        "what was downloaded stays",
    )


def _differences(folder: Path, targets: dict[PurePosixPath, rarfile.RarInfo]) -> Iterator[str]:
    """Yield what differs between the files and what the archive says of them."""
    strange = {path for path in folder.rglob("*") if path.is_symlink() or not _is_plain(path)}
    yield from (f"{path.name} is a link or a device" for path in sorted(strange))
    for path, member in targets.items():
        file = folder / path
        if not file.is_file():
            yield f"{path} did not come out"
        elif file.stat().st_size != member.file_size:
            yield f"{path} has {file.stat().st_size} of {member.file_size} bytes"
        elif member.CRC is not None and _crc(file) != member.CRC:
            yield f"{path} came out damaged"


def _is_plain(path: Path) -> bool:
    return path.is_file() or path.is_dir()


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _refused(archive: Path, name: str, why: str) -> UserError:
    return UserError(
        "an archive holds files and folders that stay below the folder it is unpacked into",
        f"{archive.name}: {name[:200]!r}: {why}",
        "nothing of it was unpacked; get the archive from its makers",
    )


@contextmanager
def _damage_for_users(archive: Path) -> Iterator[None]:
    try:
        yield
    except rarfile.NeedFirstVolume as error:
        raise UserError(
            "a RAR archive is one file", f"{archive.name}: {error}", "all volumes"
        ) from (error)
    except rarfile.Error as error:
        raise UserError(
            "an archive can be unpacked",
            f"{archive.name}: {error or type(error).__name__}",
            "it is damaged: fetch it again",
        ) from error
