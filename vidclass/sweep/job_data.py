"""What a job reads: the samples of a split of its fold, as the job's model sees them."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from vidclass.data.clip_choice import ClipChoice
from vidclass.data.clip_features import ClipFeatureDataset, ClipFeatures
from vidclass.data.controls import permuted_labels
from vidclass.data.crops import CropOptions
from vidclass.data.feature_dataset import FeatureDataset, FeatureTransform
from vidclass.data.frame_store import FrameStore
from vidclass.data.manifest import STATUS_OK, read_manifest
from vidclass.data.motion import Input, prepare_motion
from vidclass.data.sampling import ClipDataset, FramePositions, Order, Window
from vidclass.data.stretches import StretchDataset
from vidclass.data.subset import share_of_groups
from vidclass.data.transforms import Augment, BatchTransform
from vidclass.home import store_folder, studies_folder
from vidclass.models import model_entry
from vidclass.sweep.features import feature_source_of, features_of
from vidclass.sweep.policy import share_of
from vidclass.sweep.refit import is_refit
from vidclass.training.process_state import process_state

__all__ = [
    "Job",
    "clip_dataset",
    "device",
    "input_of",
    "manifest_of",
    "order_of",
    "pretraining_data",
    "seen_store",
    "split_data",
    "split_table",
    "steps_of",
    "store_of",
    "transform_of",
]

Job = dict[str, Any]


def device() -> torch.device:
    """Return the accelerator where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def store_of(job: Job, home: Path) -> FrameStore:
    """Return the frame store that the job's arm sees, opened once a process."""
    return _store(store_folder(home) / job["store_key"], "rgb")


def seen_store(job: Job, home: Path) -> FrameStore:
    """Return what the job's model sees: the frame store, or the motion pictures made of it."""
    return _store(store_folder(home) / job["store_key"], job.get("input", "rgb"))


@lru_cache(maxsize=16)  # arms may have several, each in colours and in motion
def _store(path: Path, shows: Input) -> FrameStore:
    frames = FrameStore.open(path)
    with process_state(torch.device("cpu"), num_threads=1), torch.no_grad():
        return prepare_motion(frames, path.parent, shows)


def manifest_of(job: Job, home: Path) -> pd.DataFrame:
    """Return the manifest of the job's study."""
    return _tables(studies_folder(home) / job["study"], job.get("samples"))[0]


@lru_cache(maxsize=2)
def _tables(
    folder: Path, samples: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    return (
        read_manifest(folder / "manifest.parquet"),
        pd.read_parquet(folder / "splits.parquet"),
        None if samples is None else pd.read_parquet(folder / samples),
    )


def split_table(job: Job, home: Path, split: str) -> pd.DataFrame:
    """Return the sample table of one split of the job's fold."""
    folder = studies_folder(home) / job["study"]
    manifest, splits, samples = _tables(folder, job.get("samples"))
    wanted = splits[(splits["fold"] == job["fold"]) & (splits["split"] == split)]
    if samples is not None:
        return samples[samples["video_id"].isin(wanted["video_id"])].reset_index(drop=True)
    if job["variant"] == "permuted_labels":  # of all splits together, whichever is read
        of_fold = splits.loc[splits["fold"] == job["fold"], ["video_id"]]
        manifest = of_fold.merge(manifest, on="video_id")
        manifest["label"] = permuted_labels(manifest, seed=job["seed"])
    rows = wanted[["video_id"]].merge(manifest, on="video_id")
    ids = {name: number for number, name in enumerate(job["classes"])}
    return pd.DataFrame(
        {"video_id": rows["video_id"], "label_id": rows["label"].map(ids), "group": rows["group"]}
    )


def clip_dataset(
    job: Job,
    store: FrameStore,
    table: pd.DataFrame,
    *,
    order: Order,
) -> ClipDataset:
    """Return the clips of ``table`` as the job's model sees them."""
    return ClipDataset(store, table, **_clip_settings(job, order))


def _clip_settings(job: Job, order: Order) -> dict[str, Any]:
    entry = model_entry(job["config"]["model"])
    window = Window(**job["window"])
    options = entry.options.model_validate(job["config"]["options"])
    positions: FramePositions = entry.frame_positions(window.num_frames, options)
    crop = CropOptions.model_validate(job["crop"])
    if job.get("variant") == "corner":
        crop = crop.model_copy(update={"corner": crop.corner or "top_left"})
    return {
        "window": window,
        "positions": positions,
        "input_size": job["input_size"],
        "geometry": job["geometry"],
        "views": job["views"],
        "order": order,
        "seed": job["seed"],
        "choice": ClipChoice.model_validate(job["sampling"]),
        "crop": crop,
        "num_classes": len(job["classes"]),
    }


def transform_of(job: Job) -> BatchTransform:
    """Return the job's way from uint8 clips to model input."""
    entry = model_entry(job["config"]["model"])
    pixels = entry.normalisation(entry.options.model_validate(job["config"]["options"]))
    augment = Augment.model_validate(job["augment"])
    shows = job.get("input", "rgb")
    return BatchTransform(pixels.mean, pixels.std, augment, job["classes"], shows)


def input_of(job: Job) -> BatchTransform:
    """Return the job's way from what is stored of a clip, frames or features, to model input."""
    return transform_of(job) if feature_source_of(job) is None else FeatureTransform()


def steps_of(job: Job) -> int | None:
    """Return the steps of the stretches that the job's model sees; None where it sees clips."""
    config = job["config"]
    framewise = model_entry(config["model"]).framewise
    return int(config["options"]["num_steps"]) if framewise else None


def order_of(job: Job) -> Order:
    """Return the order of frames that the job trains and is scored on."""
    orders: dict[str, Order] = {"shuffled": "shuffled", "background": "background"}
    return orders.get(job["variant"], "kept")


def pretraining_data(job: Job, home: Path) -> ClipDataset | None:
    """Return the clips of a pretraining on unlabelled videos too; None where there is none.

    A video counts as unlabelled where no fold has it in a split. One whose group is in validation
    or test is left out: its animal or recording would be known there.
    """
    train = job["config"]["train"]
    if not train["pretrain_epochs"] or train["pretrain_on"] == "train":
        return None
    store = seen_store(job, home)
    manifest, splits, _ = _tables(studies_folder(home) / job["study"], job.get("samples"))
    fold = splits[splits["fold"] == job["fold"]].merge(manifest, on="video_id")
    learned = ["train", "valid"] if is_refit(job["config"]) else ["train"]
    held_out = fold.loc[~fold["split_x"].isin(learned), "group"]
    free = (
        (manifest["status"] == STATUS_OK)
        & manifest["label"].isna()
        & ~manifest["video_id"].isin(splits["video_id"])
        & ~manifest["group"].isin(held_out)
    )
    labelled = _train_table(job, home)
    unlabelled = manifest.loc[free, ["video_id", "group"]]
    # Whole videos, under a label that nothing reads.
    frames = store.rows(unlabelled["video_id"].tolist())["T"].to_numpy()
    whole: dict[str, Any] = {
        "sample_id": unlabelled["video_id"],
        "first_frame": 0,
        "last_frame": frames - 1,
        "label_id": 0,
        "label_ids": [()] * len(unlabelled),
    }
    columns = {name: value for name, value in whole.items() if name in labelled.columns}
    table = pd.concat([labelled, unlabelled.assign(**columns)], ignore_index=True)
    return clip_dataset(job, store, table, order=order_of(job))


def _train_table(job: Job, home: Path) -> pd.DataFrame:
    table = split_table(job, home, "train")
    if is_refit(job["config"]):
        table = pd.concat([table, split_table(job, home, "valid")], ignore_index=True)
    if (share := share_of(job["variant"])) < 1.0:
        table = share_of_groups(table, share, seed=job["seed"])
    return table


def split_data(job: Job, home: Path, split: str, *, order: Order | None = None) -> ClipDataset:
    """Return the clips, or features of clips, of one split of the job's fold."""
    store = seen_store(job, home)
    table = _train_table(job, home) if split == "train" else split_table(job, home, split)
    order = order or order_of(job)
    source = feature_source_of(job)
    if source is None:
        return clip_dataset(job, store, table, order=order)
    features, _ = features_of(job, source, store, home, device())
    if isinstance(features, ClipFeatures):
        return ClipFeatureDataset(store, features, table, **_clip_settings(job, order))
    if (num_steps := steps_of(job)) is not None:
        settings = _clip_settings(job, order)
        label_from = job["label_from"]
        return StretchDataset(
            store, features, table, num_steps=num_steps, label_from=label_from, **settings
        )
    return FeatureDataset(store, features, table, **_clip_settings(job, order))
