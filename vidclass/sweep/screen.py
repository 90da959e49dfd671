"""The live view of a study: a table in a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vidclass.data.pipeline import Progress
from vidclass.errors import UserError
from vidclass.models import model_entry
from vidclass.sweep.engine import Engine
from vidclass.sweep.progress import Overview, overview
from vidclass.sweep.resolution import resolution_line, resolution_of
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State

__all__ = ["Screen", "duration", "state_table"]

_TERMINAL_REFRESH_S = 1.0
_LINES_REFRESH_S = 15.0


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: 41 s, 7 min 12 s, 2 h 5 min."""
    if seconds is None:
        return "not known yet"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Screen:
    """Shows what the engine's state says; it is asked, it never tells.

    Args:
        console: where to; whether it is a terminal decides between table and lines.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.slots = 1
        self._engine: Engine | None = None
        self._data: Progress | None = None
        self._said = ("", 0.0)
        self._counted: tuple[int, Overview] | None = None
        self._resolves = (0, "")

    def say(self, line: str) -> None:
        """Print one line that stays."""
        self.console.print(line, highlight=False, soft_wrap=True)

    def warn(self, warnings: Sequence[str]) -> None:
        """Print what the data set was warned of, a line each."""
        for told in warnings:
            self.say(f"warning: {escape(told)}")

    def data_progress(self, progress: Progress) -> None:
        """Take how far the data phase is; called from the data phase, often."""
        self._data = progress
        stage, at = self._said
        fresh = progress.stage != stage
        if not self.console.is_terminal and (fresh or time.monotonic() - at > _LINES_REFRESH_S):
            self.say(_data_line(progress))
            self._said = (progress.stage, time.monotonic())

    @contextmanager
    def showing(self, engine: Engine) -> Iterator[None]:
        """Show ``engine`` until the block ends."""
        self._engine = engine
        ended = threading.Event()
        if self.console.is_terminal:
            with Live(
                get_renderable=self._view,
                console=self.console,
                refresh_per_second=1 / _TERMINAL_REFRESH_S,
                redirect_stdout=False,
                redirect_stderr=False,
            ):
                yield
            return
        thread = threading.Thread(target=self._lines, args=(ended,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            if engine.state.data:
                self.say(_line(self._overview(engine), engine.spec))

    def _lines(self, ended: threading.Event) -> None:
        told = ""
        while not ended.wait(_LINES_REFRESH_S):
            if self._engine is not None and self._engine.state.data:
                if told != (told := self._resolution(self._engine)):
                    self.say(told)
                self.say(_line(self._overview(self._engine), self._engine.spec))

    def _view(self) -> Group | Text:
        engine = self._engine
        if engine is None or not engine.state.data:
            return _data_view(self._data) if self._data else Text("starting ...")
        table = _table(engine.name, self._overview(engine), engine.spec)
        resolves = self._resolution(engine)
        return Group(table, Text(resolves)) if resolves else table

    def _resolution(self, engine: Engine) -> str:
        """Return what the finals will resolve, empty before all winners are known."""
        num_winners, told = self._resolves
        if not told and len(engine.state.winners) != num_winners:
            with engine.changing:
                found = resolution_of(engine.state, engine.spec, engine.folder)
                num_winners = len(engine.state.winners)
            self._resolves = num_winners, resolution_line(found) if found else ""
        return self._resolves[1]

    def _overview(self, engine: Engine) -> Overview:
        """Count anew where something has happened since: a large study takes a while to count."""
        with engine.changing:
            events = engine.state.num_events
            if self._counted is None or self._counted[0] != events:
                self._counted = events, _seen(engine.state, engine.spec, self.slots)
            return self._counted[1]


def _seen(state: State, spec: StudySpec, slots: int) -> Overview:
    uses_order = {arm.name: _uses_order(arm.model) for arm in spec.arms}
    return overview(state, spec, slots, uses_order)


def _uses_order(model: str) -> bool:
    """Return whether a control of the model is planned; a plug-in's may not be loaded here."""
    try:
        return model_entry(model).uses_order
    except UserError:
        return True


def state_table(name: str, state: State, spec: StudySpec, slots: int) -> Group:
    """Return the table of arms and the line of totals."""
    return _table(name, _seen(state, spec, slots), spec)


def _table(name: str, seen: Overview, spec: StudySpec) -> Group:
    table = Table(title=f"{name}   stage: {seen.stage}", title_justify="left")
    for column in ("arm", "running", "stopped early", "done", "of", "failed", "best validation"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for row in seen.rows:
        best = "-" if row.best_valid is None else f"{row.best_valid:.3f}"
        counts = (row.running, row.stopped, row.ended, row.planned, row.failed)
        table.add_row(row.arm, *(str(count) for count in counts), best)
    return Group(table, Text(_line(seen, spec)))


def _line(seen: Overview, spec: StudySpec) -> str:
    scored = [(row.best_valid, row.arm) for row in seen.rows if row.best_valid is not None]
    best = "-" if not scored else "{:.3f} ({})".format(*max(scored))
    running = ", ".join(row.arm for row in seen.rows if row.running)
    stopped = sum(row.stopped for row in seen.rows)
    return (
        f"{seen.done} of {seen.planned} trainings done, {stopped} of them stopped early, "
        f"{sum(row.running for row in seen.rows)} running ({seen.stage}"
        f"{f': {running}' if running else ''}); "
        f"best validation {spec.primary.metric.replace('_', ' ')} {best}; "
        f"{duration(seen.seconds)} so far, at most {duration(seen.seconds_left)} left"
    )


def _data_view(progress: Progress) -> Group:
    bar = ProgressBar(total=progress.total, completed=progress.done, width=60)
    return Group(Text(_data_line(progress)), bar)


def _data_line(progress: Progress) -> str:
    rate = f", {progress.videos_per_s:.0f} videos/s" if progress.videos_per_s else ""
    known = progress.seconds_left is not None
    left = f", {duration(progress.seconds_left)} left" if known else ""
    return f"data, {progress.stage}: {progress.done} of {progress.total} videos{rate}{left}"
