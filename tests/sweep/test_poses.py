"""An arm on poses is searched, trained and scored beside those on pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.sweep.noise_study import run_all
from vidclass.data.frame_store import FrameStore, write_store
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.errors import UserError
from vidclass.home import store_folder
from vidclass.study import Study
from vidclass.sweep.engine import Engine
from vidclass.sweep.features import check_poses
from vidclass.sweep.identity import session_facts
from vidclass.sweep.load import load_study_file
from vidclass.sweep.prepare import divide

NUM_VIDEOS, NUM_FRAMES = 40, 12
CLASSES = ["left", "right"]
STORE = "walks"
STUDY = Path(__file__).parents[2] / "docs" / "pixels_and_poses.yaml"


@pytest.fixture
def engine(home: Path, tmp_path: Path) -> Engine:
    return walks_engine(home, tmp_path)


def walks_engine(home: Path, films: Path) -> Engine:
    """The study of the docs over walks to the left and to the right; the pixels are black."""
    loaded = load_study_file(str(STUDY), data=str(films))
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    manifest = make_store(store_folder(home) / STORE, films)
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


def carry_out(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """Read the pose files and run the study to its end; return what its jobs prepared."""
    frames = FrameStore.open(store_folder(engine.home) / STORE)
    check_poses(engine.spec, lambda _: frames, engine.home)
    return run_all(engine)


def make_store(folder: Path, films: Path) -> pd.DataFrame:
    folder.mkdir(parents=True)
    size = NUM_FRAMES * 32 * 32 * 3
    (folder / "a.rgb").write_bytes(bytes(NUM_VIDEOS * size))
    names = [f"{n:02d}.mp4" for n in range(NUM_VIDEOS)]
    rows = pd.DataFrame({"video_id": names, "group": names, "split": None})
    rows["path"] = [str(films / name) for name in names]
    rows["label"] = [CLASSES[n % 2] for n in range(NUM_VIDEOS)]
    facts = {"num_frames": NUM_FRAMES, "fps": 10.0, "width": 32, "height": 32}
    facts |= {"duration_s": NUM_FRAMES / 10, "bitrate_bps": 1000.0, "size_bytes": 1000.0}
    manifest = new_manifest(rows).assign(**facts, content_hash=names)
    index = pd.DataFrame({"video_id": names, "shard": "a.rgb"})
    index = index.assign(offset=np.arange(NUM_VIDEOS) * size, T=NUM_FRAMES, H=32, W=32, fps=10.0)
    write_store(folder, index, manifest, {})
    generator = np.random.default_rng(0)
    for n in range(NUM_VIDEOS):
        steps = np.arange(NUM_FRAMES) * (5 if n % 2 else -5) + generator.normal(100, 2)
        poses = {"track": "m1", "frame_idx": range(NUM_FRAMES), "instance.score": 1.0}
        poses |= {"nose.x": steps, "nose.y": 50.0, "tail.x": steps, "tail.y": 60.0}
        pd.DataFrame(poses).to_csv(films / f"{n:02d}.pose.csv", index=False)
    return manifest


def test_one_study_tells_poses_from_pixels_that_show_nothing(engine: Engine) -> None:
    prepared = carry_out(engine)
    made = [payload["features"] for _, payload in prepared if payload.get("features")]
    assert {features["num_frames"] for features in made} == {0}  # made beforehand
    trials = list(engine.state.trials.values())
    searched = {t.arm: t.best_value for t in trials if t.kind == "search"}
    assert searched["poses"] > 0.9 and searched["pixels"] < 0.6, searched
    finals = {t.arm: t for t in trials if t.kind == "final"}
    assert finals.keys() == {"pixels", "poses"}
    final = finals["poses"]
    assert final.best_value is not None and final.best_value > 0.9
    with pytest.raises(UserError, match="used on videos takes frames.*pose_lstm takes poses"):
        Study(engine.name, engine.folder).best_model("poses")
    engine.close()


def test_a_wrong_number_of_features_is_told_before_a_trial(engine: Engine) -> None:
    arm = engine.spec.arm("poses")
    arm.fixed["num_features"] = 6
    frames = FrameStore.open(store_folder(engine.home) / STORE)
    with pytest.raises(UserError, match="num_features: 4"):
        check_poses(engine.spec, lambda _: frames, engine.home)
    engine.close()
