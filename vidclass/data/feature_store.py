"""The feature store: what a frozen backbone makes of every stored frame, computed once.

It lies beside the frame store that it was made from, in a folder ``home/store/KEY``::

    features.json   what shaped the numbers; written last, so its presence means "complete"
    index.parquet   video_id, part, first_row, T
    NNNNN.f32       a part: features [frames, D] float32 of several videos, one after the other

Parts are memory-mapped read-only. They are the unit of resuming: a part that is there is whole.

Legend: T frames, b frames of a batch, S input size, D features.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from filelock import FileLock

from vidclass.data.crops import (
    Corner,
    Geometry,
    corner_patch,
    cut,
    place,
    resize,
)
from vidclass.data.frame_store import FrameStore
from vidclass.data.node_cache import node_copy
from vidclass.data.video_frames import VideoFrames
from vidclass.errors import UserError
from vidclass.home import write_aside

__all__ = [
    "Built",
    "FeatureRecipe",
    "FeatureStore",
    "Features",
    "feature_key",
    "prepare_features",
]

LAYOUT_VERSION = 1
TABLES = ("index.parquet", "features.json")
PART_FRAMES = 4096  # 32 MiB of 2,048 features; minutes of a large backbone on a CPU
BATCH_FRAMES = 32
SECONDS_BETWEEN_NOTES = 10.0

Features = npt.NDArray[np.float32]
Encode = Callable[[torch.Tensor], torch.Tensor]
"""uint8 frames ``[b, S, S, 3]`` to ``f_bD``."""


@dataclass(frozen=True)
class FeatureRecipe:
    """All that shapes the features of a frame, but the frame itself.

    Args:
        backbone: name of the net.
        weights_hash: SHA-256 of the file of its weights, or ``none``.
        pooling: how its last map becomes a vector.
        num_features: length of that vector (D).
        mean: a colour, subtracted from the pixels.
        std: a colour, by which they are then divided.
        input_size: height and width of the frames that it sees.
        geometry: how a frame becomes square; the middle is what is cut out.
        scale: input sizes to which the side is scaled before the cut.
        corner: a control: only this corner is seen.
        corner_share: its side, as a share of the frame's short side.
    """

    backbone: str
    weights_hash: str
    pooling: str
    num_features: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    input_size: int
    geometry: Geometry
    scale: float = 1.0
    corner: Corner | None = None
    corner_share: float = 0.25


@dataclass(frozen=True)
class Built:
    """What it took until the features were there.

    Attributes:
        num_frames: frames that this call computed.
        seconds: time in which it did.
        seconds_waited: time for which another process that computed them was waited for.
    """

    num_frames: int = 0
    seconds: float = 0.0
    seconds_waited: float = 0.0


def feature_key(store_key: str, recipe: FeatureRecipe) -> str:
    """Return the name of the store of features: a hash of the frames' and of the recipe."""
    shape = {"layout": LAYOUT_VERSION, "frames": store_key, **asdict(recipe)}
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:20]


class FeatureStore:
    """Read-only view of complete features; picklable (it re-opens by path)."""

    def __init__(self, path: Path, index: pd.DataFrame, num_features: int) -> None:
        self.path = path
        self.num_features = num_features
        rows = index[["first_row", "T"]].to_numpy(np.int64).tolist()
        names, parts = index["video_id"].tolist(), index["part"].tolist()
        self._place = {
            name: (part, *row) for name, part, row in zip(names, parts, rows, strict=True)
        }
        self._mapped: dict[str, Features] = {}

    @classmethod
    def open(cls, path: Path | str) -> "FeatureStore":
        """Open the features in ``path``.

        Raises:
            UserError: when they are not complete, or a part is absent or torn.
        """
        folder = Path(path)
        if not is_complete(folder):
            raise UserError(
                "a store of features holds a features.json, written when it is complete",
                folder,
                "run the study again: it continues the build",
            )
        num_features = int(json.loads((folder / "features.json").read_text())["num_features"])
        index = pd.read_parquet(folder / "index.parquet")
        rows = index.groupby("part")["T"].sum()
        sizes = {str(part): int(count) for part, count in rows.items()}
        torn = _missing(folder, sizes, num_features)
        if torn:
            raise UserError(
                f"every part of {folder} has the size that its index says",
                f"{', '.join(torn[:5])} absent or of another size",
                f"remove {folder / 'features.json'} and run again: whole parts are kept",
            )
        return cls(folder, index, num_features)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        """Pickle as the path: mapped parts never travel between processes."""
        return (FeatureStore.open, (str(self.path),))

    def __contains__(self, video_id: str) -> bool:
        """Say whether the features of ``video_id`` are stored."""
        return video_id in self._place

    def features(self, video_id: str) -> Features:
        """Return the features of all stored frames of a video, a view, float32 ``[T, D]``.

        Raises:
            UserError: when they are not stored.
        """
        if video_id not in self._place:
            raise UserError(
                "every video has features",
                f"{video_id} has none in {self.path}",
                "run the study again on the store that it was prepared with",
            )
        part, first, count = self._place[video_id]
        if part not in self._mapped:
            copy = node_copy(self.path)
            file = self.path / part if copy is None else copy.local(part)
            mapped = np.memmap(file, dtype=np.float32, mode="r")
            self._mapped[part] = mapped.view(np.ndarray).reshape(-1, self.num_features)
        return self._mapped[part][first : first + count]


def is_complete(folder: Path) -> bool:
    """Say whether the features in ``folder`` are complete, here or in the depot."""
    copy = node_copy(folder)
    return (folder / "features.json").exists() if copy is None else copy.bring(TABLES)


def _missing(folder: Path, num_rows: dict[str, int], num_features: int) -> list[str]:
    """Return the parts that are absent or torn, here or, where there is one, in the depot."""
    copy = node_copy(folder)
    if copy is None:
        sizes = {path.name: path.stat().st_size for path in folder.glob("*.f32")}
    else:
        sizes = copy.sizes()
    return [part for part, n in num_rows.items() if sizes.get(part) != 4 * n * num_features]


def prepare_features(
    frames: FrameStore,
    folder: Path,
    recipe: FeatureRecipe,
    make_encode: Callable[[], Encode],
    note: Callable[[str], None] = print,
) -> tuple[FeatureStore, Built]:
    """Return the features of all videos of ``frames``; compute those that are not there.

    One process computes while others that want the same wait. After a crash the next one goes on
    with the part that was being made.

    Args:
        frames: the stored frames.
        folder: the folder of all stores.
        recipe: what shapes the features.
        make_encode: makes the backbone; called where something is computed.
        note: takes a line on how far it is, now and then.
    """
    own = folder / feature_key(frames.path.name, recipe)
    if is_complete(own):
        return FeatureStore.open(own), Built()
    own.mkdir(parents=True, exist_ok=True)
    asked = time.perf_counter()
    with FileLock(own / "build.lock"):
        started = time.perf_counter()
        num_frames = 0
        if not is_complete(own):  # another process may have been first
            num_frames = _build(frames, own, recipe, make_encode, note)
        built = Built(num_frames, time.perf_counter() - started, started - asked)
    return FeatureStore.open(own), built


def _build(
    frames: FrameStore,
    own: Path,
    recipe: FeatureRecipe,
    make_encode: Callable[[], Encode],
    note: Callable[[str], None],
) -> int:
    """Compute the parts that are missing, then write the index; return the frames computed."""
    for leftover in own.glob(".*.aside"):
        leftover.unlink(missing_ok=True)
    index = _plan(frames.index)
    sizes = {str(part): int(n) for part, n in index.groupby("part")["T"].sum().items()}
    missing = _missing(own, sizes, recipe.num_features)
    copy = node_copy(own)
    clock = _Clock(sum(sizes[part] for part in missing), recipe.backbone, note)
    encode = make_encode() if missing else None
    for part in missing:
        assert encode is not None
        video_ids = index.loc[index["part"] == part, "video_id"]
        with write_aside(own / part) as aside, aside.open("wb") as file:
            for f_bD in _encoded(frames, video_ids.tolist(), recipe, encode):
                file.write(np.ascontiguousarray(f_bD, dtype=np.float32).data)
                clock.done(len(f_bD))
        if copy is not None:
            copy.push([part])
    with write_aside(own / "index.parquet") as aside:
        index.to_parquet(aside, index=False)
    about = {"layout": LAYOUT_VERSION, "frames": frames.path.name, **asdict(recipe)}
    with write_aside(own / "features.json") as aside:
        aside.write_text(json.dumps(about, indent=2, sort_keys=True) + "\n")
    if copy is not None:
        copy.push(TABLES)
    return clock.num_done


def _plan(index: pd.DataFrame) -> pd.DataFrame:
    """Return the part and the row of every video, the same whoever asks."""
    videos = index[["video_id", "T"]].sort_values("video_id", ignore_index=True)
    before = videos["T"].cumsum() - videos["T"]
    number = before // PART_FRAMES
    first_row = before - before.groupby(number).transform("min")
    return videos.assign(part=[f"{int(n):05d}.f32" for n in number], first_row=first_row)


def _encoded(
    frames: FrameStore, video_ids: list[str], recipe: FeatureRecipe, encode: Encode
) -> Iterator[Features]:
    """Yield the features of all frames of the videos, in order, in full batches."""
    size = recipe.input_size
    waiting: list[npt.NDArray[np.uint8]] = []
    num_waiting = 0
    for video_id in video_ids:
        stored = frames.frames(video_id)
        for start in range(0, stored.shape[0], BATCH_FRAMES):
            shown = slice(start, min(start + BATCH_FRAMES, stored.shape[0]))
            out = np.empty((shown.stop - shown.start, size, size, 3), dtype=np.uint8)
            _show(stored, shown, recipe, out)
            waiting.append(out)
            num_waiting += len(out)
            while num_waiting >= BATCH_FRAMES:
                joined = np.concatenate(waiting)
                yield _numbers(encode(torch.from_numpy(joined[:BATCH_FRAMES])))
                waiting, num_waiting = [joined[BATCH_FRAMES:]], num_waiting - BATCH_FRAMES
    if num_waiting:
        yield _numbers(encode(torch.from_numpy(np.concatenate(waiting))))


def _numbers(f_bD: torch.Tensor) -> Features:
    numbers: Features = f_bD.float().cpu().numpy()
    return numbers


def _show(
    stored: VideoFrames, shown: slice, recipe: FeatureRecipe, out: npt.NDArray[np.uint8]
) -> None:
    """Write frames into ``out [b, S, S, 3]`` as an evaluation shows them: their middle."""
    if recipe.corner:
        patch = corner_patch(stored[shown], recipe.corner, recipe.corner_share)
        out[:] = resize(patch, recipe.input_size, recipe.input_size)
    else:
        middle = place("centre", 0, height=out.shape[1], width=out.shape[2])
        cut(stored, shown, middle, recipe.geometry, out, recipe.scale)


class _Clock:
    """Tells now and then how far the features are."""

    def __init__(self, num_all: int, backbone: str, note: Callable[[str], None]) -> None:
        self.num_done = 0
        self._num_all, self._backbone, self._note = num_all, backbone, note
        self._started = self._noted = time.monotonic()

    def done(self, count: int) -> None:
        """Count frames that were computed."""
        self.num_done += count
        now = time.monotonic()
        if now - self._noted >= SECONDS_BETWEEN_NOTES or self.num_done == self._num_all:
            self._noted = now
            rate = self.num_done / max(now - self._started, 1e-9)
            left = (self._num_all - self.num_done) / rate
            self._note(
                f"features of {self._backbone}: {self.num_done:,} of {self._num_all:,} frames, "
                f"{rate:.0f} a second, {left:.0f} s left"
            )
