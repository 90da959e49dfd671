import json
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.tracking.make_ledger import CLASSES, NUM_TEST, make_study
from vidclass.sweep.leak_controls import LEAK_CONTROL
from vidclass.sweep.policy import DEPLOY_FOLD, FEWER_VIDEOS, search_kind
from vidclass.sweep.state import State, replay
from vidclass.tracking.artifacts import floor_files, trial_files
from vidclass.tracking.results import learning_rate_rounds
from vidclass.tracking.runs import Cost
from vidclass.training.config import TrainConfig

SCHEMA = json.loads(files("vidclass.tracking").joinpath("results_schema.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def state(folder: Path) -> State:
    return replay(folder / "ledger.jsonl")


def made(state: State, folder: Path, trial: str, cost: Cost | None = None) -> dict[str, Path]:
    written = trial_files(state, "small", folder, state.trials[trial], cost)
    return {path.name: path for path in written}


def read(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_text())
    return content


@pytest.mark.parametrize("trial", ["t0002", "t0003", "t0006", "t0007", "t0010", "t0012"])
def test_results_hold_to_the_schema(state: State, folder: Path, trial: str) -> None:
    results = read(made(state, folder, trial, Cost(10, 0.5))["results.json"])
    jsonschema.Draft202012Validator(SCHEMA).validate(results)
    assert results["fit_num_epochs"] == len(state.trials[trial].epochs)


def test_every_key_of_the_schema_has_description_unit_and_rule_for_null() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    train = SCHEMA["properties"]["train"]["properties"]
    assert train.keys() == TrainConfig.model_fields.keys()
    for name, key in [*SCHEMA["properties"].items(), *train.items()]:
        assert all(key[part] for part in ("description", "unit", "nullWhen")), name
        may_be_null = "null" in key.get("type", ())
        assert may_be_null == (key["nullWhen"] != "never"), name


@pytest.mark.parametrize("kind", ["rerun", FEWER_VIDEOS, LEAK_CONTROL, search_kind(DEPLOY_FOLD)])
def test_a_trial_of_every_kind_holds_to_the_schema(
    state: State, folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state.trials["t0002"], "kind", kind)
    results = read(made(state, folder, "t0002")["results.json"])
    jsonschema.Draft202012Validator(SCHEMA).validate(results)
    assert results["kind"] == kind


@pytest.mark.parametrize(("trial", "scored"), [("t0002", False), ("t0010", True), ("t0012", True)])
def test_only_scored_trials_have_test_figures(
    state: State, folder: Path, trial: str, scored: bool
) -> None:
    results = read(made(state, folder, trial)["results.json"])
    tests = [key for key in results if key.startswith(("fit_test_", "fit_dt_test_"))]
    of_several = {key for key in tests if key.endswith(("mean_average_precision", "hamming_loss"))}
    assert len(tests) == 8 and len(of_several) == 2
    assert {results[key] is None for key in set(tests) - of_several} == {not scored}
    assert {results[key] for key in of_several} == {None}


def test_results_of_a_final_are_numbers_of_its_best_epoch(state: State, folder: Path) -> None:
    results = read(made(state, folder, "t0010", Cost(77, 0.5))["results.json"])
    best = state.trials["t0010"].epochs[3].metrics
    assert (results["fit_best_epoch"], results["fit_best_round"]) == (3, 1)
    assert results["fit_val_acc"] == best["valid_accuracy"]
    assert (results["fit_stopped_epoch1"], results["fit_stopped_epoch2"]) == (3, None)
    assert results["data_total_rows_train"] == 24
    assert results["data_total_rows_test"] == NUM_TEST * 2  # two views
    assert (results["model_param_count"], results["class_names"]) == (77, CLASSES)
    assert isinstance(results["fit_dt_train_duration_seconds"], float)


def test_params_are_the_resolved_part_of_the_results(state: State, folder: Path) -> None:
    written = made(state, folder, "t0002")
    params, results = read(written["params.json"]), read(written["results.json"])
    assert params.items() <= results.items()
    assert params["train"] == state.trials["t0002"].config["train"]


def test_history_has_a_row_an_epoch(state: State, folder: Path) -> None:
    history = pd.read_csv(made(state, folder, "t0002")["fit_history.csv"])
    assert list(history.columns) == [
        "index", "acc", "loss", "val_acc", "val_loss", "fit_round", "epoch",
    ]  # fmt: skip
    assert history["epoch"].tolist() == [1, 2, 3]
    assert np.isnan(history["loss"][1])  # not finite, hence empty


def test_rounds_follow_the_drops_of_the_plateau_schedule(state: State) -> None:
    trial = replay_with_plateau(state)
    assert learning_rate_rounds(trial) == {1: 1, 2: 2, 3: 2}


def replay_with_plateau(state: State) -> object:
    trial = state.trials["t0008"]
    trial.config = {**trial.config, "train": {**trial.config["train"], "schedule": "plateau"}}
    for epoch, lr in zip(trial.epochs.values(), (1e-3, 1e-4, 1e-4), strict=True):
        epoch.metrics["lr"] = lr
    return trial


def test_confusion_matrix_names_the_right_classes(state: State, folder: Path) -> None:
    written = made(state, folder, "t0010")
    predictions = pd.read_parquet(written["test_predictions.parquet"])
    prob_NK = np.load(written["test_predictions.npy"])
    assert (prob_NK.shape, prob_NK.dtype) == ((NUM_TEST, len(CLASSES)), np.float32)
    counts = pd.read_csv(written["confusion_matrix.csv"], index_col="label")
    shares = pd.read_csv(written["confusion_matrix_normalised.csv"], index_col="label")
    for k, label in enumerate(CLASSES):
        of_label = prob_NK[predictions["label_id"] == k].argmax(axis=1)
        for j, said in enumerate(CLASSES):
            assert counts.loc[label, said] == (of_label == j).sum()
    assert np.allclose(shares.sum(axis=1), 1)
    with Image.open(written["confusion_matrix.png"]) as picture:
        assert min(picture.size) > 200


def test_files_made_again_have_the_same_bytes(state: State, folder: Path) -> None:
    before = {n: p.read_bytes() for n, p in made(state, folder, "t0010").items()}
    after = {n: p.read_bytes() for n, p in made(state, folder, "t0010").items()}
    assert before == after


def test_a_final_whose_predictions_are_gone_still_has_its_results(
    state: State, folder: Path
) -> None:
    file = folder / "artifacts" / "t0011" / "test_predictions.parquet"
    file.unlink()
    assert set(made(state, folder, "t0011")) == {"params.json", "results.json", "fit_history.csv"}


def test_floors_have_a_confusion_matrix_of_their_own(state: State, folder: Path) -> None:
    written = floor_files(folder, state.floors[0, "majority"], CLASSES)
    counts = pd.read_csv(written[1], index_col="label")
    assert written[1].parent.name == "0-majority"
    assert counts.to_numpy().sum() == NUM_TEST
