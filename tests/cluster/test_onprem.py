"""A laboratory's own machines, for real: head and two workers with their own addresses and sshd."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.hosts import Hosts
from tests.cluster.lab import (
    ONPREM,
    WORKERS,
    check_finished_elsewhere,
    cluster_up,
    has_an_environment,
    ledger,
    wait_for_trials_on,
)
from tests.cluster.page import Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

STUDY = "smoke --set budget.epochs=12 --set study="
HEAD_ADDRESS = "10.88.0.10"
SCAN = """
import socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(port):
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((sys.argv[1], port)) == 0
with ThreadPoolExecutor(16) as pool:
    print(*[port for port, yes in enumerate(pool.map(opens, range(65536))) if yes])
"""


def listed_ports(repository: Path, of: str) -> set[int]:
    """Return the ports that docs/security.md says other machines reach on the head or a worker."""
    found: set[int] = set()
    for line in (repository / "docs" / "security.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (ports := re.fullmatch(r"(\d+)(?: to (\d+))?", cells[0])) and of in cells[2]:
            found |= set(range(int(ports[1]), int(ports[2] or ports[1]) + 1))
    return found


@pytest.mark.smoke
def test_nobody_without_the_token_submits_anything(hosts: Hosts) -> None:
    ask = "curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8265/api/jobs/"
    assert hosts.run("head", ask).stdout == "401"
    with_token = f'{ask} -H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
    assert hosts.run("head", with_token).stdout == "200"
    for name in ("laptop", "head", *WORKERS):
        assert hosts.run(name, "stat -c %a ~/.ray/auth_token").stdout.strip() == "600"


@pytest.mark.smoke
def test_other_machines_reach_only_the_ports_that_the_security_page_lists(
    hosts: Hosts, repository: Path
) -> None:
    for name, address in (("head", HEAD_ADDRESS), ("worker", "10.88.0.12")):
        seen = hosts.run("w1", f"python -c '{SCAN}' {address}", timeout_s=300).stdout.split()
        unlisted = set(map(int, seen)) - listed_ports(repository, name)
        assert not unlisted, (name, unlisted, hosts.run(name.replace("worker", "w2"), "ss -ltnp"))
        assert "22" in seen and ("6379" in seen) == (name == "head")


@pytest.mark.smoke
def test_the_status_tells_nodes_services_and_studies(hosts: Hosts, page: Page) -> None:
    done = hosts.run("laptop", page.command("vidclass cluster status"))
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["head", "worker", "worker"]
    assert "MLflow answers, dashboard answers" in done.stdout and "no study" in done.stdout


def test_a_mistake_that_the_cluster_sees_is_told_through_the_tunnel(hosts: Hosts) -> None:
    def sweep(words: str) -> tuple[int, str]:
        line = f"cd /srv/project && vidclass sweep {words} --cluster {ONPREM}"
        done = hosts.run("laptop", line, timeout_s=300, check=False)
        return done.returncode, done.stdout + done.stderr

    code, told = sweep("submit smoke --set study=lost --data /no/where --follow")
    assert code == 2, told
    assert "received: /no/where" in told
    name = next(line.split()[1] for line in told.splitlines() if line.startswith("submitted"))
    code, told = sweep("list")
    assert code == 0, told
    assert name in told
    assert sweep(f"status {name}")[0] == 2
    assert hosts.processes("laptop", "ray dashboard") == []


def test_a_trial_of_two_workers_trains_on_two_hosts_at_once(hosts: Hosts) -> None:
    log = hosts.state / "pair.log"
    study = f"{STUDY}pair --set workers=2 --set budget.trials=1"
    line = f"cd /srv/project && ray exec {ONPREM} 'python -m vidclass.sweep {study}'"
    driver = hosts.start("laptop", line, log)
    second: set[str] = set()
    deadline = time.monotonic() + 600
    while driver.poll() is None and time.monotonic() < deadline:
        second |= {name for name in WORKERS if hosts.processes(name, "ray::_Seat.follow")}
        time.sleep(0.5)
    assert driver.poll() == 0, log.read_text()[-6000:]
    events = ledger(hosts, "pair")
    trained = {e["trial"] for e in events if e["event"] == "epoch"}
    first = {e["node"] for e in events if e["event"] == "trial_started" and e["trial"] in trained}
    assert len(first) == len(second) == 1 and first | second == set(WORKERS)


def outlives(hosts: Hosts, start: str, how: str, lost: str, lose: Callable[[], None]) -> None:
    """Start a study on both workers and hold that it ends well although ``lost`` is lost."""
    log = hosts.state / f"{how}.log"
    driver = hosts.start("laptop", start, log)
    before = wait_for_trials_on(hosts, how, lost, driver, log)
    lose()
    assert driver.wait(timeout=900) == 0, log.read_text()[-6000:]
    check_finished_elsewhere(hosts, how, lost, before)
    nodes = {e["node"] for e in ledger(hosts, how) if e["event"] == "trial_started"}
    assert nodes == set(WORKERS)  # and the head ran none


@pytest.mark.smoke
def test_trials_of_a_host_without_power_go_on_elsewhere_from_their_checkpoints(
    hosts: Hosts,
) -> None:
    start = f"cd /srv/project; vidclass sweep submit {STUDY}power --cluster {ONPREM} --follow"
    outlives(hosts, start, "power", "w1", lambda: hosts.power_off("w1"))


def test_a_machine_that_comes_back_with_an_empty_disk_is_brought_up_again(
    hosts: Hosts, page: Page
) -> None:
    hosts.boot_again("w1")
    has_an_environment(hosts, "w1")
    cluster_up(hosts, page)


def test_trials_of_a_host_without_its_cable_go_on_elsewhere_from_their_checkpoints(
    hosts: Hosts, page: Page
) -> None:
    start = page.command("ray exec").replace(" fusion_study", f" {STUDY}cable")
    outlives(hosts, start, "cable", "w2", lambda: hosts.unplug(WORKERS["w2"]))
    hosts.plug(WORKERS["w2"])


@pytest.mark.smoke
def test_mlflow_shows_the_runs_through_a_tunnel_alone(hosts: Hosts) -> None:
    log = hosts.state / "tunnel.log"
    tunnel = hosts.start("laptop", f"cd /srv/project && exec vidclass cluster mlflow {ONPREM}", log)
    ask = "curl -s http://127.0.0.1:5000/api/2.0/mlflow"
    deadline = time.monotonic() + 60
    while hosts.run("laptop", f"{ask}/experiments/search?max_results=9", check=False).returncode:
        assert tunnel.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.5)
    told = json.loads(hosts.run("laptop", f"{ask}/experiments/search?max_results=9").stdout)
    named = {e["experiment_id"]: e["name"] for e in told["experiments"]}
    body = json.dumps({"experiment_ids": list(named), "max_results": 999})
    post = f"{ask}/runs/search -H 'Content-Type: application/json' -d '{body}'"
    runs = json.loads(hosts.run("laptop", post).stdout)["runs"]
    trials = {e["trial"] for e in ledger(hosts, "power") if e["event"] == "trial_started"}
    assert len(runs) > len(trials) > 3
    wrong_name = "-o /dev/null -w %{http_code} -H 'Host: evil.example'"
    assert hosts.run("laptop", f"{ask}/experiments/search {wrong_name}").stdout == "403"
    end_of(tunnel, hosts)
    refused = hosts.run("w2", f"curl -s http://{HEAD_ADDRESS}:5000/health", check=False)
    assert refused.returncode == 7  # nobody listens there


def end_of(tunnel: subprocess.Popen[bytes], hosts: Hosts) -> None:
    hosts.run("laptop", "pkill -INT -f 'vidclass cluster mlflow'", check=False)
    tunnel.wait(timeout=30)


@pytest.mark.smoke
def test_the_token_is_in_no_log_no_ledger_and_no_database(hosts: Hosts) -> None:
    token = hosts.run("laptop", "cat ~/.ray/auth_token").stdout.strip()
    assert len(token) > 30
    # -f: the token is in no word of the search itself
    for name in hosts.on() - {"laptop"}:
        look = "grep -rlF -f ~/.ray/auth_token /tmp/ray/ /mnt/vidclass/home ~/vidclass-mlflow"
        assert hosts.run(name, f"{look} 2>/dev/null", check=False).stdout == ""
        words = "ps axww -o args | grep -cF -f ~/.ray/auth_token"
        assert hosts.run(name, words, check=False).stdout == "0\n"
    logs = {path: path.read_text(errors="replace") for path in hosts.state.glob("*.log")}
    assert logs and not [path for path, text in logs.items() if token in text]


@pytest.mark.smoke
def test_down_leaves_no_process_on_any_host(hosts: Hosts, page: Page) -> None:
    ended = hosts.run("laptop", page.command("vidclass cluster down"), timeout_s=300, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for name in hosts.on() - {"laptop"}:
        deadline = time.monotonic() + 20
        while (left := hosts.processes(name, "raylet|gcs_server|ray::|mlflow|vidclass")) and (
            time.monotonic() < deadline
        ):
            time.sleep(1)
        assert left == [], name


def test_every_command_of_the_page_was_run(hosts: Hosts, page: Page) -> None:
    assert page.left == [], "commands of docs/cluster.md that no test has run"
