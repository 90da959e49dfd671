"""Fetching a data set: each of its files is downloaded, compared, unpacked, and noted as done.

``FOLDER/archives`` holds what is being downloaded; a file that somebody put there by hand is taken
as it is. ``FOLDER/fetched.json`` says what is done, with the checksum of each file, so that a
further run does only what is left.
"""

import json
import posixpath
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from vidclass.data.fetch.checksum import check_file, checksum_of
from vidclass.data.fetch.download import Patience, download
from vidclass.data.fetch.sources import PUBLISHED, Piece, PublishedSet
from vidclass.data.fetch.unpack import is_archive, unpack
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = ["Fetch", "fetch"]

NOTES = "fetched.json"
ARCHIVES = "archives"
MOST_NESTED = 3  # archives in archives in archives


@dataclass(frozen=True)
class Fetch:
    """What is to be fetched.

    Attributes:
        name: key of ``PUBLISHED``.
        folder: that the data set goes into.
        source: address of the folder with its files; None for the makers'.
        checksums: by file name, or by folder and name; before those that are known.
        splits: of a data set in many archives, those to take.
        parts: archives of each of these; None for all.
        keep_archives: whether what was unpacked is kept.
        patience: with servers.
        progress: called with (what, done, total, unit).
        say: called with a line for the user.
    """

    name: str
    folder: Path
    source: str | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    splits: Sequence[str] = ()
    parts: int | None = None
    keep_archives: bool = False
    patience: Patience = Patience()
    progress: Callable[[str, int, int, str], None] = lambda *_: None
    say: Callable[[str], None] = lambda _: None


def fetch(wanted: Fetch) -> PublishedSet:
    """Bring all files that are not there yet, and return what the data set is.

    Raises:
        UserError: for an unknown name or split, and whatever goes wrong on the way; what is done
            stays done.
    """
    published = _published(wanted)
    base = _base(wanted, published)
    try:
        wanted.folder.mkdir(parents=True, exist_ok=True)
        for piece in published.pieces:
            _bring(wanted, urljoin(base, piece.path), piece)
        for split in wanted.splits:
            assert published.listed is not None  # checked
            listed = published.listed[split]
            addresses = _addresses(wanted, published, base, listed.list_path)
            for address in addresses[: wanted.parts]:
                name = posixpath.basename(urlsplit(address).path)
                _bring(wanted, address, Piece(name, into=listed.into))
        archives = wanted.folder / ARCHIVES
        if not any(path.is_file() for path in archives.rglob("*")):
            shutil.rmtree(archives, ignore_errors=True)
    except OSError as error:
        raise UserError(
            "the folder to fetch into can be written",
            f"{error.filename or wanted.folder}: {error.strerror or error}",
            "another folder, or the right to write there",
        ) from error
    return published


def _published(wanted: Fetch) -> PublishedSet:
    published = PUBLISHED.get(wanted.name)
    if published is None:
        raise UserError(
            "a data set to fetch is known", wanted.name, f"one of {', '.join(PUBLISHED)}"
        )
    known = list(published.listed or ())
    unknown = [name for name in wanted.splits if name not in known]
    if unknown:
        raise UserError(
            f"a split of {wanted.name} is one that its archives are listed by",
            ", ".join(unknown),
            f"one of {', '.join(known)}" if known else "no --split: it comes as a whole",
        )
    if wanted.parts is not None and not wanted.splits:
        raise UserError(
            "--parts is how many archives of each --split are fetched",
            f"--parts {wanted.parts} without --split",
            f"--split {known[0]}" if known else f"no --parts: {wanted.name} comes as a whole",
        )
    if wanted.parts is not None and wanted.parts < 1:
        raise UserError("the number of archives of a split is 1 or more", wanted.parts, "--parts 1")
    return published


def _base(wanted: Fetch, published: PublishedSet) -> str:
    base = wanted.source or published.address
    if urlsplit(base).scheme not in ("http", "https"):
        raise UserError(
            "a source is the http or https address of the folder that the files lie in",
            base,
            f"for example {published.address}; files on a disk: copy them into "
            f"{wanted.folder / ARCHIVES}",
        )
    return base if base.endswith("/") else f"{base}/"


def _addresses(wanted: Fetch, published: PublishedSet, base: str, list_path: str) -> list[str]:
    """Return the addresses in a list; those of the makers' server are taken from the source."""
    path = wanted.folder / ARCHIVES / posixpath.basename(list_path)
    download(urljoin(base, list_path), path, patience=wanted.patience)
    lines = path.read_text(encoding="utf-8", errors="replace").split()
    path.unlink()
    own = [line.replace(published.address, base, 1) for line in lines]
    addresses = [urljoin(urljoin(base, list_path), line) for line in own]
    wrong = [line for line in addresses if urlsplit(line).scheme not in ("http", "https")]
    if wrong or not addresses:
        raise UserError(
            f"{posixpath.basename(list_path)} lists addresses of archives",
            wrong[0] if wrong else "it is empty",
            "another --source",
        )
    return addresses


def _bring(wanted: Fetch, url: str, piece: Piece) -> None:
    """Do for one file what is left to do."""
    notes = _notes(wanted.folder)
    key = posixpath.normpath(posixpath.join(piece.into, piece.name))
    if key in notes:
        wanted.say(f"{piece.name}: done before")
        return
    archive = wanted.folder / ARCHIVES / key  # splits call their archives alike
    checksum = wanted.checksums.get(key) or wanted.checksums.get(piece.name) or piece.checksum
    if archive.exists():
        wanted.say(f"{piece.name}: taken from {archive.parent}")
        if checksum is not None:
            check_file(archive, checksum, str(archive))
    else:
        download(
            url,
            archive,
            checksum=checksum,
            patience=wanted.patience,
            progress=lambda done, total: wanted.progress(
                f"downloading {piece.name}", done // 2**20, total // 2**20, "MiB"
            ),
        )
    found = checksum or checksum_of(archive)
    compared = "as published" if checksum else "(no published one to compare it with)"
    into = wanted.folder / piece.into
    num_files = (
        _unpack_all(wanted, archive, into) if is_archive(piece.name) else _put(archive, into)
    )
    notes[key] = {"url": url, "checksum": found, "compared": checksum is not None}
    with write_aside(wanted.folder / NOTES) as aside:
        aside.write_text(json.dumps(notes, indent=2, sort_keys=True) + "\n")
    if not wanted.keep_archives:
        archive.unlink(missing_ok=True)
    wanted.say(f"{piece.name}: {num_files} files, {found} {compared}")


def _put(file: Path, into: Path) -> int:
    into.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, into / file.name)
    return 1


def _unpack_all(wanted: Fetch, archive: Path, into: Path, depth: int = 1) -> int:
    """Unpack ``archive``, and the archives that come out of it, as HMDB51's one a class."""

    def told(done: int, total: int) -> None:
        wanted.progress(f"unpacking {archive.name}", done, total, "files")

    files = unpack(archive, into, told)
    inner = [path for path in files if is_archive(path.name)]
    if inner and depth >= MOST_NESTED:
        raise UserError(
            f"archives lie at most {MOST_NESTED} deep in one another",
            f"{inner[0].name} in {archive.name}",
            "unpack it by hand",
        )
    num_files = len(files) - len(inner)
    for path in inner:
        num_files += _unpack_all(wanted, path, path.parent, depth + 1)
        path.unlink()
    return num_files


def _notes(folder: Path) -> dict[str, dict[str, object]]:
    path = folder / NOTES
    if not path.exists():
        return {}
    try:
        notes: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{NOTES} says what was fetched before", f"{path}: {error}", "remove it and run again"
        ) from error
    return notes
