"""Where vidclass keeps what it makes, and how a file gets there without ever being half written."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "cache_folder",
    "datasets_folder",
    "home",
    "store_folder",
    "studies_folder",
    "write_aside",
]


def home() -> Path:
    """Return the home folder: ``VIDCLASS_HOME``, or ``~/.vidclass``."""
    return Path(os.environ.get("VIDCLASS_HOME") or Path.home() / ".vidclass").expanduser().resolve()


def store_folder(root: Path) -> Path:
    """Return the folder of all stores: below the home folder ``root``, or this node's copies.

    Where ``VIDCLASS_STORE`` names a depot, each node reads copies of its own.
    """
    return cache_folder() if os.environ.get("VIDCLASS_STORE") else root / "store"


def cache_folder() -> Path:
    """Return this node's folder for copies: ``VIDCLASS_CACHE``, or below ``~/.cache``."""
    named = os.environ.get("VIDCLASS_CACHE")
    return Path(named or Path.home() / ".cache" / "vidclass" / "store").expanduser().resolve()


def studies_folder(root: Path) -> Path:
    """Return the folder of all studies below the home folder ``root``."""
    return root / "studies"


def datasets_folder(root: Path) -> Path:
    """Return the folder of data sets that vidclass itself made, below the home folder ``root``."""
    return root / "datasets"


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path``; on success fsync it and rename it to ``path``.

    A reader therefore sees the old file or the whole new one, never a part, and a crash leaves at
    most a ``.aside`` file that nothing reads.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".aside")
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.chmod(0o644)  # mkstemp makes files that a group on a shared home could not read
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
