"""Studies submitted to a cluster through Ray Jobs: sent, listed, followed and stopped from afar."""

import asyncio
import logging
import os
import re
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

import vidclass
from vidclass.errors import UserError
from vidclass.sweep.submit import Submission, build_wheel, carried_plugins, exit_code

__all__ = ["Cluster", "Job", "connected"]

OPENING_S = 90.0
"""How long an ssh tunnel to the head may take to open."""
STOP_S = 60
"""How long a stopped study has to end its trials and write what it knows, before it is killed."""
POLL_S = 0.5
NOT_YET = "try again later"
"""Ray's words while no agent of the head has told that it is there."""
TOKEN = Path("~/.ray/auth_token")


@dataclass(frozen=True)
class Job:
    """A submitted study.

    Attributes:
        study: its name.
        job: Ray's name of the job.
        status: Ray's word for its state.
        started_s: when it was submitted, seconds since 1970.
        ended_s: when it ended, None while it has not.
        code: see :func:`vidclass.sweep.submit.exit_code`.
        message: what Ray says of it.
    """

    study: str
    job: str
    status: str
    started_s: float
    ended_s: float | None
    code: int
    message: str


class Cluster:
    """The jobs of one cluster.

    Args:
        url: address of its job server, ``http://HOST:8265``.

    Raises:
        UserError: when nothing answers there, or without its token.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        for name in ("dashboard_sdk", "job.sdk"):
            logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
        try:
            self._client: JobSubmissionClient = _asked(JobSubmissionClient, url)
            _asked(self._client.list_jobs)
        except AuthenticationError as error:
            raise UserError(
                "the cluster's token lies on this machine",
                f"{url} refused the one it was shown, or was shown none",
                f"copy the head's {TOKEN} here, readable for you alone (chmod 600)",
            ) from error
        except OSError as error:
            raise UserError(
                "a cluster with Ray's job server answers at the address",
                f"{url}: {str(error).splitlines()[0]}",
                "--cluster FILE of `ray up`, or --address http://HEAD:8265 (see `ray dashboard`)",
            ) from error

    def jobs(self) -> list[Job]:
        """Return the submitted studies, newest first; other jobs of the cluster are left out."""
        details = [
            job for job in _asked(self._client.list_jobs) if (job.metadata or {}).get("study")
        ]
        return [_job(job) for job in sorted(details, key=lambda d: -(d.start_time or 0))]

    def newest(self, study: str) -> Job:
        """Return the newest job of ``study``.

        Raises:
            UserError: when there is none.
        """
        jobs = self.jobs()
        for job in jobs:
            if job.study == study:
                return job
        known = ", ".join(dict.fromkeys(job.study for job in jobs)) or "none was submitted"
        raise UserError("a study that was submitted to this cluster", study, f"one of: {known}")

    def submit(self, submission: Submission, *, notify: str | None) -> Job:
        """Send a study to the cluster and return its job.

        Raises:
            UserError: when it runs or waits there already.
        """
        for job in self.jobs():
            if job.study == submission.name and job.status in ("PENDING", "RUNNING"):
                raise UserError(
                    "a study has one driver at a time",
                    f"{submission.name} is {job.status.lower()} as {job.job}",
                    f"`vidclass sweep logs {submission.name} -f` or `stop`, with the same cluster",
                )
        words = [submission.file.name, *submission.arguments]
        for plugin in carried_plugins(submission):
            words += ["--plugin", plugin]
        settings = {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}
        if notify is not None:
            settings["VIDCLASS_NOTIFY"] = notify
        with tempfile.TemporaryDirectory() as folder:
            wheel = build_wheel(submission, Path(folder))
            sent = _asked(
                self._client.submit_job,
                entrypoint=f"exec python -m vidclass.sweep.submitted {shlex.join(words)}",
                submission_id=_job_name(submission.name),
                runtime_env={"py_modules": [str(wheel)], "env_vars": settings},
                metadata={"study": submission.name, "vidclass": vidclass.__version__},
            )
        return self.look(sent)

    def look(self, job: str) -> Job:
        """Return how a job is."""
        return _job(_asked(self._client.get_job_info, job))

    def log(self, job: str) -> str:
        """Return what the driver has printed so far."""
        return str(_asked(self._client.get_job_logs, job))

    def follow(self, job: str) -> Job:
        """Print what the driver prints until it ends; return how it ended."""
        asyncio.run(self._print(job))
        return self._wait(job, patience_s=OPENING_S)

    def stop(self, job: str) -> Job:
        """Stop a study as Ctrl-C would; return how it ended."""
        _asked(self._client.stop_job, job)
        return self._wait(job, patience_s=STOP_S + OPENING_S)

    async def _print(self, job: str) -> None:
        async for text in self._client.tail_job_logs(job):
            print(text, end="", flush=True)

    def _wait(self, job: str, *, patience_s: float) -> Job:
        give_up = time.monotonic() + patience_s
        while (now := self.look(job)).status in ("PENDING", "RUNNING"):
            if time.monotonic() > give_up:
                break
            time.sleep(POLL_S)
        return now


def _asked(call: Callable[..., Any], *words: str, **fields: Any) -> Any:
    """Return what the job server answers; a head that has just started is given some time.

    Raises:
        UserError: when it refuses.
    """
    give_up = time.monotonic() + OPENING_S
    while True:
        try:
            return call(*words, **fields)
        except RuntimeError as error:
            if NOT_YET not in str(error) or time.monotonic() > give_up:
                raise UserError(
                    "the cluster's job server does what it is asked",
                    str(error).strip().splitlines()[-1][-300:],
                    "look at its pages: `ray dashboard FILE`",
                ) from error
            time.sleep(POLL_S)


@contextmanager
def connected(cluster: Path | None, address: str | None) -> Iterator[Cluster]:
    """Yield the cluster of a cluster file, through an ssh tunnel, or of an address.

    Raises:
        UserError: when neither or both are given, or the cluster does not answer.
    """
    if (cluster is None) == (address is None):
        raise UserError(
            "one cluster is named",
            "both --cluster and --address" if cluster else "neither --cluster nor --address",
            "--cluster cluster.yaml, or --address http://HEAD:8265",
        )
    with _own_environment():
        if cluster is None:
            yield Cluster(str(address).rstrip("/"))
            return
        with _tunnel(cluster) as url:
            yield Cluster(url)


@contextmanager
def _own_environment() -> Iterator[None]:
    """Have Ray's client take the address that it is given, and the token that lies here."""
    kept = dict(os.environ)
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        os.environ.pop(name, None)
    if TOKEN.expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


@contextmanager
def _tunnel(path: Path) -> Iterator[str]:
    """Yield the local address of the head's job server while `ray dashboard` keeps it open."""
    if not path.is_file():
        raise UserError("--cluster names the file of `ray up`", path, "a file that is there")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile("w+") as said:
        tunnel = subprocess.Popen(
            ["ray", "dashboard", str(path), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            give_up = time.monotonic() + OPENING_S
            while not _answers(url):
                if tunnel.poll() is not None or time.monotonic() > give_up:
                    said.seek(0)
                    raise UserError(
                        f"the head of {path} is reached by ssh, and Ray runs there",
                        said.read().strip()[-300:] or f"no answer within {OPENING_S:g} s",
                        f"`ray up {path}` first, or look with `ray attach {path}`",
                    )
                time.sleep(POLL_S)
            yield url
        finally:
            os.killpg(tunnel.pid, signal.SIGTERM)
            tunnel.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/version", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True  # it is there, and asks for its token
    except OSError:
        return False


def _job(details: JobDetails) -> Job:
    status = details.status.value if isinstance(details.status, JobStatus) else str(details.status)
    return Job(
        study=(details.metadata or {})["study"],
        job=str(details.submission_id),
        status=status,
        started_s=(details.start_time or 0) / 1000,
        ended_s=None if details.end_time is None else details.end_time / 1000,
        code=exit_code(status, details.driver_exit_code),
        message=str(details.message or ""),
    )


def _job_name(study: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9_]', '-', study)}-{time.strftime('%Y%m%d-%H%M%S')}"
