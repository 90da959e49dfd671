"""Bringing one file over HTTP: resumed where it broke off, and compared with its checksum."""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from vidclass.data.fetch.checksum import check_file
from vidclass.disk import check_space, is_full_disk, no_space
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["Patience", "download"]

BLOCK_BYTES = 2**20
_LATER = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers after which the same request may succeed."""


@dataclass(frozen=True)
class Patience:
    """How long a server that does not answer is waited for.

    Attributes:
        attempts: in a row that bring nothing, before giving up.
        wait_s: before the second attempt; twice as long before each further one.
        timeout_s: of a connection on which nothing comes.
    """

    attempts: int = 5
    wait_s: float = 2.0
    timeout_s: float = 60.0


@dataclass(frozen=True)
class _Version:
    """What tells two versions of a file apart: half of the one never continues the other."""

    url: str
    length: int | None
    etag: str | None
    modified: str | None

    @property
    def validator(self) -> str | None:
        """What ``If-Range`` is sent with; a weak tag does not promise the same bytes."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.modified


def download(
    url: str,
    target: Path,
    *,
    checksum: str | None = None,
    patience: Patience = Patience(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Bring ``url`` to ``target``; what an earlier call left unfinished is continued.

    Args:
        url: http or https.
        target: is there only once it is whole and its checksum right.
        checksum: ``sha256:HEX`` or ``md5:HEX``.
        patience: with a server that does not answer.
        progress: called with bytes that are there and bytes in all (0 where unknown).

    Raises:
        UserError: when there is no such file, nobody answers, the disk is too small, or what came
            has another checksum.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _continue(url, part, patience.timeout_s, progress)
            break
        except (OSError, http.client.HTTPException) as error:
            _raise_if_final(url, error, part)
            failures = failures + 1 if _size(part) <= before else 1
            if failures >= patience.attempts:
                raise UserError(
                    "a download comes to its end",
                    f"{url}: {_told(error)}, {failures} times in a row",
                    f"run it again later: it goes on from {_size(part):,} bytes; or another "
                    "--source",
                ) from error
            time.sleep(patience.wait_s * 2 ** (failures - 1))
    if checksum is not None:
        try:
            check_file(part, checksum, url)
        except UserError:
            part.unlink()  # nothing of it can be trusted, so the next run begins anew
            raise
    part.replace(target)
    _notes(part).unlink(missing_ok=True)


def _continue(url: str, part: Path, timeout_s: float, progress: Callable[[int, int], None]) -> None:
    """Append what is missing to ``part``, or write it anew where it can't be continued."""
    known = _noted(part, url)
    have = _size(part) if known is not None and known.validator else 0
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if have and known is not None and known.validator:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known.validator)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have and _total(error.headers) == have:
            return  # it was whole already
        if error.code == 416:
            part.unlink(missing_ok=True)
        raise
    with answer:
        resumed = answer.status == 206 and _starts_at(answer.headers) == have
        if not resumed:
            have = 0
        coming = answer.headers.get("Content-Length")
        length = have + int(coming) if coming and coming.isdecimal() else None
        _note(part, _version(url, length, answer.headers))
        if length is not None:
            check_space(part.name, part.parent, length - have)
        _receive(answer, part, have, length, progress)


def _receive(
    answer: Any, part: Path, have: int, length: int | None, progress: Callable[[int, int], None]
) -> None:
    with part.open("ab" if have else "wb") as file:
        while block := answer.read(BLOCK_BYTES):
            file.write(block)
            have += len(block)
            progress(have, length or 0)
    if length is not None and have < length:
        raise ConnectionError(f"the connection ended after {have:,} of {length:,} bytes")


def _version(url: str, length: int | None, headers: Message) -> _Version:
    return _Version(url, length, headers.get("ETag"), headers.get("Last-Modified"))


def _starts_at(headers: Message) -> int | None:
    """Return where a partial answer begins, as its ``Content-Range: bytes 10-19/20`` says."""
    span = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(span) if span.isdecimal() else None


def _total(headers: Message) -> int | None:
    total = headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note(part: Path, version: _Version) -> None:
    with write_aside(_notes(part)) as aside:
        aside.write_text(json.dumps(asdict(version)))


def _noted(part: Path, url: str) -> _Version | None:
    """Return what is known of an unfinished file; None where it can't be continued from ``url``."""
    try:
        version = _Version(**json.loads(_notes(part).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return version if version.url == url else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _raise_if_final(url: str, error: Exception, part: Path) -> None:
    """Raise what no further attempt can mend."""
    if isinstance(error, urllib.error.HTTPError) and error.code not in {*_LATER, 416}:
        raise UserError(
            "a file to fetch is at its address",
            f"{url}: {error.code} {error.reason}",
            "another --source, or bring the file yourself: `vidclass data fetch --help`",
        ) from error
    if isinstance(error, OSError) and is_full_disk(error):
        raise no_space(part.name, part.parent, str(error.strerror)) from error
    reason = getattr(error, "reason", error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise UserError(
            "a server shows a certificate that this machine trusts",
            f"{url}: {reason.verify_message}",
            "update the system's certificates, another --source, or bring the file yourself: "
            "`vidclass data fetch --help`",
        ) from error
    if (
        isinstance(error, OSError)
        and error.filename
        and not isinstance(error, urllib.error.URLError)
    ):
        raise UserError(
            "a download can be written", f"{error.filename}: {error.strerror}", "another folder"
        ) from error


def _told(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason or error) or type(error).__name__
