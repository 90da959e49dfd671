"""Leak controls: which are trained, and on what."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.sweep.simulator import Simulation
from vidclass.data.manifest import new_manifest, write_manifest
from vidclass.data.memory_store import MemoryStore
from vidclass.errors import UserErrors
from vidclass.sweep.job_data import clip_dataset, order_of, split_table
from vidclass.sweep.leak_controls import LEAK_CONTROL, possible_controls
from vidclass.sweep.load import parse_study
from vidclass.sweep.progress import overview, planned_trials
from vidclass.sweep.spec import StudySpec

ALL = "[corner, background, permuted_labels]"


def study(controls: str = ALL, rest: str = "") -> StudySpec:
    return parse_study(
        "study: tiny\n"
        f"finals: {{leak_controls: {controls}, fewer_videos: [], time_seeds: 0}}\n"
        f"{rest}"
        "arms:\n"
        "  - {name: slow, model: slow_fusion, fixed: {width: 0.125}}\n"
        "  - {name: one, model: single_frame, fixed: {width: 0.125}}\n"
    )


def finished(tmp_path: Path, static_share: float | None = None):
    simulation = Simulation(study(), tmp_path, folds=2)
    engine = simulation.open()
    if static_share is not None:
        engine.state.data["static_share"] = static_share
    simulation.run(engine)
    engine.close()
    return engine


def test_the_champion_alone_is_trained_on_each_once_a_fold(tmp_path: Path) -> None:
    engine = finished(tmp_path)
    controls = engine.state.select(kind=LEAK_CONTROL)
    variants = ("background", "corner", "permuted_labels")
    found = sorted((trial.fold, trial.variant) for trial in controls)
    assert found == [(fold, variant) for fold in (0, 1) for variant in variants]
    for trial in controls:
        finals = engine.state.select(kind="final", arm=trial.arm, fold=trial.fold)
        assert trial.arm == engine.state.champion["arm"]
        assert (trial.seed, trial.params) == (finals[0].seed, finals[0].params)


def test_a_moving_camera_has_no_background_and_the_screen_knows(tmp_path: Path) -> None:
    engine = finished(tmp_path, static_share=0.1)
    variants = {trial.variant for trial in engine.state.select(kind=LEAK_CONTROL)}
    assert variants == {"corner", "permuted_labels"}
    assert possible_controls(engine.state, engine.spec) == ["corner", "permuted_labels"]
    uses_order = {"slow": True, "one": False}
    assert planned_trials(engine.spec, 2, uses_order)[LEAK_CONTROL] == 6
    shown = overview(engine.state, engine.spec, 2, uses_order)
    assert shown.done == shown.planned


def test_labels_of_windows_are_not_dealt_out() -> None:
    windows = "data: {windows: {length_s: 1}}\n"
    with pytest.raises(UserErrors, match="permuted_labels deals out labels of whole videos"):
        study(rest=windows)
    assert study("[corner, background]", windows).finals.leak_controls


def job(variant: str) -> dict[str, object]:
    config = {"model": "slow_fusion", "options": {"width": 0.125, "input_size": 32}}
    return {
        "study": "s",
        "fold": 0,
        "seed": 3,
        "classes": ["a", "b"],
        "config": config,
        "variant": variant,
        "window": {"span_s": 1.0, "num_frames": 10},
        "input_size": 32,
        "geometry": "crop",
        "sampling": {},
        "crop": {},
        "views": 1,
    }


def test_a_corner_and_a_background_are_what_the_model_sees() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (20, 64, 80, 3), dtype=np.uint8)
    store = MemoryStore({"v": (frames, 10.0)})
    table = pd.DataFrame({"video_id": ["v"], "label_id": [0], "group": ["g"]})
    shown = {}
    for variant in ("kept", "corner", "background"):
        asked = job(variant)
        clips = clip_dataset(asked, store, table, order=order_of(asked))
        shown[variant] = clips.read(np.array([0]), epoch=0, train=False)[0].numpy()
    assert (shown["background"] == shown["background"][:1]).all()
    assert not (shown["kept"] == shown["kept"][:1]).all()
    # The corner's square has a quarter of the side, 16 pixels, and is scaled up to 32.
    small = shown["corner"].reshape(10, 16, 2, 16, 2, 3).mean(axis=(2, 4))
    assert np.abs(small - frames[5:15, :16, :16]).mean() < 30


def test_dealt_labels_agree_between_splits_and_change_with_the_seed(tmp_path: Path) -> None:
    folder = tmp_path / "studies" / "s"
    folder.mkdir(parents=True)
    ids = [f"v{n:03d}" for n in range(200)]
    columns = {"video_id": ids, "path": ids, "label": ["a", "b"] * 100, "group": ids}
    write_manifest(new_manifest(pd.DataFrame(columns)), folder / "manifest.parquet")
    splits = pd.DataFrame(
        {"video_id": ids, "fold": 0, "split": ["train"] * 100 + ["valid"] * 40 + ["test"] * 60}
    )
    splits.to_parquet(folder / "splits.parquet")

    def labels(variant: str, seed: int = 3) -> pd.Series:
        asked = {**job(variant), "seed": seed}
        tables = [split_table(asked, tmp_path, split) for split in ("train", "valid", "test")]
        return pd.concat(tables).set_index("video_id")["label_id"]

    kept, dealt = labels("kept"), labels("permuted_labels")
    assert kept.tolist() == [0, 1] * 100
    assert dealt.sum() == 100 and 0.3 < (kept == dealt).mean() < 0.7
    assert not dealt.equals(labels("permuted_labels", seed=4))
