"""Small recordings of a square that now and then runs and now and then is bright."""

from pathlib import Path

import av
import numpy as np
import pandas as pd

FPS = 10
SIDE = 32
CLASSES = ["bright", "run"]


def write_recordings(folder: Path, *, num_recordings: int = 30, num_frames: int = 48) -> Path:
    """Write videos and ``timestamps.csv``, one row a bout; running and brightness overlap.

    Returns:
        The folder, which the reader ``timestamps`` reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    rows = []
    for number in range(num_recordings):
        name = f"animal{number:02d}.mp4"
        on_TK = np.stack([_bouts(generator, num_frames) for _ in CLASSES], axis=1)
        _write_video(folder / name, on_TK, generator)
        for k, label in enumerate(CLASSES):
            steps = np.diff(np.concatenate([[0], on_TK[:, k].astype(int), [0]]))
            for first, stop in zip(
                np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True
            ):
                rows.append((name, first / FPS, stop / FPS, label, f"animal{number:02d}"))
    columns = ["video", "time_start", "time_end", "label", "group"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "timestamps.csv", index=False)
    return folder


def _bouts(generator: np.random.Generator, num_frames: int) -> np.ndarray:
    """Return a state that changes every 8 to 15 frames."""
    on, state = [], bool(generator.integers(2))
    while len(on) < num_frames:
        on += [state] * int(generator.integers(8, 16))
        state = not state
    return np.array(on[:num_frames])


def _write_video(path: Path, on_TK: np.ndarray, generator: np.random.Generator) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "threads": "1", "crf": "18"}
        top, left = generator.integers(0, SIDE, 2)
        for bright, run in on_TK:
            left += 3 * int(run)
            picture = np.full((SIDE, SIDE, 3), 40, dtype=np.uint8)
            rows, columns = (top + np.arange(10)) % SIDE, (left + np.arange(10)) % SIDE
            picture[np.ix_(rows, columns)] = 240 if bright else 110
            picture += generator.integers(0, 10, picture.shape, dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
