"""Bring the runs of one study in MLflow to what its ledger says; doing it again changes nothing.

Points carry the ledger's timestamps, parameters are write-once, and a run is found again by its
tags, so that a replay of events that MLflow has already seen leaves no trace.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidclass.tracking import store
from vidclass.tracking.artifacts import floor_files, trial_files
from vidclass.tracking.cost import cost_of
from vidclass.tracking.runs import (
    STUDY,
    Cost,
    Fold,
    Point,
    RunPicture,
    floor_of,
    picture,
    study_tags,
)

__all__ = ["Replay"]

# The most that one call of log_batch takes.
_MOST_METRICS, _MOST_PARAMS = 1000, 100
# Answers of a store that is there and will say the same again.
_REFUSALS = frozenset({"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_ALREADY_EXISTS"})


class Replay:
    """The MLflow side of one study.

    Args:
        folder: the study's folder.
        home: the home folder.
        fold: what the ledger says; its ``touched`` is emptied as runs are brought up to date.
    """

    def __init__(self, folder: Path, home: Path, fold: Fold) -> None:
        self.folder = folder
        self.home = home
        self.fold = fold
        self.problems: dict[str, str] = {}
        self.experiment = ""
        self.runs: dict[str, str] = {}
        self._client: Any = None
        self._sent_params: dict[str, set[str]] = {}
        self._sent_tags: dict[str, dict[str, str]] = {}
        self._sent_status: dict[str, str] = {}
        self._with_inputs: set[str] = set()

    def connect(self) -> None:
        """Open the store and find the runs that it has of this study; do nothing when it is open.

        Only a fresh search tells whether a call whose answer never came was carried out.
        """
        if self._client is not None:
            return
        client = store.open_client(self.home)
        self.experiment = store.experiment(client, self.home, f"vidclass/{self.fold.name}")
        wanted = " and ".join(f"tags.`{k}` = '{v}'" for k, v in study_tags(self.fold).items())
        self.runs = {}
        for run in _pages(client, self.experiment, wanted):
            self.runs[run.data.tags["vidclass.run"]] = run.info.run_id
        self._sent_params, self._sent_tags, self._sent_status = {}, {}, {}
        self._with_inputs = set()
        self._client = client

    def disconnect(self) -> None:
        """Forget the connection, so that the next one looks at what the store really has."""
        self._client = None

    def push(self) -> None:
        """Bring all touched runs up to date; what has been done is not done again after an error.

        Raises:
            Exception: whatever MLflow raises when its store is away.
        """
        self.connect()
        for key in list(self.fold.touched):
            try:
                self._push_run(key)
            except Exception as error:
                if not _is_final(error):
                    raise
                self.problems[key] = _told(error)
            del self.fold.touched[key]

    def finish(self) -> None:
        """Log the winners' models and the study's own files."""
        from vidclass.tracking.models import log_winners

        self.connect()
        try:
            self.problems |= log_winners(
                self._client, self.experiment, self.folder, self.fold, self.runs
            )
            self._upload(STUDY, [f for f in (self.folder / "spec.yaml",) if f.exists()])
            if (self.folder / "report").is_dir():
                self._client.log_artifacts(self.runs[STUDY], str(self.folder / "report"), "report")
        except Exception as error:
            if not _is_final(error):
                raise
            self.problems["models"] = _told(error)

    def _push_run(self, key: str) -> None:
        cost = self._cost(key)
        wanted = picture(self.fold, key, self.fold.touched[key], cost)
        run = self._run(wanted)
        self._log(run, wanted)
        self._log_input(run, key)
        if self._sent_status.get(key, "RUNNING") != wanted.status or wanted.end_ms is not None:
            if wanted.end_ms is None:
                self._client.update_run(run, wanted.status)
            else:
                self._client.set_terminated(run, wanted.status, wanted.end_ms)
        self._sent_status[key] = wanted.status
        self._upload(key, self._files(key, cost))

    def _cost(self, key: str) -> Cost | None:
        trial = self.fold.state.trials.get(key)
        if trial is None or trial.kind == "floors":
            return None
        return cost_of(trial.config, len(self.fold.state.data["classes"]))

    def _run(self, wanted: RunPicture) -> str:
        """Return the id of the run, made below its parent when the store has none."""
        if wanted.key not in self.runs:
            tags = dict(wanted.tags)
            if wanted.parent is not None:
                tags["mlflow.parentRunId"] = self._run(picture(self.fold, wanted.parent, set()))
            tags["mlflow.source.name"] = f"vidclass sweep {self.fold.name}"
            made = self._client.create_run(
                self.experiment, start_time=wanted.start_ms, tags=tags, run_name=wanted.name
            )
            self.runs[wanted.key] = made.info.run_id
            self._sent_status[wanted.key] = "RUNNING"
        elif wanted.key not in self._sent_status:
            self._sent_status[wanted.key] = "unknown"
        return self.runs[wanted.key]

    def _log(self, run: str, wanted: RunPicture) -> None:
        from mlflow.entities import Metric, Param, RunTag

        sent = self._sent_params.setdefault(wanted.key, set())
        new = {name: value for name, value in wanted.params.items() if name not in sent}
        params = [Param(name, value) for name, value in new.items()]
        for start in range(0, len(params), _MOST_PARAMS):
            self._client.log_batch(run, params=params[start : start + _MOST_PARAMS])
        sent |= new.keys()
        # A tag costs a store as much as a metric, and those of a run hardly ever change.
        known = self._sent_tags.get(wanted.key, {})
        changed = {name: value for name, value in wanted.tags.items() if known.get(name) != value}
        tags = [RunTag(name, value) for name, value in changed.items()]
        for chunk in _chunks(wanted.points):
            points = [Metric(p.name, p.value, p.ms, p.step) for p in chunk]
            self._client.log_batch(run, metrics=points, tags=tags)
        self._sent_tags[wanted.key] = dict(wanted.tags)

    def _log_input(self, run: str, key: str) -> None:
        """Tell which data the run saw: what is in the files, and how they are divided."""
        state = self.fold.state
        if not state.data or key in self._with_inputs:
            return
        from mlflow.entities import Dataset, DatasetInput, InputTag

        data = state.data
        source = {"source": state.spec["data"]["source"], "store_key": data["store_key"]}
        facts = {n: data[n] for n in ("num_videos", "num_groups", "content_hash", "split_hash")}
        dataset = Dataset(
            name=Path(state.spec["data"]["source"]).name,
            digest=data["content_hash"][:36],
            source_type="vidclass",
            source=json.dumps(source),
            profile=json.dumps({**facts, "num_classes": len(data["classes"])}),
        )
        tags = [
            InputTag("mlflow.data.context", "training"),
            InputTag("split_hash", data["split_hash"]),
        ]
        self._client.log_inputs(run, [DatasetInput(dataset, tags)])
        self._with_inputs.add(key)

    def _files(self, key: str, cost: Cost | None) -> list[Path]:
        state = self.fold.state
        if key.startswith("floor-"):
            return floor_files(self.folder, floor_of(state, key), state.data["classes"])
        trial = state.trials.get(key)
        if trial is None or not trial.ended or trial.kind == "floors":
            return []
        return trial_files(state, self.fold.name, self.folder, trial, cost)

    def _upload(self, key: str, files: list[Path]) -> None:
        for file in files:
            self._client.log_artifact(self.runs[key], str(file))


def _pages(client: Any, experiment: str, wanted: str) -> Iterator[Any]:
    """Yield the runs that ``wanted`` describes, the newest first."""
    token = None
    while True:
        page = client.search_runs([experiment], wanted, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _chunks(points: list[Point]) -> Iterator[list[Point]]:
    """Yield the points in parts that one call takes; one empty part carries the tags alone."""
    for start in range(0, max(1, len(points)), _MOST_METRICS):
        yield points[start : start + _MOST_METRICS]


def _is_final(error: Exception) -> bool:
    """Say whether another attempt would end in the same way, so that only telling helps."""
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in _REFUSALS
    if isinstance(error, json.JSONDecodeError):  # a gateway's page instead of the server's answer
        return False
    return isinstance(error, ValueError | TypeError | KeyError | FileNotFoundError)


def _told(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else ''}"
