"""All frame stores of a study: built one after the other before its first trial, and estimated."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vidclass.data.fingerprint import file_sizes
from vidclass.data.frame_store import FrameStore, is_complete, store_key
from vidclass.data.manifest import STATUS_OK, Dataset
from vidclass.data.pipeline import ROOM, Prepared, Progress, prepare
from vidclass.data.store_options import StoreOptions
from vidclass.data.store_size import store_bytes
from vidclass.disk import check_space
from vidclass.home import store_folder
from vidclass.sweep.arm_stores import store_keys, stores_of, told_store
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State

__all__ = ["PreparedStores", "are_built", "prepare_stores", "store_lines"]


@dataclass(frozen=True)
class PreparedStores:
    """A data set whose frames are stored in every way that a study asks for.

    Attributes:
        stores: by their keys, that of `data.store` first.
        options: what shaped each of them.
        manifest: probed and hashed. A video that one store could not take is quarantined in all, so
            that all arms see the same videos.
        seconds: what each part took, over all stores.
        decoded: videos decoded by this call, over all stores.
        readers: who decoded how many videos of the first store.
    """

    stores: dict[str, FrameStore]
    options: dict[str, StoreOptions]
    manifest: pd.DataFrame
    seconds: dict[str, float]
    decoded: int
    readers: dict[str, int]

    @property
    def default(self) -> FrameStore:
        """The store of `data.store`."""
        return next(iter(self.stores.values()))

    def facts(self) -> dict[str, Any]:
        """Return what the event ``data_ready`` says of the stores: ``stores`` if not one alone."""
        key = self.default.path.name
        if len(self.stores) == 1:
            return {"store_key": key}
        told = {name: options.model_dump(mode="json") for name, options in self.options.items()}
        return {"store_key": key, "stores": told}


def are_built(state: State, home: Path) -> bool:
    """Say whether every store of a study is there; False before its data were ready."""
    folders = [store_folder(home) / key for key in store_keys(state.data)]
    return bool(folders) and all(is_complete(folder) for folder in folders)


def prepare_stores(
    dataset: Dataset, spec: StudySpec, home: Path, progress: Callable[[Progress], None]
) -> PreparedStores:
    """Make sure of every store that ``spec`` can ask for; what whole shards hold is kept.

    Raises:
        UserError: when the disk has no room for one of them, or for all that are missing.
    """
    asked = stores_of(spec)
    first: Prepared | None = None
    manifest, seconds, decoded = dataset.manifest, dict[str, float](), 0
    stores: dict[str, FrameStore] = {}
    for number, options in enumerate(asked):
        told = told_store(options, spec.data.store)
        name = f" store {number + 1} of {len(asked)} ({told})" if len(asked) > 1 else ""
        prepared = prepare(dataset, options, home, _naming(progress, name))
        stores[prepared.store.path.name] = prepared.store
        decoded += prepared.decoded
        for part, value in prepared.seconds.items():
            seconds[part] = seconds.get(part, 0.0) + value
        if first is None:
            first, manifest = prepared, prepared.manifest
            _check_room(manifest, asked[1:], home)
        else:
            manifest = _left_out_of_either(manifest, prepared.manifest, told)
    assert first is not None
    options_of = dict(zip(stores, asked, strict=True))
    return PreparedStores(stores, options_of, manifest, seconds, decoded, first.readers)


def _naming(progress: Callable[[Progress], None], name: str) -> Callable[[Progress], None]:
    """Return ``progress`` with the store's name in what it is told of decoding."""

    def told(done: Progress) -> None:
        progress(replace(done, stage=f"{done.stage}{name}") if done.stage == "decode" else done)

    return told


def _check_room(manifest: pd.DataFrame, further: list[StoreOptions], home: Path) -> None:
    """Refuse to build several stores, one after the other, that will not all fit."""
    readable = manifest[manifest["status"] == STATUS_OK]
    missing = [
        options
        for options in further
        if not is_complete(store_folder(home) / store_key(manifest, options))
    ]
    if len(missing) > 1 and len(readable):
        needed = sum(store_bytes(readable, options) for options in missing)
        what = f"{len(missing)} further frame stores that arms ask for"
        check_space(what, store_folder(home), needed, or_else=ROOM[1])


def _left_out_of_either(manifest: pd.DataFrame, other: pd.DataFrame, told: str) -> pd.DataFrame:
    """Return ``manifest`` with the videos quarantined too that ``other``, of one store, lacks."""
    bad = (manifest["status"] == STATUS_OK) & (other["status"] != STATUS_OK)
    reasons = other["reason"].astype(str) + f" (in the store with {told})"
    return manifest.assign(
        status=manifest["status"].where(~bad, other["status"]),
        reason=manifest["reason"].where(~bad, reasons),
    )


def store_lines(spec: StudySpec, manifest: pd.DataFrame) -> Iterator[str]:
    """Yield what a plan says of the frame stores: how many, and about how large together.

    Args:
        spec: the study.
        manifest: of its videos, which need not be probed; a few of the files are opened.
    """
    asked = stores_of(spec)
    sized = manifest.assign(size_bytes=file_sizes(manifest["path"]).to_numpy())
    sized = sized[sized["size_bytes"].notna()]
    sizes = [store_bytes(sized, options) if len(sized) else 0.0 for options in asked]
    count = "1 store" if len(asked) == 1 else f"{len(asked)} stores"
    yield f"frames     {count}, about {_size(sum(sizes))} where not there yet"
    if len(asked) > 1:
        for options, size in zip(asked, sizes, strict=True):
            yield f"           {told_store(options, spec.data.store)}: {_size(size)}"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:.1f} MiB"
