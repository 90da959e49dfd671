"""Notifications: a real server on loopback, real commands, and failures that change nothing."""

import json
import shlex
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from vidclass.errors import UserError
from vidclass.sweep import notify
from vidclass.sweep.notify import Notice, check_target, notifying, send

DONE = Notice("shapes", "ended", "complete", "late is better", "/reports/shapes.html", "head")


class Received(HTTPServer):
    """Keeps what is posted to it; answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.posts: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Received

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Received]:
    with Received() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def writing(path: Path) -> str:
    """A command that writes its standard input and a field of the notice to ``path``."""
    code = (
        "import os, sys; "
        "open(sys.argv[1], 'w').write(sys.stdin.read() + os.environ['VIDCLASS_EVENT'])"
    )
    return shlex.join([sys.executable, "-c", code, str(path)])


def test_a_url_gets_the_fields_as_json(server: Received) -> None:
    assert send(server.url, DONE) == ""
    (post,) = server.posts
    assert post["study"] == "shapes"
    assert post["event"] == "ended"
    assert post["report"] == "/reports/shapes.html"
    assert post["text"] == "vidclass: shapes ended: complete. late is better"


def test_a_command_gets_text_and_fields(tmp_path: Path) -> None:
    assert send(writing(tmp_path / "told"), DONE) == ""
    assert (tmp_path / "told").read_text() == f"{DONE.text}\nended"


def test_a_block_that_ends_well_is_told_as_it_says(server: Received) -> None:
    with notifying(server.url, "shapes", print) as notice:
        notice.event, notice.reason = "ended", "complete"
    assert [(post["event"], post["reason"]) for post in server.posts] == [("ended", "complete")]


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [
        (KeyboardInterrupt(), "paused", "interrupted"),
        (UserError("a rule", "this", "that"), "failed", "a rule; received: this; instead: that"),
        (RuntimeError("out of luck"), "failed", "RuntimeError: out of luck"),
    ],
)
def test_an_exception_is_told_and_goes_on(
    error: BaseException, event: str, reason: str, server: Received
) -> None:
    with pytest.raises(type(error)), notifying(server.url, "shapes", print):
        raise error
    assert [(post["event"], post["reason"]) for post in server.posts] == [(event, reason)]


def test_a_failing_server_or_command_is_one_line_and_no_error(server: Received) -> None:
    server.status = 500
    said: list[str] = []
    for target in (server.url, "http://127.0.0.1:9/closed?secret=abc", "false"):
        with notifying(target, "shapes", said.append) as notice:
            notice.event = "ended"
    assert len(said) == 3
    assert all(line.startswith("the notification was not sent") for line in said)
    assert not any("secret" in line for line in said)


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "COMMAND_PATIENCE_S", 0.2)
    assert "TimeoutExpired" in send("sleep 60", DONE)


@pytest.mark.parametrize("target", ["", "no-such-program-here --x", "'open quote"])
def test_what_is_no_target_is_refused_before_the_study(target: str) -> None:
    with pytest.raises(UserError, match="a command on this machine"):
        check_target(target)


def test_without_a_target_nothing_is_sent_and_errors_pass() -> None:
    with pytest.raises(ValueError), notifying(None, "shapes", print):
        raise ValueError
