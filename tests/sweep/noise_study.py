"""A study over videos of noise, carried out job by job in this process: no Ray, no decoding."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from vidclass.data.frame_store import write_store
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.home import store_folder
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.job import run_job
from vidclass.sweep.load import load_study_file
from vidclass.sweep.prepare import divide

NUM_VIDEOS, NUM_FRAMES, SIDE = 24, 12, 32
CLASSES = ["down", "up"]
STORE = "made_of_noise"


def noise_engine(file: Path, home: Path) -> Engine:
    """Return the engine of the study in ``file``, its data ready."""
    loaded = load_study_file(str(file))
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    manifest = make_store(store_folder(home) / STORE)
    splits = divide(manifest, loaded.spec.data)
    write_manifest(manifest, engine.folder / "manifest.parquet")
    splits.to_parquet(engine.folder / "splits.parquet", index=False)
    engine.append(
        "data_ready",
        content_hash="c" * 64,
        split_hash="s" * 64,
        num_videos=NUM_VIDEOS,
        num_groups=NUM_VIDEOS,
        store_key=STORE,
        classes=CLASSES,
        folds=1,
    )
    return engine


def make_store(folder: Path) -> pd.DataFrame:
    shape = (NUM_VIDEOS, NUM_FRAMES, SIDE, SIDE, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    folder.mkdir(parents=True)
    (folder / "a.rgb").write_bytes(frames.tobytes())
    names = [f"{n:02d}.mp4" for n in range(NUM_VIDEOS)]
    rows = pd.DataFrame({"video_id": names, "path": names, "group": names, "split": None})
    rows["label"] = [CLASSES[n % len(CLASSES)] for n in range(NUM_VIDEOS)]
    facts = {"num_frames": NUM_FRAMES, "fps": 10.0, "width": SIDE, "height": SIDE}
    facts |= {"duration_s": NUM_FRAMES / 10, "bitrate_bps": 1000.0, "size_bytes": 1000.0}
    manifest = new_manifest(rows).assign(**facts, content_hash=names)
    offsets = np.arange(NUM_VIDEOS) * frames[0].nbytes
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb", "offset": offsets})
    index = index.assign(T=NUM_FRAMES, H=SIDE, W=SIDE, fps=10.0)
    write_store(folder, index, manifest, {})
    return manifest


def run_all(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """Run the study to its end; return kind of job and what it reported as prepared."""
    prepared = []
    while (job := engine.propose()) is not None:

        def report(message: str, payload: dict[str, Any], job: dict[str, Any] = job) -> None:
            if message == "prepared":
                prepared.append((job["kind"], payload))
            engine.on_message(job["trial"], job["attempt"], message, payload)

        run_job(job, engine.home, report)
    assert engine.finished == "complete"
    return prepared
