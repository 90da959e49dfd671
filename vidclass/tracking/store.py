"""Which MLflow store is in use, and how it is opened without noise and without long waits."""

import hashlib
import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["experiment", "open_client", "store_id", "tracking_uri", "ui", "ui_command"]

_SETTINGS = {
    # A server that is away has to be noticed at once: MLflow's own retries take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def tracking_uri(home: Path) -> str:
    """Return the store: ``MLFLOW_TRACKING_URI``, or a sqlite file in the home folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}"


def store_id(home: Path) -> str:
    """Return a name of the store that holds no password its address may hold."""
    return hashlib.sha256(tracking_uri(home).encode()).hexdigest()[:16]


def open_client(home: Path) -> "MlflowClient":
    """Return a client of the store in use; MLflow is imported here, which takes seconds."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow

    for name in ("mlflow", "alembic"):
        # also of errors: they are raised as well, and the writer tells them in its own words
        logging.getLogger(name).setLevel(logging.CRITICAL)
    uri = tracking_uri(home)
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(home / "mlflow.lock"):  # two first drivers must not both make the database
        client = mlflow.MlflowClient(uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    return client


def experiment(client: "MlflowClient", home: Path, name: str) -> str:
    """Return the id of the experiment ``name``, made or restored when it is not there."""
    with FileLock(home / "mlflow.lock"):
        found = client.get_experiment_by_name(name)
        if found is None:
            place = None
            if not _is_server(tracking_uri(home)):
                place = (home / "mlartifacts" / name).as_uri()
            return str(client.create_experiment(name, artifact_location=place))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def ui_command(home: Path) -> list[str]:
    """Return the command that opens MLflow's pages on the store in use.

    A server has its pages at its own address, which is then opened in a browser.
    """
    uri = tracking_uri(home)
    if _is_server(uri):
        return [sys.executable, "-m", "webbrowser", uri]
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]


def ui(home: Path) -> int:
    """Run :func:`ui_command` until it ends and return its exit status."""
    command = ui_command(home)
    print(shlex.join(command), flush=True)
    # MLflow's job runner would start eight more processes that no study needs.
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    try:
        return subprocess.call(command, env={**settings, **os.environ})
    except KeyboardInterrupt:
        return 0


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://", "databricks"))
