from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.pytorch
import numpy as np
import pytest
import torch

from tests.tracking.make_ledger import CLASSES, LedgerMaker, make_study
from tests.tracking.readback import runs_of
from vidclass.sweep.state import replay
from vidclass.tracking.models import load_trained, winners
from vidclass.tracking.store import tracking_uri
from vidclass.tracking.writer import sync


@pytest.fixture
def client(stored_home: Path, use_store: Callable[[str], None]) -> mlflow.MlflowClient:
    use_store(tracking_uri(stored_home))
    return mlflow.MlflowClient(tracking_uri(stored_home))


def test_winners_are_chosen_on_validation(tmp_path: Path) -> None:
    state = replay(make_study(tmp_path) / "ledger.jsonl")
    state.trials["t0010"].best_value = 0.9
    assert {role: trial.trial for role, trial in winners(state).items()} == {
        "single": "t0009",
        "early": "t0010",
        "champion": "t0010",
    }


def test_the_champion_loads_by_its_alias_and_takes_any_batch(
    stored_home: Path, client: mlflow.MlflowClient
) -> None:
    folder = make_study(stored_home, ended=True)
    assert sync(folder, stored_home, "small") == {}
    trial = replay(folder / "ledger.jsonl").trials["t0011"]
    original = load_trained(trial, len(CLASSES), folder)
    address = "models:/vidclass-small@champion"
    loaded, generic = mlflow.pytorch.load_model(address), mlflow.pyfunc.load_model(address)
    for batch in (1, 3):
        x_BTCHW = torch.randn(batch, 4, 3, 32, 32)
        with torch.no_grad():
            expected = original(x_BTCHW)
            assert torch.allclose(loaded(x_BTCHW), expected, atol=1e-5)
        assert np.allclose(generic.predict(x_BTCHW.numpy()), expected.numpy(), atol=1e-5)
    metadata = generic.metadata.metadata
    assert (metadata["classes"], metadata["trial"]) == (CLASSES, "t0011")
    assert generic.metadata.signature.inputs.inputs[0].shape == (-1, 4, 3, 32, 32)
    check_logged_once(stored_home, client, folder)


def check_logged_once(home: Path, client: mlflow.MlflowClient, folder: Path) -> None:
    """Each arm's best final has one model, also after another sync, with the final's score."""
    sync(folder, home, "small")
    runs = runs_of(home)
    models = {
        m.source_run_id: m for m in client.search_logged_models([runs["study"].info.experiment_id])
    }
    assert models.keys() == {runs["t0009"].info.run_id, runs["t0011"].info.run_id}
    assert len(client.search_model_versions("name = 'vidclass-small'")) == 1
    scores = {m.key: m.value for m in models[runs["t0011"].info.run_id].metrics or []}
    assert scores["test_accuracy"] == runs["t0011"].data.metrics["test_accuracy"]
    assert runs["study"].data.metrics["test_accuracy/early"] > 0


def test_a_model_whose_checkpoint_is_damaged_is_told_and_the_others_are_logged(
    stored_home: Path, client: mlflow.MlflowClient
) -> None:
    folder = make_study(stored_home, ended=True)
    (folder / "checkpoints" / "t0009" / "best-3.1").write_bytes(b"not a checkpoint")
    problems = sync(folder, stored_home, "small")
    assert list(problems) == ["model of t0009"]
    assert "sha256" in problems["model of t0009"]
    assert int(client.get_model_version_by_alias("vidclass-small", "champion").version) == 1


def test_a_study_that_still_runs_has_no_models_yet(
    stored_home: Path, client: mlflow.MlflowClient
) -> None:
    maker = LedgerMaker(stored_home)
    maker.write(60)
    sync(maker.folder, stored_home, "small")
    experiment = runs_of(stored_home)["study"].info.experiment_id
    assert client.search_logged_models([experiment]) == []
