"""Fixtures of all rooms; first what must be set before torch or Ray is imported."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
# Token authentication stays on, and no token is written into the home of who runs the tests.
os.environ["RAY_AUTH_MODE"] = "token"
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
# A server that the shell names must not receive the runs of tests.
os.environ.pop("MLFLOW_TRACKING_URI", None)

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
RAY_FIXTURES = {"small_ray"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses Ray, so that ``make check`` can leave it out."""
    for item in items:
        if RAY_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real videos that lie beside the repository; skips where they are absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real videos in ../shared/data, which are not part of the repository")
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, named by VIDCLASS_HOME."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("VIDCLASS_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def small_ray() -> Iterator[None]:
    """One local Ray with two CPUs for the whole run of pytest, shut down at its end.

    Its folder is short (a socket's path has at most 107 bytes) and its own, so that it meets no
    other Ray of this machine.
    """
    import ray

    folder = tempfile.mkdtemp(prefix="vc-ray-", dir="/tmp")
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=folder,
    )
    yield
    ray.shutdown()
    shutil.rmtree(folder, ignore_errors=True)
