"""A job gives the same weights as the first and as the tenth in one process, to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from vidclass.data.frame_store import write_store
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.home import store_folder
from vidclass.sweep.division import divide
from vidclass.sweep.engine import Engine, Job
from vidclass.sweep.identity import session_facts
from vidclass.sweep.job import run_job
from vidclass.sweep.load import load_study_file
from vidclass.training.checkpoints import CheckpointFolder

NUM_VIDEOS, NUM_FRAMES, SIDE = 48, 12, 32
CLASSES = ["down", "left", "right", "up"]
STORE = "made_of_noise"


@pytest.fixture
def engine(home: Path) -> Engine:
    """The smoke study, with more trials, over videos of noise: weights are compared, not scores."""
    loaded = load_study_file("smoke", overrides=("budget.trials=3",))
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
        store_key=STORE,
        classes=CLASSES,
        folds=1,
    )
    return engine


def make_store(folder: Path) -> pd.DataFrame:
    """Write a frame store of noise and return its manifest."""
    shape = (NUM_VIDEOS, NUM_FRAMES, SIDE, SIDE, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    folder.mkdir(parents=True)
    (folder / "a.rgb").write_bytes(frames.tobytes())
    names = [f"{n:02d}.mp4" for n in range(NUM_VIDEOS)]
    rows = pd.DataFrame({"video_id": names, "path": names, "group": names, "split": None})
    rows["label"] = [CLASSES[n % len(CLASSES)] for n in range(NUM_VIDEOS)]
    manifest = new_manifest(rows)
    facts = {"num_frames": NUM_FRAMES, "fps": 10.0, "width": SIDE, "height": SIDE}
    facts |= {"duration_s": NUM_FRAMES / 10, "bitrate_bps": 1000.0, "size_bytes": 1000.0}
    manifest = manifest.assign(**facts, content_hash=names)
    offsets = np.arange(NUM_VIDEOS) * frames[0].nbytes
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb", "offset": offsets})
    index = index.assign(T=NUM_FRAMES, H=SIDE, W=SIDE, fps=10.0)
    write_store(folder, index, manifest, {})
    return manifest


def best_weights(job: Job, engine: Engine) -> dict[str, torch.Tensor]:
    """Carry out ``job`` apart from the study and return its best weights."""
    names: list[str] = []

    def report(message: str, payload: dict[str, Any]) -> None:
        if message == "epoch" and payload["best"]:
            names.append(f"best-{payload['checkpoint']}")

    run_job(job, engine.home, report)
    folder = engine.folder / "checkpoints" / job["trial"]
    return CheckpointFolder(folder, job["attempt"]).load_weights(names[-1])


def test_the_tenth_job_of_a_process_gives_the_weights_of_the_first(engine: Engine) -> None:
    jobs: list[Job] = []
    first: dict[str, torch.Tensor] = {}
    while (job := engine.propose()) is not None:
        if job["kind"] == "search" and not first:
            again = {**job, "trial": "apart"}
            first = best_weights(again, engine)
        trial, attempt = job["trial"], job["attempt"]

        def report(
            message: str, payload: dict[str, Any], trial: str = trial, attempt: int = attempt
        ) -> None:
            engine.on_message(trial, attempt, message, payload)

        run_job(job, engine.home, report)
        jobs.append(job)
    assert engine.finished == "complete"
    assert {job["kind"] for job in jobs} == {"floors", "search", "final", "control", "fewer_videos"}
    assert len(jobs) >= 9

    tenth = best_weights(again, engine)
    assert tenth.keys() == first.keys()
    for name, weight in first.items():
        assert torch.equal(tenth[name], weight), name
    engine.close()
