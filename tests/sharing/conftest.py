"""Clusters of several nodes on this machine, for studies that share one or lose a part of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.fault.conftest import Home, made_data, new_home

__all__ = ["Home", "made_data", "new_home"]

SAID = "said.txt"
NODES = Path(__file__).with_name("nodes.py")


def answer_of(process: "subprocess.Popen[str]", folder: Path) -> str:
    """Return the last word of the cluster's next answer."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("> "):
            return line.split()[-1]
    said = (folder / SAID).read_text(errors="replace")[-3000:]
    raise AssertionError(f"the cluster has ended: {process.wait()}\n{said}")


@dataclass
class Nodes:
    """A running cluster: its process, its address, and that of its job server."""

    process: "subprocess.Popen[str]"
    folder: Path
    address: str
    url: str

    def tell(self, line: str) -> str:
        """Have the cluster do something and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return answer_of(self.process, self.folder)

    def add(self, cpus: int, **environment: Path) -> int:
        """Add a node with an environment of its own; return the pid of its raylet."""
        pairs = [f"{name}={value}" for name, value in environment.items()]
        return int(self.tell(" ".join(["add", str(cpus), *pairs])))

    def kill(self) -> None:
        """End everything at once, as when the head's machine is lost."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        for one in [*family, psutil.Process(self.process.pid)]:
            try:
                one.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.process.wait(timeout=60)


@pytest.fixture
def new_cluster() -> Iterator[Callable[..., Nodes]]:
    """``new_cluster(home, head_cpus=0, jobs=False)`` starts a cluster whose nodes share a home."""
    running: list[Nodes] = []

    def start(home: Home, *, head_cpus: int = 0, jobs: bool = False) -> Nodes:
        folder = Path(tempfile.mkdtemp(prefix="vc-n-", dir="/tmp"))
        port = 0
        if jobs:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
        with (folder / SAID).open("w") as said:
            process = subprocess.Popen(
                [sys.executable, str(NODES), str(folder), str(head_cpus), str(port)],
                # RAY_TMPDIR: the address is noted there, where no other test's Ray looks for one
                env={**os.environ, "VIDCLASS_HOME": str(home.path), "RAY_TMPDIR": str(folder)},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,
            )
        nodes = Nodes(process, folder, answer_of(process, folder), f"http://127.0.0.1:{port}")
        running.append(nodes)
        return nodes

    yield start
    for nodes in running:
        if nodes.process.poll() is None:
            nodes.kill()
        shutil.rmtree(nodes.folder, ignore_errors=True)


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Callable[[Nodes], None]:
    """``joined(nodes)`` has the studies that are started from now on join that cluster."""

    def join(nodes: Nodes) -> None:
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)

    return join
