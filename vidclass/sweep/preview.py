"""Clips as an arm of a study sees them: chosen, cut and augmented as in a trial, and shown.

Only the videos that are shown are decoded; nothing of a study is started or written.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from vidclass.data.as_stored import read_as_stored
from vidclass.data.contact_sheet import Strip
from vidclass.data.decoded import DecodeError
from vidclass.data.explore import UNLABELLED
from vidclass.data.memory_store import MemoryStore
from vidclass.data.motion import Input, motion_frames
from vidclass.data.readers import absolute_source, read_dataset
from vidclass.data.sample_table import Labelled, Labelling, labelled, make_samples
from vidclass.data.sampling import ClipDataset
from vidclass.data.store_options import StoreOptions
from vidclass.data.transforms import BatchTransform
from vidclass.errors import UserError
from vidclass.sweep.division import chosen_videos
from vidclass.sweep.engine import job_data
from vidclass.sweep.features import feature_source_of
from vidclass.sweep.job_data import clip_dataset, transform_of
from vidclass.sweep.load import (
    LoadedStudy,
    load_study_file,
    parse_study,
    trial_config,
)
from vidclass.sweep.overrides import read_override
from vidclass.sweep.points import known_point
from vidclass.sweep.state import State
from vidclass.training.batches import derived_seed

__all__ = ["load_preview", "preview"]

Frames = npt.NDArray[np.uint8]

PLAIN_STUDY = """\
study: preview
data: {source: --data, input_size: 112, store: {short_side: 128}}
arms: [{name: clips, model: slow_fusion}]
"""

SMALLEST_SHARE = 0.005
"""Classes with a smaller share of a mixed clip are not named."""


def load_preview(study: str | None, data: str | None, overrides: Sequence[str]) -> LoadedStudy:
    """Return the study to preview; without one, a plain one over the videos of ``data``.

    Raises:
        UserError: without a study and without videos, and for what ``load_study_file`` refuses.
        UserErrors: with every mistake of the study.
    """
    if study is not None:
        return load_study_file(study, data=data, overrides=overrides)
    if data is None:
        raise UserError("a preview is of a study or of videos", "neither", "a study, or --data")
    spec = parse_study(PLAIN_STUDY, source="--set", changes=dict(map(read_override, overrides)))
    return LoadedStudy(spec, spec.study, "", "", absolute_source(data))


def preview(
    loaded: LoadedStudy,
    arm: str,
    home: Path,
    *,
    num_videos: int,
    draws: int,
    seed: int,
    evaluation: bool,
) -> list[Strip]:
    """Return clips of some videos, class by class in turn, each with what it shows.

    Args:
        loaded: the study; its videos are looked for, not its folder.
        arm: name of the arm.
        home: for data sets that are made.
        num_videos: shown; they are drawn by ``seed``.
        draws: training clips of each video, of as many epochs.
        seed: of a trial.
        evaluation: the clips that are scored, in place of training clips.

    Raises:
        UserError: when there is no such arm, or it takes features, or no video can be decoded.
        UserErrors: for mistakes in the labels.
    """
    spec = loaded.spec
    names = [each.name for each in spec.arms]
    if arm not in names:
        raise UserError("--arm is an arm of the study", arm, f"one of: {', '.join(names)}")
    found = spec.arm(arm)
    config = trial_config(spec, found, known_point(found))
    data = spec.data
    dataset = read_dataset(
        loaded.videos,
        preset=data.preset,
        seed=data.seed,
        home=home,
        group_pattern=data.group_pattern,
        labels_needed=False,
    )
    if dataset.annotations is None and dataset.manifest["label"].isna().all():
        dataset = replace(dataset, manifest=dataset.manifest.assign(label=UNLABELLED))
    dataset = chosen_videos(dataset, data)
    known = labelled(dataset.manifest, dataset, data.labelling)
    state = State(
        spec=spec.model_dump(mode="json"), data={"classes": known.classes, "store_key": ""}
    )
    job: dict[str, Any] = {**job_data(state, config), "config": config, "seed": seed}
    if feature_source_of(job) is not None:
        raise UserError(
            "a preview shows the clips of an arm that takes clips",
            f"{arm} takes features, which are made of whole frames",
            "another --arm",
        )
    options = StoreOptions.model_validate(config.get("data", {}).get("store", data.store))
    store = _decoded(_drawn(known, num_videos, seed), options, job["input"])
    table = _one_sample_each(known, store.index, data.labelling, seed)
    clips = clip_dataset(job, store, table, order="kept")
    transform = transform_of(job)
    if evaluation:
        return _scored(clips, transform, known.classes)
    return _trained(clips, transform, known.classes, draws, seed)


def _drawn(known: Labelled, num_videos: int, seed: int) -> pd.DataFrame:
    """Return videos of all classes in turn, in an order drawn by ``seed``."""
    first = known.shown.drop_duplicates("video_id")[["video_id", "label"]]
    videos = known.videos.drop(columns="label").merge(first, on="video_id", how="left")
    videos = videos.sample(frac=1, random_state=seed)
    turn = videos.groupby("label", dropna=False).cumcount()
    in_turn = videos.assign(turn=turn).sort_values(["turn", "label"], kind="stable")
    return in_turn.head(num_videos)


def _decoded(videos: pd.DataFrame, options: StoreOptions, shows: Input) -> MemoryStore:
    """Return what an arm sees of ``videos``, as stored; those that can't be decoded are left."""
    decoded, reasons = {}, []
    for row in videos.to_dict("records"):
        part = {
            name: float(row[name]) if pd.notna(row.get(name)) else None
            for name in ("start_s", "end_s")
        }
        try:
            frames, fps = read_as_stored(row["path"], options, **part)
            decoded[str(row["video_id"])] = (motion_frames(frames, shows), fps)
        except DecodeError as error:
            reasons.append(f"{row['video_id']}: {error.reason}")
    if not decoded:
        raise UserError(
            "some of the videos can be decoded",
            "; ".join(reasons) or "no videos",
            "vidclass data check tells all that can't be",
        )
    return MemoryStore(decoded)


def _one_sample_each(
    known: Labelled, rows: pd.DataFrame, labelling: Labelling, seed: int
) -> pd.DataFrame:
    """Return the sample table of the videos in ``rows``, one sample of each, in their order."""
    ids = set(rows["video_id"])
    shown = replace(
        known,
        videos=known.videos[known.videos["video_id"].isin(ids)],
        shown=known.shown[known.shown["video_id"].isin(ids)],
    )
    samples = make_samples(shown, rows, labelling)
    if samples is None:
        class_ids = {name: number for number, name in enumerate(known.classes)}
        samples = shown.videos.assign(label_id=shown.videos["label"].map(class_ids))
        samples = samples[["video_id", "label_id", "group"]]
    one_each = samples.groupby("video_id").sample(1, random_state=seed).set_index("video_id")
    order = [video_id for video_id in rows["video_id"] if video_id in one_each.index]
    return one_each.loc[order].reset_index()


def _trained(
    clips: ClipDataset, transform: BatchTransform, classes: Sequence[str], draws: int, seed: int
) -> list[Strip]:
    every = np.arange(clips.num_samples)
    y = torch.tensor(clips.labels)
    strips: list[list[Strip]] = [[] for _ in every]
    for epoch in range(1, draws + 1):
        generator = torch.Generator().manual_seed(derived_seed(seed, epoch, "augment"))
        x_BTHWC = clips.read(every, epoch=epoch, train=True)
        numbers_BT = clips.frame_numbers(every, epoch=epoch, train=True)
        x_BTCHW, changed = transform.training(x_BTHWC, y, generator)
        pixels = _pixels(x_BTCHW, transform)
        for row in every:
            before, after = _told(y[row], classes), _told(changed[row], classes)
            label = before if before == after else f"{before} becomes {after}"
            caption = f"{clips.samples.sample_ids[row]}: {label}; {_frames(numbers_BT[row])}"
            strips[row].append(Strip(caption, pixels[row]))
    return [strip for of_sample in strips for strip in of_sample]


def _scored(clips: ClipDataset, transform: BatchTransform, classes: Sequence[str]) -> list[Strip]:
    every = np.arange(clips.num_clips(train=False))
    samples = clips.samples_of(every, train=False)
    numbers_BT = clips.frame_numbers(every, epoch=0, train=False)
    pixels = _pixels(transform(clips.read(every, epoch=0, train=False), train=False), transform)
    labels = torch.tensor(clips.labels)
    return [
        Strip(
            f"{clips.samples.sample_ids[sample]}: {_told(labels[sample], classes)}; view "
            f"{clip % clips.views + 1} of {clips.views}, {_frames(numbers_BT[clip])}",
            pixels[clip],
        )
        for clip, sample in zip(every, samples, strict=True)
    ]


def _pixels(x_BTCHW: torch.Tensor, transform: BatchTransform) -> Frames:
    """Return what the model is given as colours again, uint8 ``[B, T, H, W, 3]``."""
    x_BTHWC = x_BTCHW.permute(0, 1, 3, 4, 2)
    x_BTHWC = x_BTHWC * torch.tensor(transform.std) + torch.tensor(transform.mean)
    pixels: Frames = x_BTHWC.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels


def _told(label: torch.Tensor, classes: Sequence[str]) -> str:
    if label.dim() == 0:
        return classes[int(label)]
    shares = {name: float(share) for name, share in zip(classes, label.tolist(), strict=True)}
    named = {name: share for name, share in shares.items() if share > SMALLEST_SHARE}
    if all(share == 1 for share in named.values()):
        return " + ".join(named) or "no class"
    return " + ".join(f"{share:.2f} {name}" for name, share in named.items())


def _frames(numbers_T: npt.NDArray[np.int64]) -> str:
    numbers = numbers_T.tolist()
    return f"frame {numbers[0]}" if len(numbers) == 1 else f"frames {numbers[0]} to {numbers[-1]}"
