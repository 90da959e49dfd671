"""Telling someone that a study ended, failed or was paused: a command that is run, or a URL.

A notification is a courtesy: whatever goes wrong with it is told in one line and changes neither
the study nor its exit code. It is sent once, after all that the study had to write was written.
"""

import json
import os
import shlex
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal

from vidclass.errors import UserError, UserErrors

__all__ = ["Notice", "check_target", "check_url", "notifying", "send"]

Event = Literal["ended", "failed", "paused"]

URL_PATIENCE_S = 10.0
COMMAND_PATIENCE_S = 60.0


@dataclass
class Notice:
    """What is told.

    Attributes:
        study: the study's name.
        event: ``ended`` (with a report), ``failed``, or ``paused`` (running it again goes on).
        reason: why: ``complete``, the limit that was reached, or the error.
        verdict: the report's sentence, where there is a report.
        report: path of the report on ``host``, where there is one.
        host: the driver's machine.
    """

    study: str
    event: Event = "failed"
    reason: str = ""
    verdict: str = ""
    report: str = ""
    host: str = field(default_factory=socket.gethostname)

    @property
    def text(self) -> str:
        """The notice as a sentence or two."""
        head = f"vidclass: {self.study} {self.event}"
        return ". ".join(part for part in (f"{head}: {self.reason}", self.verdict) if part)


def check_target(target: str) -> None:
    """Refuse a target that can't be one, before the study starts.

    Raises:
        UserError: when it is neither a URL nor a command that is there.
    """
    if _is_url(target):
        return
    try:
        words = shlex.split(target)
    except ValueError as error:  # a quote that is never closed
        raise _no_command(target, str(error)) from error
    if not words or shutil.which(words[0]) is None:
        raise _no_command(target, "no such program")


def check_url(target: str) -> None:
    """Refuse what a submitted study can't notify: commands of this machine are not on the head.

    Raises:
        UserError: when it is no URL.
    """
    if not _is_url(target):
        raise UserError(
            "a submitted study notifies a URL: its driver runs on the cluster's head",
            target,
            "--notify https://...",
        )


def send(target: str, notice: Notice) -> str:
    """Send ``notice`` to ``target``; return what went wrong, or an empty string.

    A URL gets the fields of the notice and ``text`` as JSON by POST. A command gets the text on
    its standard input and the fields in its environment, as ``VIDCLASS_STUDY`` and so on.
    """
    try:
        if _is_url(target):
            _post(target, notice)
        else:
            _run(target, notice)
    except Exception as error:
        # the target itself may hold a secret, as the URLs of chat rooms do: it is not repeated
        return f"the notification was not sent: {type(error).__name__}"
    return ""


@contextmanager
def notifying(target: str | None, study: str, say: Callable[[str], None]) -> Iterator[Notice]:
    """Yield the notice that is sent when the block ends; the block fills in how it ended.

    Left by an exception, the notice tells that: KeyboardInterrupt is a pause, others a failure.
    """
    notice = Notice(study)
    if target is None:
        yield notice
        return
    check_target(target)
    try:
        yield notice
    except KeyboardInterrupt:
        notice.event, notice.reason = "paused", "interrupted"
        raise
    except (UserError, UserErrors) as error:
        notice.event, notice.reason = "failed", str(error)
        raise
    except BaseException as error:
        notice.event, notice.reason = "failed", f"{type(error).__name__}: {error}"
        raise
    finally:
        problem = send(target, notice)
        if problem:
            say(problem)


def _is_url(target: str) -> bool:
    return target.startswith(("http://", "https://"))


def _no_command(target: str, why: str) -> UserError:
    return UserError(
        "a notification goes to a command on this machine, or to a URL that takes a POST",
        f"{target}: {why}",
        "--notify 'mail -s vidclass me@example.org' or --notify https://...",
    )


def _post(url: str, notice: Notice) -> None:
    body = json.dumps({"text": notice.text, **asdict(notice)}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=URL_PATIENCE_S):
        pass


def _run(command: str, notice: Notice) -> None:
    fields = {f"VIDCLASS_{name.upper()}": str(value) for name, value in asdict(notice).items()}
    subprocess.run(
        shlex.split(command),
        input=f"{notice.text}\n".encode(),
        env={**os.environ, **fields},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=COMMAND_PATIENCE_S,
        check=True,
    )
