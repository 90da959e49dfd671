"""Poses as a feature store: for every stored frame of a video, the features of its pose file.

A pose file lies beside its video: ``VIDEODLC_NET.h5`` (or ``.csv``) as DeepLabCut calls it,
``NAME_VIDEO.analysis.h5`` (or ``.csv``) as SLEAP does, or ``VIDEO.pose.csv``, which goes first.

Legend: T stored frames, N frames of a file, D features.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from filelock import FileLock

from vidclass.data.feature_store import LAYOUT_VERSION, Built, FeatureStore
from vidclass.data.frame_choice import FrameChoice, choose_frames
from vidclass.data.frame_store import FrameStore
from vidclass.data.manifest import read_manifest, segments
from vidclass.data.pose_files import read_poses
from vidclass.data.poses import PoseOptions, read_pose
from vidclass.data.store_options import StoreOptions
from vidclass.errors import UserError, UserErrors, raise_collected
from vidclass.home import write_aside

__all__ = ["find_pose_files", "pose_file_of", "prepare_poses"]

SUFFIXES = (".h5", ".hdf5", ".csv")
"""Of several forms of the same poses the first is read."""
_PART = "00000.f32"


def pose_file_of(video: Path) -> Path:
    """Return the pose file of a video (or folder of images).

    Raises:
        UserError: when there is none, or more than one.
    """
    name = video.name if video.is_dir() else video.stem
    beside = [
        path
        for path in sorted(video.parent.iterdir())
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]
    own = [path for path in beside if path.stem == f"{name}.pose"]
    found = own or [path for path in beside if _is_of(path.stem, name)]
    bases = sorted({path.stem for path in found})
    if len(bases) == 1:
        return min(found, key=lambda path: SUFFIXES.index(path.suffix.lower()))
    raise UserError(
        "a video has one pose file beside it",
        f"{video.name}: {', '.join(path.name for path in found) or 'none'}",
        f"{name}DLC_NET.h5 from DeepLabCut, NAME_{name}.analysis.h5 from SLEAP, or {name}.pose.csv",
    )


def _is_of(stem: str, video: str) -> bool:
    if stem.startswith(f"{video}DLC"):
        return True
    named = stem.removesuffix(".analysis")
    return named != stem and (named == video or named.endswith((f"_{video}", f".{video}")))


def find_pose_files(manifest: pd.DataFrame) -> dict[str, Path]:
    """Return the pose file of each video.

    Raises:
        UserErrors: for all videos that have none, or more than one.
    """
    files: dict[str, Path] = {}
    errors: list[UserError] = []
    for video_id, path in zip(manifest["video_id"], manifest["path"], strict=True):
        try:
            files[video_id] = pose_file_of(Path(path))
        except UserError as error:
            errors.append(error)
        except OSError as error:
            errors.append(UserError("the folder of a video can be listed", error, "check it"))
    raise_collected(errors)
    return files


def prepare_poses(
    frames: FrameStore, folder: Path, options: PoseOptions, num_features: int
) -> tuple[FeatureStore, Built]:
    """Return the poses of all stored frames; read them from their files where they are not there.

    One process reads while others that want the same wait.

    Args:
        frames: the stored frames.
        folder: the folder of all stores.
        options: how positions become features.
        num_features: numbers a frame that the model takes (D).

    Raises:
        UserErrors: with every video whose pose file is absent, wrong, or has other features.
    """
    manifest = read_manifest(frames.path / "manifest.parquet")
    manifest = manifest[manifest["video_id"].isin(frames.index["video_id"])]
    files = find_pose_files(manifest)
    own = folder / _key(frames.path.name, files, options)
    started = time.perf_counter()
    num_frames = 0
    if not (own / "features.json").exists():
        own.mkdir(parents=True, exist_ok=True)
        with FileLock(own / "build.lock"):
            if not (own / "features.json").exists():  # another process may have been first
                num_frames = _build(frames, manifest, files, own, options)
    store = FeatureStore.open(own)
    if store.num_features != num_features:
        raise UserError(
            "num_features is how many numbers the poses of a frame have",
            num_features,
            f"num_features: {store.num_features}",
        )
    return store, Built(num_frames, time.perf_counter() - started)


def _key(frames: str, files: Mapping[str, Path], options: PoseOptions) -> str:
    stats = {video_id: path.stat() for video_id, path in files.items()}
    shape = {
        "layout": LAYOUT_VERSION,
        "frames": frames,
        "poses": options.model_dump(mode="json"),
        "files": [
            (video_id, str(files[video_id]), stat.st_size, stat.st_mtime_ns)
            for video_id, stat in sorted(stats.items())
        ],
    }
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]


def _build(
    frames: FrameStore,
    manifest: pd.DataFrame,
    files: Mapping[str, Path],
    own: Path,
    options: PoseOptions,
) -> int:
    counts = dict(zip(frames.index["video_id"], frames.index["T"].tolist(), strict=True))
    parts = segments(manifest)
    facts = zip(
        manifest["video_id"],
        manifest["num_frames"].tolist(),
        manifest["fps"].tolist(),
        parts["start_s"].tolist(),
        parts["end_s"].tolist(),
        strict=True,
    )
    errors: list[UserError] = []
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    names: tuple[str, ...] | None = None
    for video_id, num_frames, fps, start_s, end_s in facts:
        path = files[video_id]
        part = (_given(start_s), _given(end_s))
        try:
            total = len(read_poses(path).xy_TP2) if any(part) else int(num_frames)
            found = read_pose(path, options, total)
            names = names or found.names
            shown = _stored_frames(path, total, fps, part, frames.options, counts[video_id])
            arrays[video_id] = found.f_TD[shown][:, _columns(path, found.names, names)]
        except UserError as error:
            errors.append(error)
        except UserErrors as several:
            errors += several.errors
    raise_collected(errors)
    _write(own, arrays, names or (), frames.path.name, options)
    return sum(counts.values())


def _given(time_s: float) -> float | None:
    return None if np.isnan(time_s) else time_s


def _stored_frames(
    path: Path,
    num_frames: int,
    fps: float,
    part: tuple[float | None, float | None],
    options: StoreOptions,
    expected: int,
) -> npt.NDArray[np.int64]:
    """Return which frames of the file are the stored ones."""
    choice = FrameChoice(None, options.fps, options.stride, options.num_frames, *part)
    numbers, _ = choose_frames(np.arange(num_frames) / fps, fps, choice)
    if len(numbers) != expected:
        raise UserError(
            "poses belong to frames by number, so a video has an even rate or all its frames are "
            "stored",
            f"{path.name}: {expected} frames are stored, {len(numbers)} at an even rate",
            "data.store without fps, or with stride instead",
        )
    return numbers


def _columns(path: Path, names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int]:
    """Return where the features ``wanted`` are among ``names``."""
    if sorted(names) != sorted(wanted):
        other = sorted(set(names) ^ set(wanted))
        raise UserError(
            "all pose files have the same animals and body parts",
            f"{path.name} differs from the first one in {', '.join(other[:6])}",
            "call animals and body parts alike in all files",
        )
    return [names.index(name) for name in wanted]


def _write(
    own: Path,
    arrays: Mapping[str, npt.NDArray[np.float32]],
    names: tuple[str, ...],
    frames: str,
    options: PoseOptions,
) -> None:
    """Write the poses in the layout of :mod:`vidclass.data.feature_store`, as one part."""
    index = pd.DataFrame({"video_id": list(arrays), "T": [len(f_TD) for f_TD in arrays.values()]})
    index["part"] = _PART
    index["first_row"] = index["T"].cumsum() - index["T"]
    with write_aside(own / _PART) as aside, aside.open("wb") as file:
        for f_TD in arrays.values():
            file.write(np.ascontiguousarray(f_TD).data)
    with write_aside(own / "index.parquet") as aside:
        index.to_parquet(aside, index=False)
    about = {
        "layout": LAYOUT_VERSION,
        "frames": frames,
        "num_features": len(names),
        "names": names,
        "poses": options.model_dump(mode="json"),
    }
    with write_aside(own / "features.json") as aside:
        aside.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
