"""One training without a search: resumed, and with the files of a trial."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tests.sweep.noise_study import STORE, make_store
from vidclass.errors import UserError, UserErrors
from vidclass.home import store_folder
from vidclass.models.trained import trained_model
from vidclass.sweep import single
from vidclass.sweep.engine import Engine
from vidclass.sweep.load import LoadedStudy
from vidclass.sweep.prepare import divide
from vidclass.sweep.screen import Screen
from vidclass.sweep.state import replay

SETTINGS = (
    "width=0.125",
    "input_size=32",
    "window_frames=6",
    "batch_size=8",
)


@pytest.fixture
def videos(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Videos of noise that are decoded already: what is tested here is what comes after."""
    manifest = make_store(store_folder(home) / STORE)

    def prepared(engine: Engine, loaded: LoadedStudy, screen: Screen) -> None:
        single.session_facts(engine, loaded, slots=1)
        engine.recover()
        if engine.state.data:
            return
        from vidclass.data.manifest import write_manifest

        write_manifest(manifest, engine.folder / "manifest.parquet")
        splits = divide(manifest, loaded.spec.data)
        splits.to_parquet(engine.folder / "splits.parquet", index=False)
        engine.append(
            "data_ready",
            content_hash="c" * 64,
            split_hash="s" * 64,
            store_key=STORE,
            classes=["down", "up"],
            folds=1,
        )

    monkeypatch.setattr(single, "_prepare", prepared)
    monkeypatch.setattr(single, "check_source", lambda *arguments: None)
    return home


def study(epochs: int = 3, **more: Any) -> LoadedStudy:
    return single.training_study(
        "early_fusion", "moving_shapes", epochs=epochs, seed=1, overrides=SETTINGS, **more
    )


def screen() -> Screen:
    return Screen(Console(quiet=True))


def test_it_leaves_the_files_of_a_trial_and_scores_the_test_set_once(videos: Path) -> None:
    trained = single.train(study(), videos, screen())
    assert trained.trial.status == "completed" and not trained.interrupted
    place = trained.folder / "artifacts" / trained.trial.trial
    assert {path.name for path in place.iterdir()} >= {
        "params.json",
        "results.json",
        "fit_history.csv",
        "test_predictions.parquet",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "model.pt",
    }
    assert len(pd.read_csv(place / "fit_history.csv")) == 3
    results = json.loads((place / "results.json").read_text())
    assert results["fit_test_acc"] == pytest.approx(trained.metrics["accuracy"])
    assert results["model"] == "early_fusion" and results["seed"] == 1
    predictions = pd.read_parquet(place / "test_predictions.parquet")
    right = predictions[["p0", "p1"]].to_numpy().argmax(axis=1) == predictions["label_id"]
    assert float(np.mean(right)) == pytest.approx(trained.metrics["accuracy"])

    import torch

    weights = torch.load(place / "model.pt", weights_only=True)
    model = trained_model("early_fusion", 2, trained.trial.config["options"], weights)
    assert not model.training

    again = single.train(study(), videos, screen())
    assert again.metrics == trained.metrics
    events = [
        json.loads(line) for line in (trained.folder / "ledger.jsonl").read_text().splitlines()
    ]
    assert sum(event["event"] == "final_scored" for event in events) == 1
    assert len([event for event in events if event["event"] == "epoch"]) == 3


def test_it_goes_on_where_it_was_interrupted_and_ends_the_same(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = single.train(study(name="whole"), videos, screen())
    told: list[str] = []

    def say(self: Screen, line: str) -> None:
        told.append(line)
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Screen, "say", say)
        cut = single.train(study(name="cut"), videos, screen())
    assert cut.interrupted and not cut.metrics
    assert sum(line.startswith("epoch") for line in told) == 2
    resumed = single.train(study(name="cut"), videos, screen())
    assert resumed.metrics == whole.metrics
    state = replay(resumed.folder / "ledger.jsonl")
    (trial,) = state.trials.values()
    assert len(trial.epochs) == 3 and len(trial.attempts) == 2


def test_its_name_says_what_shapes_its_result() -> None:
    names = {study().name, study(4).name, study(name="mine").name}
    assert len(names) == 3 and "mine" in names and study().name == study().name
    assert study().name.startswith("train_early_fusion@")
    spec = study().spec
    assert spec.data.store.short_side == spec.data.input_size == 32
    assert spec.data.window.num_frames == 6


def test_the_window_and_size_are_those_of_the_model() -> None:
    spec = single.training_study("r3d_18", "moving_shapes", epochs=1, seed=0).spec
    assert (spec.data.window.num_frames, spec.data.input_size) == (16, 112)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("widht=2", "widht"),
        ("width=-1", "width"),
        ("data.crop.tset=centre", "tset"),
        ("no_sign", "a.b=c"),
    ],
)
def test_wrong_settings_are_told(override: str, said: str) -> None:
    with pytest.raises((UserError, UserErrors), match=said):
        single.training_study(
            "early_fusion", "moving_shapes", epochs=1, seed=0, overrides=[override]
        )


def test_folds_are_refused() -> None:
    spec = single.training_study(
        "early_fusion", "moving_shapes", epochs=1, seed=0, overrides=["data.split.folds=5"]
    ).spec
    with pytest.raises(UserError, match="folds: 5"):
        single.refuse_several_folds(spec)
