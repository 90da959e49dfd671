"""Clips by Ray Data's streaming_split: each reaches one worker once an epoch, in its place."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from vidclass.data.frame_store import FrameStore, write_store
from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.data.streaming import GivenStream, SplitStream
from vidclass.training.batches import cut, epoch_order
from vidclass.training.workers import Workers

NUM_VIDEOS, SIDE, NUM_FRAMES = 23, 16, 6
BATCH = 6


@pytest.fixture
def data(tmp_path: Path) -> ClipDataset:
    """Clips of videos of noise."""
    shape = (NUM_VIDEOS, NUM_FRAMES, SIDE, SIDE, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    frames.tofile(tmp_path / "noise.rgb")
    names = [f"v{n:02d}" for n in range(NUM_VIDEOS)]
    index = pd.DataFrame({"video_id": names, "shard": "noise.rgb"}).assign(
        offset=np.arange(NUM_VIDEOS) * frames[0].size, T=NUM_FRAMES, H=SIDE, W=SIDE, fps=10.0
    )
    write_store(tmp_path, index, index[["video_id"]], {})
    table = pd.DataFrame({"video_id": names, "label_id": 0, "group": names})
    return ClipDataset(
        FrameStore.open(tmp_path),
        table,
        window=Window(span_s=0.4, num_frames=4),
        positions=FramePositions((0, 1, 2, 3)),
        input_size=SIDE,
    )


def streamed(data: ClipDataset, size: int, epochs: tuple[int, ...]) -> list[list[torch.Tensor]]:
    """Return what each of ``size`` workers is given in all passes, one thread a worker."""
    given = [GivenStream(rank, size) for rank in range(1, size)]
    streams = [SplitStream(data, data, [stream.give for stream in given]), *given]
    found: list[list[torch.Tensor]] = [[] for _ in streams]

    def take(rank: int) -> None:
        for epoch in epochs:
            parts = parts_of(size, epoch)
            found[rank] += streams[rank].clips(parts, epoch=epoch, train=True)

    threads = [threading.Thread(target=take, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    return found


def parts_of(size: int, epoch: int) -> list[np.ndarray]:
    """Return the parts of all workers, step by step."""
    batches = cut(epoch_order(np.zeros(NUM_VIDEOS, dtype=np.int64), seed=3, epoch=epoch), BATCH)
    return [part.clips_P for batch in batches for part in Workers(0, size).parts(batch)]


@pytest.mark.parametrize("size", [2, 3])
def test_each_worker_is_given_what_it_would_have_read(
    data: ClipDataset, size: int, small_ray: None
) -> None:
    found = streamed(data, size, epochs=(1, 2))
    for rank, clips in enumerate(found):
        own = [(epoch, part) for epoch in (1, 2) for part in parts_of(size, epoch)[rank::size]]
        assert len(clips) == len(own)
        for x_PTHWC, (epoch, clips_P) in zip(clips, own, strict=True):
            assert torch.equal(x_PTHWC, data.read(clips_P, epoch=epoch, train=True))


def test_every_clip_reaches_one_worker_once_an_epoch() -> None:
    for size in (2, 3, 4):
        for epoch in (1, 2):
            order = epoch_order(np.zeros(NUM_VIDEOS, dtype=np.int64), seed=3, epoch=epoch)
            batches = cut(order, BATCH)
            real = [
                clip
                for rank in range(size)
                for batch in batches
                for clip in Workers(rank, size)
                .part(batch)
                .clips_P[: Workers(rank, size).part(batch).num_real]
            ]
            assert sorted(real) == list(range(NUM_VIDEOS))
