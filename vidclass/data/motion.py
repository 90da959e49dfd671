"""Motion instead of colours: pictures of what changes from one stored frame to the next.

They are a store of their own beside the frame store, made once and read as frames are, by any
model, with any choice of clips::

    difference   128 + (frame - the one before), three colours
    flow         optical flow from the frame before: to the right, down, and how far; 128 is none,
                 20 pixels of the store are at both ends, as published two-stream nets have it

The first frame of a video shows what its second one does. Flow is found by iterated Lucas-Kanade
(Lucas and Kanade, 1981) from coarse to fine. A flow made elsewhere can be used as it is: as videos
of such pictures.

Legend: T frames, H height, W width, b pairs of frames.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from filelock import FileLock

from vidclass.data.frame_store import (
    FrameStore,
    is_complete,
    num_bytes,
    torn_shards,
    write_store,
)
from vidclass.data.node_cache import node_copy
from vidclass.home import write_aside

__all__ = ["FLOW_RANGE", "NO_MOTION", "Input", "motion_frames", "optical_flow", "prepare_motion"]

Input = Literal["rgb", "difference", "flow"]
Frames = npt.NDArray[np.uint8]

NO_MOTION = 128
FLOW_RANGE = 20.0  # pixels that the largest value stands for
VERSION = 1  # of what is computed here
PART_BYTES = 256 * 2**20
CHUNK_FRAMES = 32

COARSEST_SIDE = 12  # pixels; below that there is nothing to track
ITERATIONS = 4
WINDOW = 9  # pixels over which a motion is taken as one
STEADY = 4.0  # added to the squared gradients (of 0..255): flat places stay where they are
LONGEST_STEP = 1.5  # pixels of a level that one iteration may move


def motion_frames(frames_THWC: Frames, what: Input) -> Frames:
    """Return the motion pictures of a video, uint8 ``[T, H, W, 3]``.

    Args:
        frames_THWC: uint8, in order of time.
        what: ``difference`` or ``flow``; ``rgb`` gives the frames themselves.
    """
    if what == "rgb":
        return frames_THWC
    if len(frames_THWC) < 2:
        return np.full_like(frames_THWC, NO_MOTION)
    make = _differences if what == "difference" else _flows
    parts = [make(part) for part in _pairs(frames_THWC)]
    later = np.concatenate(parts)
    return np.concatenate([later[:1], later])


def _pairs(frames_THWC: Frames) -> Iterator[Frames]:
    """Yield stretches of a video that overlap by a frame."""
    for start in range(0, len(frames_THWC) - 1, CHUNK_FRAMES):
        yield np.asarray(frames_THWC[start : start + CHUNK_FRAMES + 1])


def _differences(frames_THWC: Frames) -> Frames:
    changed = frames_THWC[1:].astype(np.int16) - frames_THWC[:-1]
    pictures: Frames = (np.clip(changed, -127, 127) + NO_MOTION).astype(np.uint8)
    return pictures


def _flows(frames_THWC: Frames) -> Frames:
    grey_THW = torch.from_numpy(frames_THWC.mean(axis=3, dtype=np.float32))
    flow_b2HW = optical_flow(grey_THW[:-1], grey_THW[1:])
    far_b1HW = flow_b2HW.norm(dim=1, keepdim=True)
    scaled = torch.cat([flow_b2HW, far_b1HW], dim=1) * (127 / FLOW_RANGE)
    # 1 to 255, so that a mirrored one is exact.
    pictures: Frames = (scaled.round().clamp(-127, 127) + NO_MOTION).byte().numpy()
    return np.ascontiguousarray(pictures.transpose(0, 2, 3, 1))


def optical_flow(before_bHW: torch.Tensor, after_bHW: torch.Tensor) -> torch.Tensor:
    """Return how far each place moves from one frame to the next: right and down, in pixels.

    Args:
        before_bHW: grey frames, 0 to 255.
        after_bHW: the frame after each.

    Returns:
        ``flow_b2HW``: what is at x before is at x + flow after.
    """
    levels = [(before_bHW[:, None], after_bHW[:, None])]
    while min(levels[-1][0].shape[2:]) >= 2 * COARSEST_SIDE:
        levels.append(tuple(F.avg_pool2d(x, 2) for x in levels[-1]))  # type: ignore[arg-type]
    flow_b2HW = torch.zeros_like(levels[-1][0]).repeat(1, 2, 1, 1)
    for first_b1HW, second_b1HW in reversed(levels):
        size = first_b1HW.shape[2:]
        if flow_b2HW.shape[2:] != size:
            flow_b2HW = 2 * F.interpolate(flow_b2HW, size=size, mode="bilinear")
        for _ in range(ITERATIONS):
            flow_b2HW = flow_b2HW + _step(first_b1HW, second_b1HW, flow_b2HW)
    return flow_b2HW


def _step(first: torch.Tensor, second: torch.Tensor, flow_b2HW: torch.Tensor) -> torch.Tensor:
    """Return what one iteration adds to the flow: least squares over a window round each place."""
    moved = _warped(second, flow_b2HW)
    right, down = _gradients((first + moved) / 2)
    change = moved - first
    products = torch.cat(
        [right * right, right * down, down * down, right * change, down * change], dim=1
    )
    # Averaged twice: one box would turn fine ripples of the flow over, and feed them.
    sums = _averaged(_averaged(products))
    rr, rd, dd, rc, dc = sums.chunk(5, dim=1)
    rr, dd = rr + STEADY, dd + STEADY
    determinant = rr * dd - rd * rd
    step = torch.cat([rd * dc - dd * rc, rd * rc - rr * dc], dim=1) / determinant
    bounded: torch.Tensor = step.clamp(-LONGEST_STEP, LONGEST_STEP)
    return bounded


def _averaged(x_bCHW: torch.Tensor) -> torch.Tensor:
    padded = F.pad(x_bCHW, [WINDOW // 2] * 4, mode="replicate")
    return F.avg_pool2d(padded, WINDOW, stride=1)


def _gradients(x_b1HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    padded = F.pad(x_b1HW, [1, 1, 1, 1], mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    return right, down


def _warped(x_b1HW: torch.Tensor, flow_b2HW: torch.Tensor) -> torch.Tensor:
    """Return the frame as seen from where each place came from."""
    height, width = x_b1HW.shape[2:]
    rows = torch.arange(height, dtype=torch.float32)[:, None] + flow_b2HW[:, 1]
    columns = torch.arange(width, dtype=torch.float32) + flow_b2HW[:, 0]
    # grid_sample counts from -1 to 1, the middles of the outer pixels inside.
    grid_bHW2 = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=3)
    return F.grid_sample(x_b1HW, grid_bHW2, padding_mode="border", align_corners=False)


def prepare_motion(frames: FrameStore, folder: Path, what: Input) -> FrameStore:
    """Return the store of motion pictures of ``frames``, made where it is not there.

    One process makes it while others that want it wait; after a crash the next one goes on.

    Args:
        frames: the stored frames, in order of time.
        folder: the folder of all stores.
        what: which pictures; ``rgb`` gives ``frames``.
    """
    if what == "rgb":
        return frames
    shape = f"{VERSION}\0{what}\0{frames.path.name}"
    own = folder / hashlib.sha256(shape.encode()).hexdigest()[:20]
    if not is_complete(own):
        own.mkdir(parents=True, exist_ok=True)
        with FileLock(own / "build.lock"):
            if not is_complete(own):  # another process may have been first
                _build(frames, own, what)
    return FrameStore.open(own)


def _build(frames: FrameStore, own: Path, what: Input) -> None:
    for leftover in own.glob(".*.aside"):
        leftover.unlink(missing_ok=True)
    index = frames.index.drop(columns="num_bytes", errors="ignore")
    sizes = num_bytes(index)
    part = (sizes.cumsum() - sizes) // PART_BYTES
    index = index.assign(
        shard=[f"{int(number):05d}.rgb" for number in part],
        offset=sizes.groupby(part).cumsum() - sizes,
        num_bytes=sizes,
    )
    copy = node_copy(own)
    missing = torn_shards(own, index)
    for shard, rows in index[index["shard"].isin(list(missing))].groupby("shard"):
        path = own / str(shard)
        with write_aside(path) as aside, aside.open("wb") as file:
            for video_id in rows["video_id"]:
                file.write(motion_frames(np.asarray(frames.frames(video_id)), what).tobytes())
        if copy is not None:
            copy.push([str(shard)])
    options = {**frames.about.get("options", {}), "format": "raw", "greyscale": False}
    about = {**frames.about, "options": options, "input": what, "of": frames.path.name}
    manifest = pd.read_parquet(frames.path / "manifest.parquet")
    write_store(own, index, manifest, about)
