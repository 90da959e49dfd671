"""What the verbs of ``vidclass sweep`` do; ``verbs`` wires them to the command line."""

import os
import shlex
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from vidclass.errors import UserError
from vidclass.home import home, studies_folder
from vidclass.plugins import load_plugin
from vidclass.study import Study, load_study
from vidclass.sweep.load import LoadedStudy, load_study_file, packaged_studies
from vidclass.sweep.lock import driver_of
from vidclass.sweep.notify import Notice, notifying
from vidclass.sweep.screen import Screen, duration, state_table
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import replay
from vidclass.tracking.store import ui_command

if TYPE_CHECKING:
    from vidclass.report.render import Rendered
    from vidclass.sweep.runner import Outcome

__all__ = [
    "list_command",
    "logs_command",
    "run_and_report",
    "run_command",
    "run_study",
    "status_command",
    "stop_command",
    "sync_command",
]

EXIT_INTERRUPTED = 130
INTERRUPTED = "interrupted: nothing that was reported is lost. To go on, run the same again."
LOG_POLL_S = 0.5
EXIT_LIMIT = 3
"""The study ended at a limit of its budget: there is a report, but not all that was planned."""


def run_command(
    study: str,
    *,
    data: str | None,
    profile: str | None,
    overrides: tuple[str, ...],
    smoke: bool,
    dry_run: bool,
    plugins: tuple[str, ...],
    out: Path,
    notify: str | None = None,
) -> int:
    """Run or continue a study, or show its plan; return the exit code."""
    if dry_run:
        from vidclass.sweep.plan import plan_lines  # brings SciPy, which `status` needs not

        for plugin in plugins:
            load_plugin(plugin)
        loaded = load_study_file(
            study, profile=profile, data=data, smoke=smoke, overrides=overrides
        )
        screen = Screen()
        for line in plan_lines(loaded, home()):
            screen.say(line)
        return 0
    try:
        with notifying(notify, Path(study).stem, print) as notice:
            outcome = run_and_report(
                study,
                data=data,
                profile=profile,
                smoke=smoke,
                overrides=overrides,
                plugins=plugins,
                out=out,
            )
            _fill_in(notice, outcome)
    except KeyboardInterrupt:  # before the study had its ledger
        Screen().say(INTERRUPTED)
        return EXIT_INTERRUPTED
    if outcome.interrupted:
        return EXIT_INTERRUPTED
    return 0 if outcome.reason == "complete" else EXIT_LIMIT


def _fill_in(notice: Notice, outcome: "Outcome") -> None:
    notice.study = outcome.name
    notice.event = "paused" if outcome.interrupted else "ended"
    notice.reason = "interrupted" if outcome.interrupted else outcome.reason
    if outcome.rendered is not None:
        notice.verdict, notice.report = outcome.rendered.verdict, str(outcome.rendered.html)


def run_and_report(
    study: str,
    *,
    data: str | None,
    profile: str | None,
    overrides: tuple[str, ...],
    smoke: bool,
    plugins: tuple[str, ...],
    out: Path | None,
) -> "Outcome":
    """Run what is left of a study, write its report and say how it ended.

    Args:
        study: a study file, or the name of one.
        data: folder of videos that replaces the file's.
        profile: the study's profile instead of the file's.
        overrides: ``a.b=c`` each.
        smoke: whether to run the one-minute version.
        plugins: Python files or modules with own models.
        out: the folder to which the report is copied, as ``out/NAME``; None copies nothing.
    """
    from vidclass.sweep.runner import run  # Ray takes seconds to import; other verbs need none

    # the same file must be found from every trial, whose working folder is another
    plugins = tuple(str(Path(p).resolve()) if p.endswith(".py") else p for p in plugins)
    for plugin in plugins:
        load_plugin(plugin)
    loaded = load_study_file(study, profile=profile, data=data, smoke=smoke, overrides=overrides)
    screen = Screen()
    screen.say(f"study {loaded.name} ({loaded.source}), profile {loaded.spec.profile}")
    copy = out / loaded.name if out is not None else None
    outcome = run(loaded, home(), screen, plugins=plugins, out=copy)
    if outcome.rendered is None:
        screen.say(INTERRUPTED)
    else:
        _closing_lines(screen, loaded, outcome, outcome.rendered)
    return outcome


def run_study(
    study: str,
    *,
    data: str | None = None,
    profile: str | None = None,
    smoke: bool = False,
    overrides: Sequence[str] = (),
    plugins: Sequence[str] = (),
) -> Study:
    """Run (or continue) a study as ``python -m vidclass.sweep`` does, and return it.

    Args:
        study: a study file, or the name of one.
        data: folder of videos that replaces the file's.
        profile: ``laptop`` or ``full``.
        smoke: the whole path in about a minute.
        overrides: ``a.b=c`` each.
        plugins: Python files or modules with own models.

    Raises:
        UserError: for every mistake that the user can mend.
    """
    outcome = run_and_report(
        study,
        data=data,
        profile=profile,
        smoke=smoke,
        overrides=tuple(overrides),
        plugins=tuple(plugins),
        out=None,
    )
    return load_study(outcome.name)


def _closing_lines(
    screen: Screen, loaded: LoadedStudy, outcome: "Outcome", rendered: "Rendered"
) -> None:
    state = replay(outcome.folder / "ledger.jsonl")
    screen.say("")
    screen.say(f"[bold]{rendered.verdict}[/bold]")
    if outcome.reason != "complete":
        screen.say(f"The study ended early: {outcome.reason}. Raise it and run again to go on.")
    times = state.data.get("seconds", {})
    named = {"find": "videos found or made", "hash": "hashed", "decode": "decoded"}
    parts = [f"{told} {duration(times[part])}" for part, told in named.items() if part in times]
    trials = duration(state.seconds - times.get("all", 0.0))
    floors = duration(sum(trial.seconds for trial in state.select(kind="floors")))
    parts += [f"trials {trials} (of which floors {floors} of one slot)"]
    parts += [f"report {duration(outcome.report_s)}"] if outcome.report_s else []
    screen.say(f"time     {duration(state.seconds + outcome.report_s)}: {', '.join(parts)}")
    screen.say(f"report   {rendered.html}")
    screen.say(f"runs     {shlex.join(ui_command(home()))}   (or: vidclass ui)")
    if outcome.untracked:
        screen.say(f"missing  {outcome.untracked}")
    if state.champion is not None:
        screen.say(
            'use it   python -c "import vidclass; '
            f"print(vidclass.load_study('{loaded.name}').best_model().predict('VIDEO.mp4').T)\""
        )


def list_command() -> None:
    """Print the studies of the home folder and the study files that can be run."""
    console = Console()
    table = Table("study", "state", "trials", "worked", title="studies", title_justify="left")
    for ledger in sorted(studies_folder(home()).glob("*/ledger.jsonl")):
        try:
            state = replay(ledger)
        except UserError as error:  # one that can't be read hides no other
            table.add_row(ledger.parent.name, str(error.received), "", "")
            continue
        running = driver_of(ledger.parent)
        told = "running" if running else state.end_reason or "to be continued"
        table.add_row(ledger.parent.name, told, str(len(state.trials)), duration(state.seconds))
    console.print(table)
    files = Table("name", "title", title="study files", title_justify="left")
    for name, _ in packaged_studies():
        files.add_row(name, load_study_file(name, look_only=True).spec.title)
    console.print(files)


def status_command(study: str) -> None:
    """Print how far a study is."""
    found = load_study(study)
    state = found.state
    console = Console()
    if state.data:
        spec = StudySpec.model_validate(state.spec)
        console.print(state_table(found.name, state, spec, state.started["slots"]))
    driver = driver_of(found.folder)
    if driver:
        console.print(f"running: pid {driver['pid']} on {driver['host']}")
    else:
        console.print(state.end_reason or "not running; the run command continues it")


def stop_command(study: str) -> None:
    """Interrupt the driver of a study, as Ctrl-C would.

    Raises:
        UserError: when nobody runs it, or its driver is on another machine.
    """
    found = load_study(study)
    driver = driver_of(found.folder)
    if driver is None:
        raise UserError("only a running study can be stopped", study, "nothing: it is not running")
    if driver["host"] != socket.gethostname():
        raise UserError(
            "a study is stopped on the machine of its driver",
            f"{study} runs on {driver['host']}, pid {driver['pid']}",
            f"run the same command on {driver['host']}",
        )
    os.kill(int(str(driver["pid"])), signal.SIGTERM)
    Console().print(f"asked pid {driver['pid']} to stop; the run command continues the study")


def logs_command(study: str, trial: str | None, *, follow: bool) -> None:
    """Print the output of a trial.

    Raises:
        UserError: when no trial is named, or the study has none of that name.
    """
    found = load_study(study)
    if trial is None:
        raise UserError(
            "logs are of a trial; those of a submitted study are of its driver",
            f"{study} without a trial",
            "a trial such as t0001, or the cluster: --cluster FILE",
        )
    path = found.folder / "logs" / f"{trial}.log"
    if trial not in found.state.trials:
        raise UserError("logs are of a trial of the study", trial, f"one of those in {path.parent}")
    position = 0
    while True:
        ended = not follow or load_study(study).state.trials[trial].ended  # before the last look
        if path.exists():
            with path.open("rb") as log:
                log.seek(position)
                text = log.read()
            position += len(text)
            print(text.decode(errors="replace"), end="", flush=True)
        if ended:
            return
        time.sleep(LOG_POLL_S)


def sync_command(study: str) -> None:
    """Write a study's ledger into MLflow."""
    from vidclass.tracking.writer import sync  # MLflow takes two seconds to import

    found = load_study(study)
    problems = sync(found.folder, home(), found.name)
    for run, problem in problems.items():
        Console().print(f"not taken: {run}: {problem}")
    if not problems:
        Console().print(f"MLflow holds what the ledger of {study} says")
