"""``python -m vidclass.cluster.mlflow_server``: MLflow on the head, for the head and its tunnels.

The driver alone writes to MLflow, and it runs on the head. So the server listens on 127.0.0.1:
neither other nodes nor anybody's browser reach it but through ssh (``vidclass cluster mlflow``).
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from vidclass.errors import UserError
from vidclass.home import home

__all__ = ["SETTINGS", "command", "environment", "main"]

HOST, PORT = "127.0.0.1", 5000
FOLDER = Path("~/vidclass-mlflow")
"""On the head's own disk: sqlite is not for NFS. What is lost with it, `sweep sync` makes again."""
SETTINGS = Path("~/vidclass-mlflow.env")
"""One line, ``MLFLOW_BACKEND_STORE_URI=postgresql://...``, where runs are to outlive the head."""
EARLY_END_S = 3.0
"""A server that can't start has ended by then; a good one may take longer to answer."""


def environment(settings: Path, folder: Path) -> dict[str, str]:
    """Return what the server is told apart from its words: the store, which may hold a password.

    Args:
        settings: a file of ``NAME=VALUE`` lines, made readable by its owner alone; may be absent.
        folder: where the sqlite file lies when nothing else is said.
    """
    given = {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    if settings.exists():
        settings.chmod(0o600)
        lines = [line.strip() for line in settings.read_text(encoding="utf-8").splitlines()]
        given |= dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
    # its executor of jobs would be eight more processes, and one more way to run something here
    off = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return {**os.environ, **off, **given}


def command(artifacts: Path) -> list[str]:
    """Return the words of the server; none is secret, for every user of a machine sees them.

    One worker process: the only writer is a driver's single thread.
    """
    names = ",".join(f"{host}:*" for host in (HOST, "localhost"))
    words = f"server --host {HOST} --port {PORT} --workers 1 --allowed-hosts {names}"
    return [
        sys.executable,
        "-m",
        "mlflow",
        *words.split(),
        "--artifacts-destination",
        artifacts.as_uri(),
    ]


def main(words: list[str]) -> None:
    """Start the server unless it answers already, and don't wait for it; ``--stop`` ends it.

    A study that starts sooner writes its runs when the server is there.

    Raises:
        UserError: when it ends at once.
    """
    folder = FOLDER.expanduser()
    if words == ["--stop"]:
        _stop(folder / "pid")
    elif not _answers():
        _start(folder)


def _start(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    log = folder / "server.log"
    with log.open("ab") as told:
        server = subprocess.Popen(
            command(home() / "mlartifacts"),
            env=environment(SETTINGS.expanduser(), folder),
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=told,
            start_new_session=True,  # it outlives this ssh session, and `ray stop`
        )
    (folder / "pid").write_text(str(server.pid), encoding="utf-8")
    deadline = time.monotonic() + EARLY_END_S
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    if server.poll() is not None:
        raise UserError(
            f"MLflow's server starts on {HOST}:{PORT}",
            f"exit status {server.poll()}",
            f"read {log} on this machine",
        )


def _stop(pid_file: Path) -> None:
    if pid_file.exists():
        try:
            os.killpg(int(pid_file.read_text(encoding="utf-8")), signal.SIGTERM)
        except ProcessLookupError:
            pass
        pid_file.unlink()


def _answers() -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{PORT}/health", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    from vidclass.cli import tell

    try:
        main(sys.argv[1:])
    except UserError as error:
        sys.exit(tell(error))
