import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest

from tests.tracking.make_ledger import LedgerMaker
from tests.tracking.readback import everything
from vidclass.tracking.writer import LedgerWriter

pytestmark = pytest.mark.slow


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    return address


@contextmanager
def server(address: str, folder: Path) -> Iterator[None]:
    """A real MLflow server on the loopback, ended with all its processes."""
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1",
        "--port", address.rsplit(":", 1)[1],
        "--backend-store-uri", f"sqlite:///{folder / 'server.db'}",
        "--artifacts-destination", str(folder / "server_artifacts"),
    ]  # fmt: skip
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env={**environment, **settings},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"{address}/health", process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the server did not come up")


def test_what_happened_while_the_server_was_away_arrives_once(
    address: str,
    empty_store: Path,
    home: Path,
    tmp_path: Path,
    use_store: Callable[[str], None],
) -> None:
    (tmp_path / "server.db").write_bytes(empty_store.read_bytes())
    maker = LedgerMaker(home, ended=True)
    maker.write(20)
    writer = LedgerWriter(maker.folder, home, "small")
    writer.start()  # nothing answers yet
    with server(address, tmp_path):
        while not (maker.folder / "tracking.json").exists():
            time.sleep(0.1)
    maker.write(30)
    time.sleep(2)  # the writer meets a server that is gone
    maker.write()
    with server(address, tmp_path):
        assert writer.finish(90) == ""
        shown = everything(home)
        assert len(shown) == 15
        assert {
            key: run["status"] for key, run in shown.items() if run["status"] != "FINISHED"
        } == {"t0007": "FAILED"}
        for key in ("t0002", "t0010"):
            steps = [step for step, _, _ in shown[key]["metrics"]["valid_accuracy"]]
            assert steps == [1, 2, 3]
        assert "confusion_matrix.png" in shown["t0010"]["artifacts"]
        champion = mlflow.MlflowClient(address).get_model_version_by_alias(
            "vidclass-small", "champion"
        )
        use_store(address)
        loaded = mlflow.pyfunc.load_model("models:/vidclass-small@champion")
        assert int(champion.version) == 1
        assert loaded.metadata.metadata["trial"] == "t0011"
