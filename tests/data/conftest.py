"""Small real videos, made with PyAV, and stores made of arrays."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from vidclass.data.frame_store import FrameStore, write_store

# A machine that is busy with something else makes an example slow, not wrong.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


def _write_video(
    path: Path,
    num_frames: int = 12,
    size: tuple[int, int] = (32, 32),
    fps: int = 10,
    seed: int = 0,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write H.264 frames: random squares of 8 pixels that roll; ``size`` is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    picture = coarse[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)[: size[0], : size[1]]
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "threads": "1"}
        for k in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, k, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _write_audio(path: Path) -> Path:
    """Write an MP4 that holds sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for k in range(20):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 44100, k * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    """``write_video(path, num_frames=12, size=(32, 32), fps=10, seed=0)`` makes an H.264 file."""
    return _write_video


@pytest.fixture(scope="session")
def write_audio() -> Callable[..., Path]:
    """``write_audio(path)`` makes an MP4 that holds sound only."""
    return _write_audio


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., FrameStore]:
    """``make_store([(T, H, W), ...], fps=10)`` makes a store of random videos v0, v1, ..."""

    def make(shapes: list[tuple[int, int, int]], fps: float = 10.0) -> FrameStore:
        generator = np.random.default_rng(0)
        arrays = [generator.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
        folder = tmp_path / "store"
        folder.mkdir()
        (folder / "a.rgb").write_bytes(b"".join(array.tobytes() for array in arrays))
        sizes = [array.nbytes for array in arrays]
        index = pd.DataFrame(shapes, columns=["T", "H", "W"])
        index.insert(0, "video_id", [f"v{n}" for n in range(len(shapes))])
        index.insert(1, "shard", "a.rgb")
        index.insert(2, "offset", np.cumsum([0, *sizes[:-1]]))
        index["fps"] = fps
        write_store(folder, index, index, {})
        return FrameStore.open(folder)

    return make
