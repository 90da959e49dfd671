"""A job whose model takes features: they are made sure of before it trains, and trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vidclass.data.clip_features import ClipFeatures, EncodeClip, clip_features
from vidclass.data.crops import CropOptions
from vidclass.data.feature_store import (
    Built,
    Encode,
    FeatureRecipe,
    FeatureStore,
    prepare_features,
)
from vidclass.data.frame_store import FrameStore
from vidclass.data.pose_store import prepare_poses
from vidclass.data.transforms import BatchTransform
from vidclass.home import store_folder
from vidclass.models import FeatureSource, PoseSource, model_entry
from vidclass.models.backbones import (
    BackboneOptions,
    feature_source,
    frozen_backbone,
    source_hash,
)
from vidclass.models.backbones_library import backbone_facts
from vidclass.models.registry import Normalisation
from vidclass.sweep.load import corners, trial_config
from vidclass.sweep.spec import FloorsSpec, StudySpec
from vidclass.training.precision import to_device
from vidclass.training.process_state import process_state

__all__ = [
    "check_poses",
    "feature_source_of",
    "features_of",
    "floor_features_of",
    "floor_source_of",
]

Job = dict[str, Any]


def feature_source_of(job: Job) -> FeatureSource | PoseSource | None:
    """Return how the features are made that the job's model takes; None where it takes clips."""
    entry = model_entry(job["config"]["model"])
    return entry.features(entry.options.model_validate(job["config"]["options"]))


def check_poses(
    spec: StudySpec, frames_of: Callable[[dict[str, Any]], FrameStore], home: Path
) -> None:
    """Read the pose files that arms of ``spec`` need, so that what is wrong is told before a trial.

    Args:
        spec: the study.
        frames_of: the frame store that a trial of a configuration sees.
        home: in which the poses are kept as features.

    Raises:
        UserErrors: with every pose file that is absent or wrong.
        UserError: when an arm's ``num_features`` is not that of the files.
    """
    for arm in spec.arms:
        for corner in corners(arm):
            config = trial_config(spec, arm, corner)
            source = feature_source_of({"config": config})
            if isinstance(source, PoseSource):
                frames = frames_of(config)
                prepare_poses(frames, store_folder(home), source.options, source.num_features)


def features_of(
    job: Job,
    source: FeatureSource | PoseSource,
    frames: FrameStore,
    home: Path,
    device: torch.device,
) -> tuple[FeatureStore | ClipFeatures, Built]:
    """Return the features that the job's model takes, computing those that are not there.

    Those of clips are computed when a clip is read first.
    """
    if isinstance(source, PoseSource):
        return prepare_poses(frames, store_folder(home), source.options, source.num_features)
    entry = model_entry(job["config"]["model"])
    options = entry.options.model_validate(job["config"]["options"])
    pixels = entry.normalisation(options)
    if not source.of_clips:
        return _encoded(job, source, pixels, frames, home, device)
    num_steps, num_features = entry.input_shape(options)
    num_frames = num_steps * source.frames_per_step
    kept = clip_features(
        frames,
        store_folder(home),
        _recipe(job, source, pixels),
        shape=(num_steps, num_features),
        starts_every=source.starts_every,
        make_encode=lambda: _clip_encoder(source, pixels, num_frames, device),
    )
    return kept, Built()


def floor_source_of(floors: FloorsSpec, input_size: int) -> FeatureSource | None:
    """Return how the features are made that the floors take; None where no net makes them."""
    if floors.backbone is None:
        return None
    options = {"input_size": input_size, **floors.model_dump()}
    return feature_source(BackboneOptions.model_validate(options))


def floor_features_of(
    job: Job, frames: FrameStore, home: Path, device: torch.device
) -> FeatureStore | None:
    """Return the features of a net that the study's floors take, computing those not there."""
    source = floor_source_of(FloorsSpec.model_validate(job["floors"]), job["input_size"])
    if source is None:
        return None
    pixels = backbone_facts(source.backbone).normalisation
    return _encoded(job, source, pixels, frames, home, device)[0]


def _encoded(
    job: Job,
    source: FeatureSource,
    pixels: Normalisation,
    frames: FrameStore,
    home: Path,
    device: torch.device,
) -> tuple[FeatureStore, Built]:
    # One thread, as a study's trial has: others compute on the other cores meanwhile.
    recipe = _recipe(job, source, pixels)
    with process_state(device, job.get("num_threads", 1)), torch.no_grad():
        return prepare_features(
            frames, store_folder(home), recipe, lambda: _encoder(source, pixels, device)
        )


def _recipe(job: Job, source: FeatureSource, pixels: Normalisation) -> FeatureRecipe:
    crop = CropOptions.model_validate(job["crop"])
    return FeatureRecipe(
        backbone=source.backbone,
        weights_hash=source_hash(source),
        pooling=source.pooling,
        num_features=source.num_features,
        mean=pixels.mean,
        std=pixels.std,
        input_size=source.input_size,
        geometry=job["geometry"],
        scale=crop.scale,
        corner=crop.corner,
        corner_share=crop.corner_share,
    )


def _encoder(source: FeatureSource, pixels: Normalisation, device: torch.device) -> Encode:
    backbone = frozen_backbone(source)
    to_device(backbone, device)
    transform = BatchTransform(pixels.mean, pixels.std)

    def encode(frames_bSSC: torch.Tensor) -> torch.Tensor:
        x_BTCHW = transform(frames_bSSC[None].to(device), train=False)
        f_bD: torch.Tensor = backbone(x_BTCHW[0])
        return f_bD

    return encode


def _clip_encoder(
    source: FeatureSource, pixels: Normalisation, num_frames: int, device: torch.device
) -> EncodeClip:
    encoder = frozen_backbone(source, num_frames)
    to_device(encoder, device)
    transform = BatchTransform(pixels.mean, pixels.std)

    @torch.no_grad()
    def encode(clip_THWC: torch.Tensor) -> torch.Tensor:
        f_1SE: torch.Tensor = encoder(transform(clip_THWC[None].to(device), train=False))
        return f_1SE[0]

    return encode
