"""The data phase of a study: videos found, stored, divided, and written into the ledger."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from vidclass.data.confounds import confound_facts
from vidclass.data.controls import static_share_of
from vidclass.data.frame_label_check import refuse_mismatches
from vidclass.data.frame_store import FrameStore
from vidclass.data.interval_check import outside_told
from vidclass.data.leakage import find_leaks
from vidclass.data.manifest import Dataset, chosen_from, write_manifest
from vidclass.data.near_duplicates import stored_copies
from vidclass.data.pipeline import Progress
from vidclass.data.readers import is_made, read_dataset
from vidclass.data.sample_table import Labelled, labelled, make_samples
from vidclass.data.splits import DEPLOY_FOLD, split_hash
from vidclass.errors import UserError, raise_collected
from vidclass.home import store_folder, write_aside
from vidclass.sweep.arm_data import class_mistakes
from vidclass.sweep.arm_stores import store_key_of, store_keys
from vidclass.sweep.division import chosen_videos, divide, given_splits
from vidclass.sweep.engine import Engine
from vidclass.sweep.features import check_poses
from vidclass.sweep.samples import check_clips_fit, sample_facts
from vidclass.sweep.spec import DataSpec, StudySpec
from vidclass.sweep.stores import PreparedStores, are_built, prepare_stores

__all__ = ["check_source", "content_hash", "prepare_data"]

SAMPLES_FILE = "samples.parquet"


def check_source(videos: str, data: DataSpec, home: Path) -> None:
    """Find what is wrong with a folder of videos in a second, before anything is started or made.

    Raises:
        UserError: when there is no such folder, or no video in it.
        UserErrors: for mistakes in its tables, and classes with fewer groups than splits.
    """
    if is_made(videos):
        return
    dataset = read_dataset(videos, home=home, group_pattern=data.group_pattern)
    chosen = chosen_videos(dataset, data)
    found = labelled(chosen.manifest, chosen, data.labelling)
    divide(found.rows_to_divide(), data, given_splits(dataset, data))


def prepare_data(engine: Engine, progress: Callable[[Progress], None]) -> None:
    """Bring the study to where trials can run; do nothing where the ledger says it is there.

    Raises:
        UserError: when too many videos are unreadable, or the videos are no longer those that the
            study began with.
        UserErrors: for mistakes in the folder of videos or in the split, and for pairs of an
            augmentation that name a class there is not.
    """
    if are_built(engine.state, engine.home):
        for key in store_keys(engine.state.data):
            FrameStore.open(store_folder(engine.home) / key)
        return
    data = engine.spec.data
    started = time.time()
    dataset = read_dataset(
        engine.videos,
        preset=data.preset,
        seed=data.seed,
        home=engine.home,
        group_pattern=data.group_pattern,
        progress=_making(progress),
    )
    made = time.time()
    given = given_splits(dataset, data)
    dataset = chosen_videos(dataset, data)
    classes = labelled(dataset.manifest, dataset, data.labelling).classes
    raise_collected(class_mistakes(engine.spec, classes))
    prepared = prepare_stores(dataset, engine.spec, engine.home, progress)
    manifest = prepared.manifest
    _check_quarantine(manifest, data.quarantine_limit)
    found = labelled(manifest, dataset, data.labelling)
    videos = found.videos
    refuse_mismatches(dataset, manifest)
    samples = make_samples(found, prepared.default.index, data.labelling)
    _check_stores(engine.spec, prepared, samples, engine.home)
    copies, told = None, data.split.near_duplicates
    if told != "ignore" and not is_made(engine.videos):
        copies = stored_copies(prepared.default, videos["video_id"].tolist(), _making(progress))
    rows = found.rows_to_divide()
    splits = divide(rows, data, given, copies if told == "refuse" else None)
    videos = videos[videos["video_id"].isin(splits["video_id"])]
    facts = {**_facts(videos, splits), "classes": found.classes}
    if "background" in engine.spec.finals.leak_controls:
        facts["static_share"] = static_share_of(prepared.default, videos["video_id"].tolist())
    if engine.state.data:
        _check_unchanged(engine.state.data, facts)
        return
    write_manifest(manifest, engine.folder / "manifest.parquet")
    _write_table(splits, engine.folder / "splits.parquet")
    if samples is not None:
        _write_table(samples, engine.folder / SAMPLES_FILE)
        facts |= {"samples": SAMPLES_FILE, **sample_facts(samples, splits, found.classes)}
    engine.append(
        "data_ready",
        **facts,
        **prepared.facts(),
        num_quarantined=int((manifest["status"] != "ok").sum()),
        groups_known=bool(dataset.groups_known),
        warnings=_warnings(dataset, found, videos),
        near_duplicates=None if copies is None else _leaking(splits, videos, copies),
        confounds=confound_facts(rows[rows["video_id"].isin(videos["video_id"])]),
        published=data.split.published if chosen_from(videos) else None,
        seconds={"find": made - started, **prepared.seconds, "all": time.time() - started},
        decoded=prepared.decoded,
        readers=prepared.readers,
        manifest="manifest.parquet",
        splits="splits.parquet",
    )


def _check_stores(
    spec: StudySpec, prepared: PreparedStores, samples: pd.DataFrame | None, home: Path
) -> None:
    """Check pose files against the store that each arm sees, and that clips fit in each."""
    for store in prepared.stores.values():
        check_clips_fit(samples, store.index, spec.data)
    ready, common = prepared.facts(), spec.data.store.model_dump(mode="json")

    def frames_of(config: dict[str, Any]) -> FrameStore:
        return prepared.stores[store_key_of(ready, config.get("data", {}).get("store", common))]

    check_poses(spec, frames_of, home)


def _warnings(dataset: Dataset, found: Labelled, videos: pd.DataFrame) -> list[str]:
    """Return what the reader warned of, and what of the labels that are taken lies outside."""
    taken = replace(dataset, annotations=found.annotations)
    return [*dataset.warnings, *outside_told(taken, videos)]


def _write_table(table: pd.DataFrame, path: Path) -> None:
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)


def _making(progress: Callable[[Progress], None]) -> Callable[[str, int, int], None]:
    """Return the callback of a reader that makes its data set, in terms of ``progress``."""
    started = time.monotonic()

    def report(stage: str, done: int, total: int) -> None:
        rate = done / max(time.monotonic() - started, 1e-9)
        left = (total - done) / rate if done else None
        progress(Progress(stage, done, total, rate, left))

    return report


def _leaking(splits: pd.DataFrame, videos: pd.DataFrame, copies: pd.DataFrame) -> list[str]:
    """Return what is told of each pair of files in two splits that show the same footage."""
    leaks = find_leaks(splits[splits["fold"] != DEPLOY_FOLD], videos, copies)
    return [leak.told for leak in leaks if leak.kind == "near_duplicate"]


def content_hash(videos: pd.DataFrame) -> str:
    """Return the hash of a set of videos: of what is in the files, whatever they are called."""
    return hashlib.sha256("".join(sorted(videos["content_hash"])).encode()).hexdigest()


def _facts(videos: pd.DataFrame, splits: pd.DataFrame) -> dict[str, Any]:
    outer = splits[splits["fold"] != DEPLOY_FOLD]
    counts = outer.groupby(["fold", "split"]).size()
    return {
        "content_hash": content_hash(videos),
        "split_hash": split_hash(outer),
        "num_videos": len(videos),
        "num_groups": int(videos["group"].nunique()),
        "folds": int(outer["fold"].nunique()),
        "videos_per_split": {
            str(fold): counts[fold].to_dict() for fold in sorted(outer["fold"].unique())
        },
    }


def _check_quarantine(manifest: pd.DataFrame, limit: float) -> None:
    bad = manifest[manifest["status"] != "ok"]
    share = len(bad) / len(manifest)
    if share > limit:
        shown = "; ".join(f"{row.video_id}: {row.reason}" for row in bad.head(5).itertuples())
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise UserError(
            f"at most {limit:.0%} of the videos may be unreadable",
            f"{len(bad)} of {len(manifest)} ({share:.1%}): {shown}{more}",
            "mend or remove them, or raise data.quarantine_limit",
        )


def _check_unchanged(before: dict[str, Any], now: dict[str, Any]) -> None:
    for key in ("content_hash", "split_hash"):
        if before[key] != now[key]:
            raise UserError(
                "a study continues on the videos and the split it began with",
                f"{key} was {before[key][:12]}, is {now[key][:12]}",
                "bring the videos back, or start a study of another name",
            )
