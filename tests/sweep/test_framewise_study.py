"""Arms on single windows and on whole recordings, trained on and scored by the same labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sweep.noise_study import run_all
from vidclass.data.frame_store import write_store
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.errors import UserErrors
from vidclass.home import store_folder
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import session_facts
from vidclass.sweep.load import load_study_file, parse_study
from vidclass.sweep.prepare import SAMPLES_FILE, divide
from vidclass.sweep.state import Final

NUM_VIDEOS, NUM_FRAMES, SIDE, BLOCK = 12, 96, 32, 12
STORE = "two_states"
STUDY = """
study: recordings
data:
  input_size: 32
  windows: {length_frames: 4, stride_frames: 2, label_from: centre}
  window: {span_s: 0.4, num_frames: 4}
  split: {folds: null, valid_share: 0.25, test_share: 0.25}
train: {batch_size: 4, lr: 0.01}
budget: {trials: 1, epochs: EPOCHS}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 1, fewer_videos: []}
arms:
  - name: window
    model: backbone_single_frame
    fixed: {backbone: squeezenet1_1, weights: none, batch_size: 64}
  - name: recording
    model: ms_tcn
    fixed:
      {backbone: squeezenet1_1, weights: none, num_steps: 24, num_stages: 2, num_layers: 4,
       num_channels: 16, dropout: 0.0}
"""


def two_states(home: Path, file: Path) -> Engine:
    """A study of recordings that change between two states, which a noisy frame hardly shows."""
    random = np.random.default_rng(0)
    states = random.integers(0, 2, (NUM_VIDEOS, NUM_FRAMES // BLOCK)).repeat(BLOCK, axis=1)
    level = 90 + 40 * states + random.normal(0, 40, states.shape)
    shape = (NUM_VIDEOS, NUM_FRAMES, SIDE, SIDE, 3)
    frames = (level[..., None, None, None] + random.normal(0, 20, shape)).clip(0, 255)
    folder = store_folder(home) / STORE
    folder.mkdir(parents=True)
    (folder / "a.rgb").write_bytes(frames.astype(np.uint8).tobytes())
    names = [f"{n:02d}.mp4" for n in range(NUM_VIDEOS)]
    rows = pd.DataFrame({"video_id": names, "path": names, "group": names, "split": None})
    facts = {"num_frames": NUM_FRAMES, "fps": 10.0, "width": SIDE, "height": SIDE}
    facts |= {"duration_s": NUM_FRAMES / 10, "bitrate_bps": 1000.0, "size_bytes": 1000.0}
    manifest = new_manifest(rows.assign(label="low")).assign(**facts, content_hash=names)
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb", "T": NUM_FRAMES, "H": SIDE})
    size = NUM_FRAMES * SIDE * SIDE * 3
    index = index.assign(W=SIDE, fps=10.0, offset=np.arange(NUM_VIDEOS) * size)
    write_store(folder, index, manifest, {})

    samples = [
        (f"{name}#{first:04d}", name, first, first + 3, int(states[n, first + 2]), name)
        for n, name in enumerate(names)
        for first in range(0, NUM_FRAMES - 3, 2)
    ]
    columns = ["sample_id", "video_id", "first_frame", "last_frame", "label_id", "group"]
    loaded = load_study_file(str(file))
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    write_manifest(manifest, engine.folder / "manifest.parquet")
    divide(manifest, loaded.spec.data).to_parquet(engine.folder / "splits.parquet", index=False)
    pd.DataFrame(samples, columns=columns).to_parquet(engine.folder / SAMPLES_FILE, index=False)
    engine.append(
        "data_ready",
        content_hash="c" * 64,
        split_hash="s" * 64,
        num_videos=NUM_VIDEOS,
        num_groups=NUM_VIDEOS,
        store_key=STORE,
        samples=SAMPLES_FILE,
        classes=["low", "high"],
        folds=1,
    )
    return engine


def finals_of(home: Path, file: Path, epochs: int) -> tuple[Engine, dict[str, Final]]:
    """Run the study; return its engine and the final of each arm."""
    file.write_text(STUDY.replace("EPOCHS", str(epochs)))
    engine = two_states(home, file)
    run_all(engine)
    finals = engine.state.finals.values()
    return engine, {final.arm: final for final in finals if final.variant == "kept"}


def test_a_recording_arm_answers_the_samples_of_window_arms(home: Path, tmp_path: Path) -> None:
    engine, finals = finals_of(home, tmp_path / "recordings.yaml", epochs=1)
    window, recording = (
        pd.read_parquet(engine.folder / finals[arm].predictions) for arm in ("window", "recording")
    )
    for column in ("sample_id", "video_id", "group", "label_id"):
        assert window[column].tolist() == recording[column].tolist()
    assert set(finals["recording"].perturbations) == {"shuffled", "reversed"}
    variants = {f.variant for f in engine.state.finals.values() if f.arm == "recording"}
    assert variants == {"kept", "shuffled"}
    engine.close()


@pytest.mark.slow
def test_context_helps_where_a_frame_says_little(home: Path, tmp_path: Path) -> None:
    engine, finals = finals_of(home, tmp_path / "recordings.yaml", epochs=40)
    accuracy = {arm: final.metrics["accuracy"] for arm, final in finals.items()}
    shuffled = finals["recording"].perturbations["shuffled"]["accuracy"]
    assert accuracy["window"] < 0.8 < accuracy["recording"]
    assert isinstance(shuffled, float) and shuffled < accuracy["recording"]
    engine.close()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("  windows: {length_frames: 4, stride_frames: 2, label_from: centre}\n", "", "windows"),
        ("dropout: 0.0", "dropout: 0.0, class_balance: oversample", "weights"),
        ("study: recordings", "study: recordings\nworkers: 2", "trained by one process"),
    ],
)
def test_studies_that_do_not_fit_are_refused(before: str, after: str, said: str) -> None:
    with pytest.raises(UserErrors, match=said):
        parse_study(STUDY.replace(before, after).replace("EPOCHS", "2"))
