"""Real drivers in homes of their own, to be killed: no test here runs a part of vidclass alone."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from vidclass.data.synthetic import make_moving_shapes
from vidclass.home import studies_folder
from vidclass.sweep.ledger import read_events
from vidclass.sweep.state import State, replay

PATIENCE_S = 600.0
"""How long anything may take; an idle machine needs a tenth of it."""
POLL_S = 0.05
EPOCHS = 4
SMOKE = ("smoke", "--set", "finals.rerun_seeds=2", "--set", f"budget.epochs={EPOCHS}")
"""The smoke study, with re-runs, and trainings that last long enough to be met in the middle."""

Event = dict[str, Any]


@dataclass
class Home:
    """A home folder, the drivers that work in it, and all processes that they started."""

    path: Path
    ray: Path
    """Short, since the path of a socket has at most 107 bytes; it also marks our processes."""
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "VIDCLASS_HOME": str(self.path), "VIDCLASS_RAY_TEMP": str(self.ray)}

    def command(self, *arguments: str) -> list[str]:
        words = [sys.executable, "-m", "vidclass.sweep", *arguments]
        runs = arguments[0] not in ("status", "list", "logs", "stop", "sync")
        return [*words, "--out", str(self.path.parent / "reports")] if runs else words

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a driver as the leader of its own process group, as a shell does."""
        with self.log.open("ab") as log:
            driver = subprocess.Popen(
                self.command(*arguments),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(driver)
        return driver

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            start_new_session=True,
        )

    @property
    def log(self) -> Path:
        return self.path.parent / "driver.log"

    def said(self) -> str:
        """What all drivers of this home have printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def folder(self) -> Path:
        """The folder of the one study of this home; one that is not there before it began."""
        found = list(studies_folder(self.path).glob("*/ledger.jsonl"))
        assert len(found) <= 1, found
        return found[0].parent if found else studies_folder(self.path) / "none"

    @property
    def study(self) -> str:
        """The name of that study."""
        return self.folder.name

    def _ledger(self, study: str | None) -> Path:
        folder = self.folder if study is None else studies_folder(self.path) / study
        return folder / "ledger.jsonl"

    def events(self, study: str | None = None, **wanted: Any) -> list[Event]:
        """Return the events of the ledger (of the one study) whose fields equal ``wanted``."""
        return [
            event
            for event in read_events(self._ledger(study))
            if all(event.get(key) == value for key, value in wanted.items())
        ]

    def state(self, study: str | None = None) -> State:
        """Return the state of the one study, or of the one that is named."""
        return replay(self._ledger(study))

    def wait(
        self, what: str, seen: Callable[[], object], driver: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Wait until ``seen()``; a driver that ends before it is a failure."""
        until = time.monotonic() + PATIENCE_S
        while not seen():
            if driver is not None and driver.poll() is not None and not seen():
                pytest.fail(
                    f"the driver ended with {driver.returncode} before {what}\n{self.said()}"
                )
            if time.monotonic() > until:
                pytest.fail(f"not within {PATIENCE_S:.0f} s: {what}\n{self.said()}")
            time.sleep(POLL_S)

    def processes(self) -> list[psutil.Process]:
        """Return what runs for this home: drivers, Ray's processes, trials, decoders."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("VIDCLASS_RAY_TEMP") == str(self.ray)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def left_behind(self, within_s: float) -> list[str]:
        """Return the command lines of processes that are still there ``within_s`` from now."""
        until = time.monotonic() + within_s
        while (alive := self.processes()) and time.monotonic() < until:
            time.sleep(0.2)
        return [f"{process.pid} {process.name()}" for process in alive]


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Home]]:
    """``new_home(copy_of=None, rooms=())`` makes a home, perhaps with rooms of another's."""
    homes: list[Home] = []

    def make(copy_of: Path | None = None, rooms: tuple[str, ...] = ()) -> Home:
        home = Home(
            path=tmp_path_factory.mktemp("fault") / "home",
            ray=Path(tempfile.mkdtemp(prefix="vc-f-", dir="/tmp")),
        )
        home.path.mkdir()
        for room in rooms:
            assert copy_of is not None
            shutil.copytree(copy_of / room, home.path / room)
        homes.append(home)
        return home

    yield make
    for home in homes:
        for process in home.processes():
            process.send_signal(signal.SIGKILL)
        for driver in home.started:
            driver.wait(timeout=60)
        shutil.rmtree(home.ray, ignore_errors=True)


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the videos of the smoke study are made, and nothing else is."""
    home = tmp_path_factory.mktemp("made")
    make_moving_shapes(home, preset="smoke")
    return home


@pytest.fixture(scope="session")
def reference(new_home: Callable[..., Home], made_data: Path) -> Home:
    """The home of a smoke study that nobody interrupted."""
    home = new_home(made_data, ("datasets",))
    done = home.run(*SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    return home
