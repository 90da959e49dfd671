"""The registry of readers: from what the user wrote to the reader and the path it reads."""

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidclass.data.manifest import Dataset
from vidclass.errors import UserError

__all__ = [
    "FALLBACK",
    "ReadRequest",
    "Reader",
    "absolute_source",
    "find_reader",
    "is_made",
    "list_readers",
    "register_reader",
]

FALLBACK = "folder"
"""The format of a folder that no other one recognises."""


@dataclass(frozen=True)
class ReadRequest:
    """What a reader is asked for.

    Attributes:
        source: as the user wrote it.
        path: the folder or file to read, absolute; for a data set that vidclass makes, ``home``.
        preset: difficulty of a data set that vidclass makes.
        seed: seed of a data set that vidclass makes.
        home: the home folder.
        group_pattern: a regular expression whose first group, found in a file's name, is its group.
        progress: called with (stage, done, total) by a reader that makes its data set.
    """

    source: str
    path: Path
    preset: str
    seed: int
    home: Path
    group_pattern: str | None
    progress: Callable[[str, int, int], None] | None = None


Reader = Callable[[ReadRequest], Dataset]
Recognises = Callable[[Path], bool]


@dataclass(frozen=True)
class _Entry:
    read: Reader
    recognises: Recognises | None


_READERS: dict[str, _Entry] = {}


def register_reader(name: str, recognises: Recognises | None = None) -> Callable[[Reader], Reader]:
    """Register a reader of the format ``name``, so that ``name:PATH`` is read by it.

    Args:
        name: of the format; a word without a colon.
        recognises: says of an existing file or folder whether it looks like this format, so that
            its path alone is enough; it may raise ``OSError``. None for a data set that needs no
            path, as ``moving_shapes``.

    Raises:
        UserError: when the name is taken.
    """

    def register(reader: Reader) -> Reader:
        if name in _READERS:
            raise UserError("a reader's name is new", name, f"another name than {list_readers()}")
        _READERS[name] = _Entry(reader, recognises)
        return reader

    return register


def list_readers() -> list[str]:
    """Return the names of all registered readers."""
    return sorted(_READERS)


def is_made(source: str) -> bool:
    """Say whether ``source`` is the name of a data set that needs no path."""
    return source in _READERS and _READERS[source].recognises is None


def absolute_source(source: str) -> str:
    """Return ``source`` with its path made absolute, so that it holds in any working folder.

    A path that is not there stays as it is written, for the message that will tell so.
    """
    name, written = _named(source)
    path = _absolute(written)
    if is_made(source) or not _exists(path):
        return source
    return str(path) if name is None else f"{name}:{path}"


def find_reader(source: str) -> tuple[Reader, Path | None]:
    """Return the reader of ``source``, and the path that it reads (None where it needs none).

    Args:
        source: ``NAME`` of a data set that needs no path, ``FORMAT:PATH``, or a path whose format
            is then recognised.

    Raises:
        UserError: when there is no such path or format, or several formats recognise it.
    """
    if is_made(source):
        return _READERS[source].read, None
    name, written = _named(source)
    path = _absolute(written)
    if not _exists(path):
        raise _unknown(source, name)
    name = name or _recognised(path)
    return _READERS[name].read, path


def _named(source: str) -> tuple[str | None, str]:
    name, colon, path = source.partition(":")
    if colon and path and name in _READERS and not is_made(name):
        return name, path
    return None, source


def _absolute(path: str) -> Path:
    if "\0" in path:
        return Path(path.replace("\0", "\N{REPLACEMENT CHARACTER}"))  # no such file, on any system
    return Path(os.path.realpath(os.path.expanduser(path)))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than the file system allows; a folder that is closed to us
        return False


def _recognised(path: Path) -> str:
    found = [
        name
        for name, entry in sorted(_READERS.items())
        if name != FALLBACK and entry.recognises is not None and _says_yes(entry.recognises, path)
    ]
    if len(found) > 1:
        raise UserError(
            "the format of a data set is plain, or named",
            f"{path} looks like {' and like '.join(found)}",
            " or ".join(f"{name}:{path}" for name in found),
        )
    if found:
        return found[0]
    if path.is_dir():
        return FALLBACK
    raise UserError(
        "a file that stands for a data set is a table that a format recognises",
        path,
        f"FORMAT:{path} with one of {', '.join(_formats())}, or a folder of videos",
    )


def _says_yes(recognises: Recognises, path: Path) -> bool:
    try:
        return recognises(path)
    except OSError:  # what can't be looked at is told by the reader that is then chosen
        return False


def _formats() -> list[str]:
    return [name for name in list_readers() if not is_made(name)]


def _unknown(source: str, name: str | None) -> UserError:
    if name is None and source in _READERS:
        return UserError(
            f"{source} is a format, so it needs a path", source, f"{source}:PATH, as data source"
        )
    close = difflib.get_close_matches(source.partition(":")[0], list_readers(), n=1)
    hint = f"did you mean {close[0]}? " if close and name is None else ""
    made = [known for known in list_readers() if is_made(known)]
    return UserError(
        f"data is a folder of videos or one of: {', '.join(made)}; or FORMAT:PATH, where FORMAT "
        f"is one of {', '.join(_formats())}",
        source,
        f"{hint}check the path: there is no such file or folder",
    )
