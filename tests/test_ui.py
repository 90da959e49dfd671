import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_pages_open_on_the_store_in_use(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "MLFLOW_PORT": str(port)}
    command = [sys.executable, "-m", "vidclass.ui"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert "mlflow ui --backend-store-uri" in told and str(home / "mlflow.db") in told
        deadline = time.monotonic() + 150
        page = b""
        while time.monotonic() < deadline and not page:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                    page = answer.read()
            except OSError:
                time.sleep(0.5)
        assert b"MLflow" in page
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
        process.stdout.close()
