"""The laptop of a user and a lab's own machines; what their studies have written."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.hosts import Hosts
from tests.cluster.page import Page

HEAD, WORKERS = ("head", 10), {"w1": 11, "w2": 12}
SECTION = "Machines of your own"
"""Of docs/cluster.md."""
ONPREM = "cluster/onprem.yaml"
FILLED = {
    "REPLACE-head-address": "10.88.0.10",
    "REPLACE-worker-address": "10.88.0.11, 10.88.0.12",
    "REPLACE-user": "root",
    "min_workers: 1": "min_workers: 2",
    "max_workers: 1": "max_workers: 2",
    # a slot a host: the test's hosts are one machine of two cores
    "ray start --address=$RAY_HEAD_IP:6379": "ray start --address=$RAY_HEAD_IP:6379 --num-cpus=1",
}
"""What a user fills in, and one slot a host."""
EARLY = 4
"""A trial that has done no more epochs is still there when its host is lost seconds later."""


def checkout(repository: Path, folder: Path) -> Path:
    """Copy what a clone of the repository holds, and nothing that was made in it."""
    made = shutil.ignore_patterns(".*", "__pycache__", "dist")
    return Path(shutil.copytree(repository, folder, ignore=made))


def install(hosts: Hosts, page: Page) -> None:
    """Have vidclass on the laptop as `make` installs it, and the wheel in dist/."""
    stamps = ".venv/.installed .venv/.installed-dev"
    hosts.run("laptop", f"cd /srv/project; ln -s {hosts.environment} .venv; touch {stamps}")
    hosts.run("laptop", page.command("make wheel"))
    # a real one is an editable installation, whose files pip would have to fetch
    hosts.run("laptop", "pip install -q --no-deps --force-reinstall /srv/project/dist/*.whl")


def fill_in(path: Path, values: dict[str, str]) -> None:
    """Replace each placeholder, and insist that it was there."""
    text = path.read_text()
    for placeholder, value in values.items():
        assert placeholder in text, placeholder
        text = text.replace(placeholder, value)
    path.write_text(text)


def short_folder() -> Path:
    """A name for the state of hosts: short, since the path of a socket is."""
    return Path(f"/var/tmp/vc{time.time_ns() % 10**6}")


@contextmanager
def lab(
    repository: Path, folder: Path, page: Page, workers: dict[str, int], changes: dict[str, str]
) -> Iterator[Hosts]:
    """Yield a laptop, a head and workers, none of them started, and the filled-in file."""
    project = checkout(repository, folder)
    fill_in(project / ONPREM, changes)
    hosts = Hosts(short_folder(), Path(sys.prefix), project)
    try:
        for name, number in (HEAD, *workers.items()):
            hosts.add(name, number)
            has_an_environment(hosts, name)
        install(hosts, page)
        yield hosts
    finally:
        hosts.close()


def has_an_environment(hosts: Hosts, name: str) -> None:
    """Spare a host the minutes in which pip would fetch PyTorch; the wheel is really installed."""
    hosts.run(name, f"ln -s {hosts.environment} ~/vidclass-env")


def cluster_up(hosts: Hosts, page: Page) -> None:
    """Run `vidclass cluster up` on the laptop."""
    up = page.command("vidclass cluster up")
    done = hosts.run("laptop", up, timeout_s=600, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def ledger(hosts: Hosts, study: str) -> list[dict[str, Any]]:
    """Return the events that a study has written so far."""
    return [
        json.loads(line)
        for path in hosts.shared.glob(f"home/studies/{study}*/ledger.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")
    ]


def epochs_on(hosts: Hosts, study: str, node: str) -> dict[str, int]:
    """Return the newest epoch of each unfinished trial that is at work on ``node``."""
    there: set[tuple[str, int]] = set()
    done: dict[str, int] = {}
    for event in ledger(hosts, study):
        kind = event["event"]
        if kind == "trial_started" and event["node"] == node:
            there.add((event["trial"], event["attempt"]))
        elif kind == "epoch" and (event["trial"], event["attempt"]) in there:
            done[event["trial"]] = event["epoch"]
        elif kind == "trial_ended":
            done.pop(event["trial"], None)
    return done


def wait_for_trials_on(
    hosts: Hosts, study: str, node: str, driver: subprocess.Popen[bytes], log: Path
) -> dict[str, int]:
    """Wait until a trial has begun its epochs on ``node``; return the newest, a low one."""
    deadline = time.monotonic() + 600
    while not (running := epochs_on(hosts, study, node)) or min(running.values()) > EARLY:
        assert driver.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.5)
    return running


def check_finished_elsewhere(hosts: Hosts, study: str, lost: str, before: dict[str, int]) -> None:
    """Hold that the trials of ``lost`` went on from their newest checkpoint on another node."""
    events = ledger(hosts, study)
    assert before
    for trial, epoch in before.items():
        started = [e for e in events if e["event"] == "trial_started" and e["trial"] == trial]
        assert started[-1]["node"] != lost and started[-1]["attempt"] > 1
        epochs = [e["epoch"] for e in events if e["event"] == "epoch" and e["trial"] == trial]
        # none left out, and the interrupted epoch is all that was trained twice
        assert sorted(set(epochs)) == list(range(1, epochs[-1] + 1)) and epoch in epochs
        assert len(epochs) - len(set(epochs)) <= len(started) - 1
    assert events[-1]["event"] in ("study_ended", "reported")
