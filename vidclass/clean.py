"""``vidclass clean``: what the home folder holds, and removing parts of it after showing them.

Nothing is removed that lies outside the home folder or that a living driver uses. An entry leaves
in two steps, renamed to trash beside it first, so that a kill in between leaves no half of a store.
"""

import json
import shutil
import socket
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from vidclass.cli import run_app
from vidclass.errors import UserError, raise_collected
from vidclass.home import datasets_folder, home, store_folder, studies_folder
from vidclass.sweep.lock import driver_lock, driver_of

__all__ = ["Entry", "app", "list_entries", "remove", "running_driver", "select"]

Kind = Literal["store", "dataset", "study"]

SECONDS_A_DAY = 86_400.0
LOCK = "driver.lock"
TRASH = ".trash-"


@dataclass(frozen=True)
class Entry:
    """One store, data set or study of the home folder.

    Attributes:
        kind: what it is.
        name: how the command line names it, as ``store/KEY`` or ``studies/NAME``.
        path: its folder.
        size_bytes: what its files take, without following links.
        age_days: days since the newest change of one of its files.
        in_use: why it is not removed now; empty where it can be.
    """

    kind: Kind
    name: str
    path: Path
    size_bytes: int
    age_days: float
    in_use: str


def running_driver(study: Path) -> str:
    """Return who runs ``study``, or an empty string when nobody does.

    What a driver of another host wrote, and what cannot be read, count as running: not every shared
    file system carries a lock from host to host, so that nobody can tell from here.
    """
    try:
        owner = json.loads((study / LOCK).read_text(encoding="utf-8"))
        host, pid = str(owner["host"]), int(owner["pid"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError):
        return f"it is locked, and {LOCK} tells no owner"
    if host != socket.gethostname():
        return f"driver {pid} on {host} runs it (if that is long gone: remove its {LOCK})"
    return f"driver {pid} on this machine runs it" if driver_of(study) is not None else ""


def list_entries(root: Path) -> list[Entry]:
    """Return all entries below the home folder ``root``, the largest first.

    While a study runs, every store and data set counts as in use: its trials may map any of them.
    """
    running = {study.name: running_driver(study) for study in _folders(studies_folder(root))}
    at_work = sorted(name for name, driver in running.items() if driver)
    reason = f"study {at_work[0]} runs and may read it" if at_work else ""
    entries = [
        *(_entry("store", path, reason) for path in _folders(store_folder(root))),
        *(_entry("dataset", path, reason) for path in _folders(datasets_folder(root))),
        *(_entry("study", path, running[path.name]) for path in _folders(studies_folder(root))),
    ]
    return sorted(entries, key=lambda entry: -entry.size_bytes)


def _folders(parent: Path) -> list[Path]:
    """Return the folders in ``parent``, less trash and links, which may lead out of the home."""
    if not parent.is_dir():
        return []
    return sorted(
        path
        for path in parent.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(TRASH)
    )


def _entry(kind: Kind, path: Path, in_use: str) -> Entry:
    stats = [path.lstat()]
    for file in path.rglob("*"):
        try:
            stats.append(file.lstat())
        except FileNotFoundError:
            continue  # a running study renames its files while we look
    size = sum(stat.st_size for stat in stats[1:])
    age = max(0.0, time.time() - max(stat.st_mtime for stat in stats)) / SECONDS_A_DAY
    return Entry(kind, f"{path.parent.name}/{path.name}", path, size, age, in_use)


def select(
    entries: Sequence[Entry],
    names: Iterable[str],
    kinds: Iterable[Kind] = (),
    min_age_days: float = 0.0,
) -> list[Entry]:
    """Return the entries that are named or of one of ``kinds``, and old enough.

    Raises:
        UserErrors: for names that are no entry of the home folder, and for named entries in use.
    """
    by_name = {entry.name: entry for entry in entries}
    chosen, errors = {}, []
    for name in names:
        entry = by_name.get(name.rstrip("/"))
        if entry is None:
            rule = "clean removes only stores, data sets and studies of the home folder, by name"
            errors.append(UserError(rule, name, "a name that vidclass clean lists"))
        elif entry.in_use:
            rule = f"{name} is in use: {entry.in_use}"
            errors.append(UserError(rule, name, "wait for it, or vidclass sweep stop STUDY"))
        else:
            chosen[entry.name] = entry
    raise_collected(errors)
    wanted = set(kinds)
    for entry in entries:
        if entry.kind in wanted and not entry.in_use:
            chosen[entry.name] = entry
    return [entry for entry in chosen.values() if entry.age_days >= min_age_days]


def remove(entries: Iterable[Entry], root: Path) -> int:
    """Remove ``entries`` from the home folder ``root`` and return the bytes that this freed.

    Raises:
        UserError: when an entry lies outside the home folder, or a driver took it meanwhile.
    """
    freed = 0
    parents = {folder(root).resolve() for folder in (store_folder, datasets_folder, studies_folder)}
    for entry in entries:
        if entry.path.is_symlink() or entry.path.resolve().parent not in parents:
            rule = f"clean removes nothing outside the home folder {root}"
            raise UserError(rule, entry.path, "remove it yourself, or set VIDCLASS_HOME")
        aside = entry.path.with_name(TRASH + uuid.uuid4().hex)
        if entry.kind == "study":
            driver = running_driver(entry.path)
            if driver:
                rule = f"{entry.name} is in use: {driver}"
                raise UserError(rule, entry.name, "wait for it, or vidclass sweep stop STUDY")
            with driver_lock(entry.path):  # no driver starts between the look and the rename
                entry.path.rename(aside)
        else:
            entry.path.rename(aside)
        freed += entry.size_bytes
    for parent in parents:
        for trash in parent.glob(f"{TRASH}*"):  # also what an earlier, killed removal left
            shutil.rmtree(trash)
    return freed


def _table(entries: Sequence[Entry]) -> str:
    rows = [
        f"{entry.size_bytes / 2**20:>10.1f} MiB {entry.age_days:>7.1f} days  {entry.name}"
        + (f"  (stays: {entry.in_use})" if entry.in_use else "")
        for entry in entries
    ]
    total = sum(entry.size_bytes for entry in entries) / 2**20
    return "\n".join([*rows, f"{total:>10.1f} MiB in all"])


app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)


@app.command(epilog="Example: vidclass clean --stores --older-than 30")
def clean(
    names: list[str] = typer.Argument(
        None, metavar="[NAME]...", help="Entries to remove, as store/KEY or studies/NAME."
    ),
    stores: bool = typer.Option(False, "--stores", help="All stores (made again on demand)."),
    datasets: bool = typer.Option(False, "--datasets", help="All data sets that vidclass made."),
    studies: bool = typer.Option(False, "--studies", help="All studies that are not running."),
    older_than: float = typer.Option(0.0, "--older-than", min=0.0, help="Only if older, in days."),
    yes: bool = typer.Option(False, "--yes", help="Remove without asking."),
) -> None:
    """List what the home folder holds; with names or kinds, remove those after asking.

    A study that runs, and the stores and data sets while one runs, always stay.
    """
    root = home()
    entries = list_entries(root)
    flags: dict[Kind, bool] = {"store": stores, "dataset": datasets, "study": studies}
    kinds = [kind for kind, wanted in flags.items() if wanted]
    if not names and not kinds:
        typer.echo(f"{root}\n{_table(entries)}")
        typer.echo("To remove: vidclass clean NAME..., --stores, --datasets or --studies")
        return
    chosen = select(entries, names or [], kinds, older_than)
    if not chosen:
        typer.echo("Nothing to remove.")
        return
    typer.echo(f"This would be removed from {root}:\n{_table(chosen)}")
    if not yes:
        typer.confirm("Remove it?", abort=True)
    typer.echo(f"Freed {remove(chosen, root) / 2**20:.1f} MiB.")


if __name__ == "__main__":
    run_app(app)
