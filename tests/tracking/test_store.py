import subprocess
import sys
from pathlib import Path

import pytest

from vidclass.tracking import store


def test_the_local_store_lies_in_the_home_folder(home: Path) -> None:
    assert store.tracking_uri(home) == f"sqlite:///{home}/mlflow.db"
    assert store.ui_command(home)[1:] == [
        "-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{home}/mlflow.db",
    ]  # fmt: skip


def test_the_environment_names_another_store(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = store.store_id(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@tracking.example")
    assert store.tracking_uri(home) == "https://me:secret@tracking.example"
    assert store.ui_command(home)[2] == "webbrowser"
    assert store.store_id(home) != local
    assert "secret" not in store.store_id(home)


def test_an_experiment_is_found_again_and_restored(stored_home: Path) -> None:
    client = store.open_client(stored_home)
    first = store.experiment(client, stored_home, "vidclass/x")
    assert store.experiment(client, stored_home, "vidclass/x") == first
    client.delete_experiment(first)
    assert store.experiment(client, stored_home, "vidclass/x") == first
    assert client.get_experiment(first).lifecycle_stage == "active"
    place = client.get_experiment(first).artifact_location
    assert place == (stored_home / "mlartifacts" / "vidclass" / "x").as_uri()


def test_importing_the_writer_does_not_import_mlflow() -> None:
    code = "import vidclass.tracking.writer, sys; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_store_is_light() -> None:
    code = "import vidclass.tracking.store, sys; assert not {'mlflow', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
