"""A node's own copies of what it reads from the depot: one of each file, within a limit of bytes.

With a depot (:mod:`vidclass.data.depot`) the folder of all stores is this cache. A store's folder
in it looks like any other; its files come when they are first read, one download a node whatever
the number of trials. Where the limit would be passed, the copies that were not opened for longest
are removed first. A process that has one mapped keeps reading it: its pages go with the mapping.

``VIDCLASS_CACHE`` is the folder (``~/.cache/vidclass/store``), ``VIDCLASS_CACHE_GB`` the limit
(half of the disk).
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from vidclass.data.depot import Depot, depot
from vidclass.errors import UserError
from vidclass.home import cache_folder

__all__ = ["NodeCopy", "here", "node_copy"]

LIMIT = "VIDCLASS_CACHE_GB"
GIGABYTE = 10**9
SMALL = (".json", ".parquet")
"""Indices and the like: they stay."""
MARK = ".copy"
"""Suffix of an empty file beside each copy: it may be removed, and when it was last used."""


def node_copy(folder: Path) -> "NodeCopy | None":
    """Return the copy of the store in ``folder``; None where there is no depot."""
    kept = depot()
    return None if kept is None else NodeCopy(folder, kept)


def here(folder: Path) -> Path:
    """Return where this node has the store that another node has in ``folder``."""
    return folder if depot() is None else cache_folder() / folder.name


class NodeCopy:
    """The copy of one store on this node.

    Args:
        folder: the store's folder in the cache; its name is the store's in the depot.
        kept: where the store itself is.
    """

    def __init__(self, folder: Path, kept: Depot) -> None:
        self._folder = folder
        self._depot = kept

    def bring(self, names: Iterable[str]) -> bool:
        """Make sure that files are here; return False where the depot lacks one."""
        return all([self._has(name) for name in names])

    def local(self, name: str) -> Path:
        """Return this node's copy of a file, fetched where it is not here.

        Raises:
            UserError: when the depot does not hold it.
        """
        if not self._has(name):
            raise UserError(
                "the depot holds every file that the index of a store names",
                f"{self._folder.name}/{name} is not there",
                "remove store.json of that store from the depot and run the study again",
            )
        return self._folder / name

    def push(self, names: Iterable[str]) -> None:
        """Copy files to the depot, in this order; from then on they are copies here."""
        for name in names:
            self._depot.put(self._folder / name, f"{self._folder.name}/{name}")
            self._note_use(name)
        self._make_room(0)

    def sizes(self) -> dict[str, int]:
        """Return ``{name: bytes}`` of the store's files in the depot."""
        return self._depot.sizes(self._folder.name)

    def _has(self, name: str) -> bool:
        path = self._folder / name
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            # one download a node: the others wait, and find it there
            with FileLock(self._folder / f".{name}.lock"):
                if not path.exists():
                    size = self.sizes().get(name)
                    if size is None:
                        return False
                    self._make_room(size)
                    if not self._depot.get(f"{self._folder.name}/{name}", path):
                        return False
        self._note_use(name)
        return True

    def _note_use(self, name: str) -> None:
        if not name.endswith(SMALL):
            self._mark(name).touch()

    def _mark(self, name: str) -> Path:
        return self._folder / f".{name}{MARK}"

    def _make_room(self, coming: int) -> None:
        root = self._folder.parent
        with FileLock(root / "cache.lock"):
            copies = [_copy_of(mark) for mark in root.glob(f"*/.*{MARK}")]
            sizes = {path: path.stat().st_size for path in copies if path.exists()}
            over = sum(sizes.values()) + coming - limit_bytes(root)
            for path in sorted(sizes, key=_last_used):
                if over <= 0:
                    return
                over -= sizes[path]
                path.unlink(missing_ok=True)
                _mark_of(path).unlink(missing_ok=True)


def limit_bytes(root: Path) -> int:
    """Return how many bytes of copies this node keeps.

    Raises:
        UserError: when ``VIDCLASS_CACHE_GB`` is no number above 0.
    """
    written = os.environ.get(LIMIT)
    if not written:
        return shutil.disk_usage(root).total // 2
    with suppress(ValueError):
        if float(written) > 0:
            return int(float(written) * GIGABYTE)
    raise UserError(f"{LIMIT} is a number of gigabytes above 0", written, f"{LIMIT}=200")


def _copy_of(mark: Path) -> Path:
    return mark.with_name(mark.name.removeprefix(".").removesuffix(MARK))


def _mark_of(path: Path) -> Path:
    return path.with_name(f".{path.name}{MARK}")


def _last_used(path: Path) -> float:
    try:
        return _mark_of(path).stat().st_mtime
    except FileNotFoundError:
        return 0.0
