"""Jobs of a frozen encoder of clips: what it makes of a clip is kept, and is that of the clip."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.sweep.noise_study import CLASSES, STORE, noise_engine, run_all
from vidclass.data.clip_features import ClipFeatureDataset
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset
from vidclass.home import store_folder
from vidclass.models import model_entry
from vidclass.sweep.job_data import clip_dataset, split_data, split_table, transform_of
from vidclass.tracking.models import load_trained
from vidclass.training.evaluate import evaluate

transformers = pytest.importorskip("transformers")

STUDY = """
study: clips
data: {input_size: 32, window: {span_s: 0.8, num_frames: 8}}
train: {batch_size: 8, init: default}
budget: {trials: 2, epochs: 2}
search: {halving: null}
finals: {seeds: 1, rerun_top: 1, rerun_seeds: 1, time_seeds: 1, fewer_videos: []}
arms:
  - name: probe
    model: clip_encoder_probe
    fixed: {encoder: tiny, num_frames: 4, width: 16, num_heads: 2, starts_every: 3}
    search: {lr: {low: 1.0e-3, high: 4.0e-3}}
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_study_keeps_what_an_encoder_makes_of_clips(home: Path, tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model(
        "videomae",
        image_size=32,
        num_frames=4,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
    )
    torch.manual_seed(0)
    transformers.AutoModel.from_config(config).save_pretrained(home / "weights" / "tiny")
    file = tmp_path / "clips.yaml"
    file.write_text(STUDY)
    engine = noise_engine(file, home)
    prepared = run_all(engine)
    assert {kind for kind, _ in prepared} >= {"search", "final", "control"}
    (key,) = {payload["features"]["key"] for _, payload in prepared}
    kept = {path: path.stat().st_mtime_ns for path in (home / "store" / key).rglob("*.f32")}
    assert all(path.stat().st_size == 2 * 4 * 12 * 4 for path in kept)  # 2 steps, 2 x 2 places

    # What is kept is read, not made again: of a training epoch only starts 0 and 3 are there.
    (final,) = [t for t in engine.state.trials.values() if t.kind == "final"]
    job = engine.state.data | {
        "study": engine.name,
        "config": final.config,
        "window": {"span_s": 0.8, "num_frames": 8},
        "input_size": 32,
        "geometry": "crop",
        "sampling": {},
        "crop": {},
        "augment": {},
        "views": 1,
        "seed": final.seed,
        "fold": 0,
        "variant": "kept",
    }
    train = split_data(job, home, "train")
    assert isinstance(train, ClipFeatureDataset)
    numbers_BT = train.frame_numbers(np.arange(train.num_samples), epoch=7, train=True)
    assert set(numbers_BT[:, 0]) == {0, 3}
    train.read(np.arange(train.num_samples), epoch=1, train=True)
    same = {path: path.stat().st_mtime_ns for path in (home / "store" / key).rglob("*.f32")}
    assert same.items() >= kept.items() and len(same) - len(kept) <= train.num_samples

    # The model that is kept takes clips and says of them what was scored.
    predicted = pd.read_parquet(engine.folder / engine.state.finals[final.trial].predictions)
    clips = clip_dataset(
        job,
        FrameStore.open(store_folder(home) / STORE),
        split_table(job, home, "test"),
        order="kept",
    )
    assert type(clips) is ClipDataset
    again = evaluate(
        load_trained(final, len(CLASSES), engine.folder),
        clips,
        transform=transform_of(job),
        batch_size=4,
        device=torch.device("cpu"),
    )
    stored_NK = predicted.set_index("video_id").loc[again.video_ids, ["p0", "p1"]].to_numpy()
    np.testing.assert_allclose(again.prob_NK, stored_NK, atol=1e-5)
    assert model_entry("clip_encoder_probe").uses_order
    engine.close()
