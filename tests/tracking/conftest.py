import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import mlflow
import pytest

from vidclass.tracking.store import open_client


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real sqlite store: MLflow takes seconds to make its tables, so they are made once."""
    folder = tmp_path_factory.mktemp("store")
    open_client(folder)
    return folder / "mlflow.db"


@pytest.fixture
def stored_home(home: Path, empty_store: Path) -> Path:
    """A home folder with an empty store."""
    shutil.copy(empty_store, home / "mlflow.db")
    return home


@pytest.fixture
def use_store() -> Iterator[Callable[[str], None]]:
    """Name the store of MLflow's own functions; it is also an environment variable, so undone."""
    yield mlflow.set_tracking_uri
    mlflow.set_tracking_uri(None)
