"""The verbs of ``vidclass sweep`` on studies that were submitted to a cluster."""

import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from vidclass.errors import UserError
from vidclass.plugins import load_plugin
from vidclass.sweep.load import load_study_file
from vidclass.sweep.notify import check_url
from vidclass.sweep.screen import duration
from vidclass.sweep.submit import Submission

if TYPE_CHECKING:
    from vidclass.sweep.jobs import Cluster, Job

__all__ = [
    "list_submitted",
    "logs_of_submitted",
    "status_of_submitted",
    "stop_submitted",
    "submit_command",
]

LAST_LINES = 5


def submit_command(
    study: str,
    *,
    cluster: Path | None,
    address: str | None,
    data: str | None,
    profile: str | None,
    overrides: tuple[str, ...],
    smoke: bool,
    plugins: tuple[str, ...],
    notify: str | None,
    follow: bool,
) -> int:
    """Check a study here, send it to a cluster, and with ``follow`` stay until it ends."""
    for plugin in plugins:
        load_plugin(plugin)
    loaded = load_study_file(
        study, profile=profile, data=data, smoke=smoke, overrides=overrides, look_only=True
    )
    if notify is not None:
        check_url(notify)
    words = [f"--profile={profile}"] if profile else []
    words += [f"--data={data}"] if data else []
    words += [f"--set={item}" for item in overrides]
    words += ["--smoke"] * smoke
    submission = Submission(loaded.name, Path(loaded.source), tuple(words), plugins)
    console = Console(highlight=False, soft_wrap=True)
    with _connected(cluster, address) as there:
        job = there.submit(submission, notify=notify)
        where = f"--cluster {cluster}" if cluster else f"--address {address}"
        console.print(f"submitted {job.study} as {job.job}")
        console.print(f"follow it  vidclass sweep logs {job.study} --follow {where}")
        console.print(f"end it     vidclass sweep stop {job.study} {where}")
        return _told(there.follow(job.job), console) if follow else 0


def list_submitted(cluster: Path | None, address: str | None) -> int:
    """Print the studies that were submitted to a cluster."""
    table = Table("study", "state", "submitted", "took", "exit code")
    with _connected(cluster, address) as there:
        for job in there.jobs():
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started_s))
            code = "" if job.ended_s is None else str(job.code)
            table.add_row(job.study, job.status.lower(), when, duration(_seconds(job)), code)
    Console().print(table)
    return 0


def status_of_submitted(study: str, cluster: Path | None, address: str | None) -> int:
    """Print how a submitted study is and the last that it said; return its exit code."""
    console = Console(highlight=False, soft_wrap=True)
    with _connected(cluster, address) as there:
        job = there.newest(study)
        for line in there.log(job.job).splitlines()[-LAST_LINES:]:
            print(line)
        return _told(job, console)


def logs_of_submitted(
    study: str, trial: str | None, cluster: Path | None, address: str | None, *, follow: bool
) -> int:
    """Print what the driver of a submitted study printed; return the study's exit code.

    Raises:
        UserError: for the output of a trial, which lies in the home folder of the cluster.
    """
    if trial is not None:
        raise UserError(
            "from afar the output of the study is shown, not that of a trial",
            trial,
            f"on the head: vidclass sweep logs {study} {trial}",
        )
    with _connected(cluster, address) as there:
        job = there.newest(study)
        if follow:
            return there.follow(job.job).code
        print(there.log(job.job), end="")
        return job.code


def stop_submitted(study: str, cluster: Path | None, address: str | None) -> int:
    """Stop a submitted study as Ctrl-C would; submitting it again continues it.

    Raises:
        UserError: when it neither waits nor runs.
    """
    console = Console(highlight=False, soft_wrap=True)
    with _connected(cluster, address) as there:
        job = there.newest(study)
        if job.ended_s is not None:
            raise UserError(
                "only a running study can be stopped", study, f"nothing: it {_how(job)}"
            )
        _told(_stopped(there, job), console)
    return 0


def _connected(cluster: Path | None, address: str | None) -> "AbstractContextManager[Cluster]":
    from vidclass.sweep.jobs import connected  # brings Ray, which mistakes need not wait for

    return connected(cluster, address)


def _stopped(there: "Cluster", job: "Job") -> "Job":
    ended = there.stop(job.job)
    if ended.ended_s is None:
        raise UserError("a stopped study ends", f"{job.study} is {ended.status}", "look at its log")
    return ended


def _told(job: "Job", console: Console) -> int:
    console.print(f"{job.study} {_how(job)} ({job.job}), exit code {job.code}")
    return job.code


def _how(job: "Job") -> str:
    if job.ended_s is None:
        return f"is {job.status.lower()} since {duration(_seconds(job))}"
    words = {0: "is complete", 3: "ended at a limit of its budget", 130: "was stopped"}
    return f"{words.get(job.code, 'failed')} after {duration(_seconds(job))}"


def _seconds(job: "Job") -> float:
    return (job.ended_s or time.time()) - job.started_s
