"""Reads back what MLflow holds of a study, in a form that two stores can be compared by."""

from pathlib import Path
from typing import Any

import mlflow

from vidclass.tracking.store import tracking_uri


def runs_of(home: Path, name: str = "small") -> dict[str, Any]:
    """Return the runs of a study by key; fails on a key that two runs share."""
    client = mlflow.MlflowClient(tracking_uri(home))
    experiment = client.get_experiment_by_name(f"vidclass/{name}")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    by_key = {run.data.tags["vidclass.run"]: run for run in runs}
    assert len(by_key) == len(runs), "two runs of one trial"
    return by_key


def histories(home: Path, run: Any) -> dict[str, list[tuple[int, int, float]]]:
    """Return (step, milliseconds, value) of every metric of a run."""
    client = mlflow.MlflowClient(tracking_uri(home))
    return {
        name: sorted(
            (m.step, m.timestamp, m.value) for m in client.get_metric_history(run.info.run_id, name)
        )
        for name in run.data.metrics
    }


def artifacts(home: Path, run: Any) -> set[str]:
    """Return the names of a run's artifacts."""
    client = mlflow.MlflowClient(tracking_uri(home))
    return {file.path for file in client.list_artifacts(run.info.run_id)}


def everything(home: Path, name: str = "small") -> dict[str, Any]:
    """Return all that is the same however the runs got there: no ids and no paths."""
    runs = runs_of(home, name)
    ids = {run.info.run_id: key for key, run in runs.items()}
    return {
        key: {
            "name": run.info.run_name,
            "status": run.info.status,
            "start": run.info.start_time,
            "end": run.info.end_time,
            "params": run.data.params,
            "parent": ids.get(run.data.tags.get("mlflow.parentRunId")),
            "tags": {k: v for k, v in run.data.tags.items() if k.startswith("vidclass.")},
            "metrics": histories(home, run),
            "artifacts": artifacts(home, run),
            "inputs": [
                (i.dataset.name, i.dataset.digest, i.dataset.profile)
                for i in run.inputs.dataset_inputs
            ],
        }
        for key, run in runs.items()
    }
