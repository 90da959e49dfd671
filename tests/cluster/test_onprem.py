"""A laboratory's own machines, for real: head and two workers with their own addresses and sshd."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.hosts import Hosts, why_not

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

HEAD, WORKERS = ("head", 10), (("w1", 11), ("w2", 12))
FILE = "cluster/onprem.yaml"
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
SMOKE = "python -m vidclass.sweep smoke --set budget.trials=3"


def project(repository: Path, folder: Path) -> Path:
    """Make what a user has on the laptop: the filled-in file, the wheel, the pinned versions."""
    (folder / "cluster").mkdir(parents=True)
    text = (repository / FILE).read_text()
    for placeholder, value in FILLED.items():
        assert placeholder in text, placeholder
        text = text.replace(placeholder, value)
    (folder / FILE).write_text(text)
    (folder / "constraints.txt").write_text((repository / "constraints.txt").read_text())
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=repository, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def hosts(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    if reason := why_not():
        pytest.skip(reason)
    made = project(repository, tmp_path_factory.mktemp("project") / "p")
    environment = Path(sys.prefix)
    hosts = Hosts(Path(f"/var/tmp/vc{time.time_ns() % 10**6}"), environment, made)
    try:
        for name, number in (HEAD, *WORKERS):
            hosts.add(name, number)
            hosts.run(name, f"ln -s {environment} ~/vidclass-env")
        # the laptop has the wheel too, and no checkout
        hosts.run("laptop", "pip install -q --no-deps --force-reinstall /srv/project/dist/*.whl")
        up = hosts.run(
            "laptop", f"cd /srv/project && vidclass cluster up {FILE}", timeout_s=600, check=False
        )
        assert up.returncode == 0, up.stdout[-4000:] + up.stderr[-4000:]
        yield hosts
    finally:
        hosts.close()


def on_head(hosts: Hosts, command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    line = f"cd /srv/project && ray exec {FILE} '{command}'"
    return hosts.run("laptop", line, **options)


def ledger(hosts: Hosts, study: str) -> list[dict[str, Any]]:
    (path,) = hosts.shared.glob(f"home/studies/{study}*/ledger.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def test_nobody_without_the_token_submits_anything(hosts: Hosts) -> None:
    ask = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8265/api/jobs/"
    assert hosts.run("head", ask).stdout == "401"
    with_token = f'{ask} -H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    assert hosts.run("head", with_token).stdout == "200"
    mode = hosts.run("head", "stat -c %a ~/.ray/auth_token").stdout.strip()
    assert mode == "600"


def test_a_study_runs_on_all_workers_and_not_on_the_head(hosts: Hosts) -> None:
    done = on_head(hosts, SMOKE, timeout_s=900, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    events = ledger(hosts, "smoke")
    nodes = {e["node"] for e in events if e["event"] == "trial_started"}
    assert nodes == {"w1", "w2"}
    assert events[-1]["event"] in ("study_ended", "reported")


def epochs_on(hosts: Hosts, study: str, node: str) -> dict[str, int]:
    """Return the epochs that each trial's attempts on ``node`` have reported."""
    events = (
        ledger(hosts, study) if list(hosts.shared.glob(f"home/studies/{study}*/*.jsonl")) else []
    )
    there = {(e["trial"], e["attempt"]) for e in events if e.get("node") == node}
    done: dict[str, int] = {}
    for event in events:
        if event["event"] == "epoch" and (event["trial"], event["attempt"]) in there:
            done[event["trial"]] = event["epoch"]
    return done


def running_on(hosts: Hosts, study: str, node: str) -> set[str]:
    """Return the trials that have reported epochs from ``node`` and not ended."""
    reported = epochs_on(hosts, study, node)
    ended = (
        {e["trial"] for e in ledger(hosts, study) if e["event"] == "trial_ended"}
        if reported
        else set()
    )
    return set(reported) - ended


@pytest.mark.parametrize(("lost", "how"), [("w1", "power"), ("w2", "cable")])
def test_trials_of_a_lost_host_go_on_elsewhere_from_their_newest_checkpoint(
    hosts: Hosts, lost: str, how: str
) -> None:
    study = f"lost_{how}"
    command = f"{SMOKE} --set study={study} --set budget.epochs=30"
    log = hosts.state / f"{study}.log"
    driver = hosts.start("laptop", f"cd /srv/project && ray exec {FILE} '{command}'", log)
    deadline = time.monotonic() + 600
    while not (trials := running_on(hosts, study, lost)):
        assert driver.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.5)
    before = epochs_on(hosts, study, lost)
    hosts.power_off(lost) if how == "power" else hosts.unplug(dict(WORKERS)[lost])
    assert driver.wait(timeout=900) == 0, log.read_text()[-6000:]
    events = ledger(hosts, study)
    for trial in trials:
        again = [e for e in events if e["event"] == "trial_started" and e["trial"] == trial]
        assert again[-1]["node"] != lost and again[-1]["attempt"] > 1
        epochs = [e["epoch"] for e in events if e["event"] == "epoch" and e["trial"] == trial]
        # at most the epoch that was under way is trained twice
        assert before[trial] + 1 >= epochs[epochs.index(before[trial]) + 1]
    assert events[-1]["event"] in ("study_ended", "reported")
    bring_back(hosts, lost, how)


def bring_back(hosts: Hosts, name: str, how: str) -> None:
    """Boot the host anew where it was off, plug it in where it was cut; the same `up` again."""
    number = dict(WORKERS)[name]
    if how == "power":
        hosts.boot_again(name)
        hosts.run(name, f"ln -s {sys.prefix} ~/vidclass-env")
    else:
        hosts.plug(number)
    command = f"cd /srv/project && vidclass cluster up {FILE}"
    up = hosts.run("laptop", command, timeout_s=600, check=False)
    assert up.returncode == 0, up.stdout[-3000:] + up.stderr[-3000:]


def test_down_leaves_no_process_on_any_host(hosts: Hosts) -> None:
    ended = hosts.run(
        "laptop", f"cd /srv/project && vidclass cluster down {FILE}", timeout_s=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in ("head", "w1", "w2"):
        deadline = time.monotonic() + 20
        while (left := hosts.processes(name, "raylet|gcs_server|ray::")) and (
            time.monotonic() < deadline
        ):
            time.sleep(1)
        assert left == [], name
