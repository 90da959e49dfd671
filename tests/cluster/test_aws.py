"""cluster.yaml as it is, and `ray up` alone, against a fake EC2: from nothing to nothing."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.ec2 import ACCOUNT, PROFILE, FakeEC2
from tests.cluster.hosts import Hosts, why_not
from tests.cluster.lab import (
    check_finished_elsewhere,
    fill_in,
    ledger,
    make_project,
    short_folder,
    wait_for_trials_on,
)

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

OVERLAY = Path(__file__).with_name("fake_ec2_overlay.yaml")
FILLED = {
    "&image ami-REPLACE": "&image ami-0123456789abcdef0",
    "fs-REPLACE.efs": "fs-0123456789abcdef0.efs",
    "123456789012:instance-profile/REPLACE-": f"{ACCOUNT}:instance-profile/vidclass-",
    "{CidrIp: 203.0.113.0/24}": "{CidrIp: 10.88.0.1/32}",
}
RAY = "export RAY_AUTH_MODE=token; ray"
STUDY = (
    "python -m vidclass.sweep smoke --set budget.epochs=20 --set budget.trials=5 --set study=spot"
)
"""Long enough that the machine which comes in place of the lost one gets trials too."""


def overlaid(base: Any, over: Any) -> Any:
    """Return ``base`` with what ``over`` says instead; mappings are joined, unless it is empty."""
    if not (isinstance(base, dict) and isinstance(over, dict) and over):
        return over
    return {**base, **{key: overlaid(base.get(key), part) for key, part in over.items()}}


@pytest.fixture(scope="module")
def ec2(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeEC2]:
    if reason := why_not():
        pytest.skip(reason)
    pytest.importorskip("moto", reason="needs moto, of the extra dev")
    project = make_project(repository, tmp_path_factory.mktemp("project") / "p")
    fill_in(project / "cluster.yaml", FILLED)
    config = yaml.safe_load((project / "cluster.yaml").read_text())
    over = yaml.safe_load(OVERLAY.read_text())
    (project / "overlaid.yaml").write_text(yaml.safe_dump(overlaid(config, over), sort_keys=False))
    (project / "ec2_watch.py").write_text(Path(__file__).with_name("ec2_watch.py").read_text())
    hosts = Hosts(short_folder(), Path(sys.prefix), project, PROFILE + HAS_AN_ENVIRONMENT)
    try:
        hosts.run("laptop", "pip install -q --no-deps --force-reinstall /srv/project/dist/*.whl")
        ec2 = FakeEC2(hosts)
        yield ec2
        ec2.close()
    finally:
        hosts.close()


HAS_AN_ENVIRONMENT = f"export PATH={sys.prefix}/bin:$PATH\n"
"""What an image brings: Python with Ray in its PATH."""


def wait_until(condition: Callable[[], bool], ec2: FakeEC2, what: str, patience_s: float) -> float:
    """Wait for ``condition`` and return how many seconds it took."""
    started = time.monotonic()
    while not condition():
        assert ec2.error is None, ec2.error
        assert time.monotonic() - started < patience_s, (what, ec2.instances)
        time.sleep(0.3)
    return time.monotonic() - started


def test_the_overlay_is_short_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = OVERLAY.read_text()
    assert len(text.splitlines()) <= 15
    with capsys.disabled():
        print(f"\n--- {OVERLAY.name}\n{text}---")


def test_the_file_once_filled_in_has_nothing(ec2: FakeEC2) -> None:
    done = ec2.on_laptop(
        "mkdir -m 700 -p ~/.ray; ray get-auth-token --generate > /dev/null; "
        "vidclass cluster check cluster.yaml && chmod 600 ~/.ray/auth_token"
    )
    assert "nothing found" in done.stdout


def test_ray_up_makes_the_head_alone(ec2: FakeEC2) -> None:
    up = ec2.on_laptop(f"{RAY} up -y overlaid.yaml", timeout_s=600, check=False)
    assert up.returncode == 0, up.stdout[-4000:] + up.stderr[-4000:]
    (head,) = ec2.running().values()
    assert not head["spot"] and head["type"]["ray-user-node-type"] == "head"


def seconds_to_first_epoch(ec2: FakeEC2, host: str) -> float:
    """Return the seconds from EC2's start of a machine to the first epoch that it reported."""
    events = ledger(ec2.hosts, "spot")
    there = {
        (e["trial"], e["attempt"])
        for e in events
        if e["event"] == "trial_started" and e["node"] == host
    }
    first = min(
        e["time"] for e in events if e["event"] == "epoch" and (e["trial"], e["attempt"]) in there
    )
    return first - ec2.seen_at[host]


def test_a_study_brings_spot_workers_and_outlives_a_reclaimed_one(
    ec2: FakeEC2, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ec2.hosts.state / "spot.log"
    words = ec2.hosts.words(
        "laptop", f"{PROFILE} cd /srv/project; {RAY} exec overlaid.yaml '{STUDY}'"
    )
    with log.open("wb") as told:
        driver = subprocess.Popen(words, stdout=told, stderr=told)
    wait_until(lambda: len(ec2.running("gpu_spot")) == 2, ec2, "two spot machines", 300)
    assert all(worker["spot"] for worker in ec2.running("gpu_spot").values())
    assert not ec2.running("gpu_ondemand") and not ec2.running("decode_spot")
    first = {ec2.host_of(name) for name in ec2.running("gpu_spot")}
    lost = sorted(ec2.running("gpu_spot"))[0]
    host = ec2.host_of(lost)
    before = wait_for_trials_on(ec2.hosts, "spot", host, driver, log)
    ec2.hosts.use_image()
    ec2.reclaim(lost)
    wait_until(
        lambda: len(ec2.running("gpu_spot")) == 2 and lost not in ec2.running("gpu_spot"),
        ec2,
        "another machine in its place",
        120,
    )
    assert driver.wait(timeout=900) == 0, log.read_text()[-6000:]
    check_finished_elsewhere(ec2.hosts, "spot", host, before)
    nodes = {e["node"] for e in ledger(ec2.hosts, "spot") if e["event"] == "trial_started"}
    (new,) = nodes - first
    with capsys.disabled():
        print("\nseconds from a spot machine's start to its first epoch:")
        print(f"  pip installs the wheel: {seconds_to_first_epoch(ec2, host):.0f}")
        print(f"  wheel in the image:     {seconds_to_first_epoch(ec2, new):.0f}")
    assert len(nodes) == 3 and not nodes & {ec2.host_of(name) for name in ec2.running("head")}


def test_idle_workers_go_and_the_head_stays(ec2: FakeEC2) -> None:
    wait_until(lambda: len(ec2.running()) == 1, ec2, "only the head", 300)
    assert list(ec2.running()) == list(ec2.running("head"))


def test_ray_down_leaves_nothing(ec2: FakeEC2) -> None:
    down = ec2.on_laptop(f"{RAY} down -y overlaid.yaml", timeout_s=300, check=False)
    assert down.returncode == 0, down.stdout[-3000:] + down.stderr[-3000:]
    wait_until(lambda: not ec2.running(), ec2, "no machine", 60)
