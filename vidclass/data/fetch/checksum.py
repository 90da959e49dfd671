"""Checksums: ``sha256:HEX`` or ``md5:HEX``, and lists of them as ``sha256sum`` writes them."""

import hashlib
import posixpath
import re
from pathlib import Path

from vidclass.data.readers.columns import Mistake, read_lines, told_lines
from vidclass.errors import UserError, raise_collected

__all__ = ["check_file", "checksum_of", "read_checksums"]

_LINE = re.compile(r"(?P<hex>[0-9a-fA-F]+)[ \t]+\*?(?P<name>\S.*)")
_KINDS = {64: "sha256", 32: "md5"}


def checksum_of(path: Path, kind: str = "sha256") -> str:
    """Return ``KIND:HEX`` of a file."""
    with path.open("rb") as file:
        # md5 is what some publishers give: it tells damage, and is asked for no more.
        digest = hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False))
    return f"{kind}:{digest.hexdigest()}"


def check_file(path: Path, checksum: str, told_as: str) -> None:
    """Check that a file has its checksum.

    Raises:
        UserError: when it has another one.
    """
    found = checksum_of(path, checksum.partition(":")[0])
    if found != checksum.lower():
        raise UserError(
            f"{told_as} has the checksum {checksum}",
            found,
            "fetch it again; where it differs again, the file at that address is another one",
        )


def read_checksums(path: Path) -> dict[str, str]:
    """Return the checksum of each file in a list, by its path; md5 or sha256 by their length.

    Raises:
        UserErrors: for lines that are none.
    """
    errors: list[UserError] = []
    found: dict[str, str] = {}
    wrong = []
    for line, text in read_lines(path, errors):
        match = _LINE.fullmatch(text)
        kind = _KINDS.get(len(match["hex"])) if match else None
        if match is None or kind is None:
            wrong.append(Mistake(line, text))
        else:
            found[posixpath.normpath(match["name"])] = f"{kind}:{match['hex'].lower()}"
    errors += told_lines(
        "a line of a list of checksums is HEX and a file name", path, wrong, "sha256sum FILE"
    )
    raise_collected(errors)
    return found
