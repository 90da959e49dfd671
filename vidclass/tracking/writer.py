"""The writer thread of a driver: tails the ledger of a study into MLflow, at its own pace.

Nothing waits for it and nothing that happens to it reaches the study. Where it stands is in the
study's ``tracking.json``; without that file it begins again, to the same end.
"""

import json
import threading
import time
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vidclass.errors import UserError
from vidclass.home import write_aside
from vidclass.sweep.ledger import LEDGER_NAME, Event
from vidclass.tracking import store
from vidclass.tracking.replay import Replay
from vidclass.tracking.runs import Fold

__all__ = ["LedgerWriter", "sync"]

POSITION_NAME = "tracking.json"
_LOCK_NAME = "tracking.lock"
_POLL_S = 1.0
_LONGEST_WAIT_S = 30.0


class LedgerWriter:
    """Tails the ledger of a running study into MLflow, from a daemon thread.

    Args:
        study_folder: the study's folder.
        home: the home folder.
        name: the study's name.
    """

    def __init__(self, study_folder: Path, home: Path, name: str) -> None:
        self._pump = _Pump(study_folder, home, name)
        self._ending = threading.Event()
        self._deadline = float("inf")
        self._drained = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="vidclass-mlflow", daemon=True)

    def start(self) -> None:
        """Begin; returns at once, MLflow is imported in the thread."""
        self._thread.start()

    def finish(self, timeout_s: float) -> str:
        """Wait until all events are in MLflow, at most ``timeout_s``, and end the thread.

        Returns:
            What is missing and how to bring it; empty when everything arrived.
        """
        self._deadline = time.monotonic() + timeout_s
        self._ending.set()
        self._thread.join(timeout_s)
        remedy = f"`vidclass sweep sync {self._pump.name}` brings it"
        if not self._drained:
            why = f" ({_first_line(self._error)})" if self._error else ""
            return f"MLflow does not have all of the study yet{why}; {remedy}"
        if self._pump.problems:
            key, problem = next(iter(self._pump.problems.items()))
            more = (
                f" and {len(self._pump.problems) - 1} more" if len(self._pump.problems) > 1 else ""
            )
            return f"MLflow did not take all of the study: {key}: {problem}{more}; {remedy}"
        return ""

    def _run(self) -> None:
        wait = _POLL_S
        while not self._drained and time.monotonic() < self._deadline:
            ending = self._ending.is_set()
            try:
                self._pump.open()
                self._pump.step(ending=ending)
                self._error, wait = None, _POLL_S
                self._drained = ending
            except Exception as error:  # whatever it is, the study goes on
                self._error = error
                self._pump.disconnect()
                wait = min(2 * wait, _LONGEST_WAIT_S)
            if not self._drained:
                # Once the study has ended, short waits: somebody looks at the screen.
                self._ending.wait(wait) if not ending else time.sleep(_POLL_S)
        self._pump.close()


def sync(study_folder: Path, home: Path, name: str) -> dict[str, str]:
    """Bring the runs of a study in MLflow to what its whole ledger says, from its first event.

    Replay, repair and making all runs again after the database was lost are this one thing.

    Returns:
        What MLflow did not take, and why; empty when it has everything.

    Raises:
        UserError: when the store does not answer, or a running driver's own writer is at it.
    """
    pump = _Pump(study_folder, home, name)
    try:
        pump.open()
        pump.start_over()
        pump.step(ending=True)
    except Timeout:
        raise UserError(
            "one writer at a time brings a study to MLflow",
            f"the driver of {name} does so now",
            "wait for its end",
        ) from None
    except Exception as error:
        raise UserError(
            "the MLflow store answers and takes what it is given",
            _first_line(error),
            "start the server that MLFLOW_TRACKING_URI names, or unset it for the local store",
        ) from error
    finally:
        pump.close()
    return pump.problems


class _Pump:
    """Reads new events and brings MLflow up to them; one thread at a time."""

    def __init__(self, folder: Path, home: Path, name: str) -> None:
        self.folder, self.home, self.name = folder, home, name
        self._lock = FileLock(folder / _LOCK_NAME)
        self.start_over()

    def open(self) -> None:
        """Take the study's place at MLflow, and go on from where the last writer got to.

        Raises:
            Timeout: while another writer has it; a killed one's hold ends with its process.
        """
        if not self._lock.is_locked:
            self._lock.acquire(timeout=0)
            self._saved = self._read_position()

    def close(self) -> None:
        """Leave the place to the next writer."""
        self._lock.release()

    @property
    def problems(self) -> dict[str, str]:
        """What MLflow refused, by run."""
        return self._replay.problems

    def step(self, *, ending: bool = False) -> None:
        """Take in all events that are there; at the end also log the winners' models.

        Raises:
            Exception: whatever MLflow raises when its store is away; the next step goes on.
        """
        self._read()
        if not self._fold.state.started:
            return
        self._replay.connect()
        if not self._saved["runs"].keys() <= self._replay.runs.keys():
            self.start_over()  # the store lost runs: all are made again
            self._read()
            self._replay.connect()
        if self._fold.touched:
            self._replay.push()
            self._save()
        if ending and self._fold.state.ended_at is not None:
            self._replay.finish()

    def start_over(self) -> None:
        """Forget what was read and pushed before."""
        self._saved = _no_position(self.home)
        self._fold = Fold(self.name)
        self._replay = Replay(self.folder, self.home, self._fold)
        self._offset = 0

    def disconnect(self) -> None:
        """Look at the store afresh in the next step."""
        self._replay.disconnect()

    def _read(self) -> None:
        """Fold in the whole lines after the offset; those known to be pushed touch nothing."""
        path = self.folder / LEDGER_NAME
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._offset += len(line)
            event: Event = json.loads(line)
            self._fold.take(event)
            if self._offset <= self._saved["offset"]:
                self._fold.touched.clear()

    def _read_position(self) -> dict[str, Any]:
        path = self.folder / POSITION_NAME
        if path.exists():
            saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if saved["store"] == store.store_id(self.home):
                return saved
        return _no_position(self.home)

    def _save(self) -> None:
        self._saved = {
            "store": store.store_id(self.home),
            "experiment": self._replay.experiment,
            "offset": self._offset,
            "runs": dict(self._replay.runs),
        }
        with write_aside(self.folder / POSITION_NAME) as aside:
            aside.write_text(json.dumps(self._saved) + "\n", encoding="utf-8")


def _no_position(home: Path) -> dict[str, Any]:
    return {"store": store.store_id(home), "experiment": "", "offset": 0, "runs": {}}


def _first_line(error: BaseException | None) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else ''}"
