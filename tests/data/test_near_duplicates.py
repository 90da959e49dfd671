"""Files that show the same footage are found, whatever was done to them; others are not."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from vidclass.data.frame_store import FrameStore
from vidclass.data.near_duplicates import near_duplicates, stored_copies
from vidclass.data.scan import scan_video
from vidclass.data.signatures import SIDE, Signature

Frames = npt.NDArray[np.uint8]
FPS, SECONDS, HEIGHT, WIDTH = 20, 4, 96, 128


def footage(seed: int, scene: int = 0) -> Frames:
    """Three discs that wander before the wall ``scene``, as seen by a camera that stands still."""
    walls = np.random.default_rng(scene).integers(40, 200, (6, 8, 3), dtype=np.uint8)
    wall = np.asarray(Image.fromarray(walls).resize((WIDTH, HEIGHT)))
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    frames = np.repeat(wall[None], FPS * SECONDS, axis=0).copy()
    for _ in range(3):
        steps = generator.normal(0, 3.0, (FPS * SECONDS, 2)).cumsum(axis=0)
        place = generator.uniform(20, 76, 2) + steps
        colour = generator.integers(0, 256, 3)
        for frame, (row, column) in zip(frames, place, strict=True):
            frame[(rows - row % HEIGHT) ** 2 + (columns - column % WIDTH) ** 2 < 144] = colour
    return frames


def write(path: Path, frames: Frames, fps: int = FPS, crf: int = 20) -> Path:
    """Write frames as H.264."""
    with av.open(str(path), "w") as container:
        options = {"preset": "ultrafast", "threads": "1", "crf": str(crf)}
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def seen(path: Path) -> Signature:
    row = scan_video(str(path))
    assert row["status"] == "ok", row["reason"]
    return Signature(
        row["step_s"],
        np.frombuffer(row["small"], np.uint8).reshape(-1, SIDE, SIDE),
        np.frombuffer(row["hashes"], np.uint64),
        row["moves"],
    )


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Signature]:
    """Six videos of one scene and two of another."""
    folder = tmp_path_factory.mktemp("originals")
    return {
        f"v{seed}": seen(write(folder / f"{seed}.mp4", footage(seed, scene=seed // 6)))
        for seed in range(8)
    }


def grey(frames: Frames) -> Frames:
    pictures = [np.asarray(Image.fromarray(frame).convert("L")) for frame in frames]
    return np.stack(pictures)[..., None].repeat(3, axis=3)


def half_size(frames: Frames) -> Frames:
    return np.stack([np.asarray(Image.fromarray(f).resize((64, 48))) for f in frames])


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (lambda frames: frames, {"crf": 38}),
        (half_size, {}),
        (lambda frames: frames[::2], {"fps": FPS // 2}),
        (lambda frames: (frames * 0.7 + 40).astype(np.uint8), {}),
        (lambda frames: frames[FPS // 2 :], {}),
        (lambda frames: frames[: 3 * FPS], {}),
        (grey, {}),
    ],
    ids=["compressed", "half size", "half rate", "paler", "begin cut", "end cut", "grey"],
)
def test_a_changed_copy_is_found_and_nothing_else(
    originals: dict[str, Signature],
    tmp_path: Path,
    change: Callable[[Frames], Frames],
    options: dict[str, int],
) -> None:
    copy = write(tmp_path / "copy.mp4", change(footage(3)), **options)
    pairs = near_duplicates({**originals, "copy": seen(copy)})
    assert pairs[["video_a", "video_b"]].to_numpy().tolist() == [["copy", "v3"]]
    assert "the same footage" in pairs["told"][0]


def test_a_cut_begin_is_told_as_a_shift(originals: dict[str, Signature], tmp_path: Path) -> None:
    copy = write(tmp_path / "copy.mp4", footage(3)[FPS:])
    (row,) = near_duplicates({**originals, "copy": seen(copy)}).itertuples()
    assert row.shift_s == pytest.approx(1.0)  # what the copy shows, v3 shows a second later


def test_videos_of_one_scene_are_no_copies(originals: dict[str, Signature]) -> None:
    assert near_duplicates(originals).empty


def test_stills_are_copies_when_they_show_the_same_picture(tmp_path: Path) -> None:
    stills = {
        name: seen(write(tmp_path / f"{name}.mp4", footage(0, scene)[:1].repeat(40, axis=0), crf=c))
        for name, scene, c in (("a", 0, 20), ("b", 0, 35), ("c", 1, 20))
    }
    black = np.zeros((40, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for name in ("black1", "black2"):
        stills[name] = seen(write(tmp_path / f"{name}.mp4", black))
    pairs = near_duplicates(stills)
    assert pairs[["video_a", "video_b"]].to_numpy().tolist() == [["a", "b"]]


def test_stored_frames_tell_copies_too(make_store: Callable[..., FrameStore]) -> None:
    store = make_store([(40, 24, 32), (40, 24, 32)])
    calls: list[tuple[str, int, int]] = []
    assert stored_copies(store, ["v0", "v1"], lambda *call: calls.append(call)).empty
    assert calls == [("copies", 1, 2), ("copies", 2, 2)]


def test_no_video_has_no_copy() -> None:
    assert near_duplicates({}).empty
