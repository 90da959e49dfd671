"""cluster.yaml as it is, and `ray up` alone, against a fake EC2: from nothing to nothing."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.ec2 import (
    OVERLAY,
    PROFILE,
    SECTION,
    STORE,
    FakeEC2,
    fake_ec2,
    seconds_to_first_epoch,
)
from tests.cluster.hosts import why_not
from tests.cluster.lab import check_finished_elsewhere, ledger, wait_for_trials_on
from tests.cluster.page import Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

STUDY = (
    f"VIDCLASS_STORE='{STORE}' python -m vidclass.sweep smoke"
    " --set budget.epochs=20 --set budget.trials=5 --set study=spot"
)
"""Long enough that the machine which comes in place of the lost one gets trials too."""


@pytest.fixture(scope="module")
def page(repository: Path) -> Page:
    return Page(repository, SECTION)


def overlaid(command: str) -> str:
    """Return a command of the page for the file with its overlay."""
    return command.replace(" cluster.yaml", " overlaid.yaml")


@pytest.fixture(scope="module")
def ec2(
    repository: Path, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeEC2]:
    if reason := why_not():
        pytest.skip(reason)
    pytest.importorskip("moto", reason="needs moto, of the extra dev")
    with fake_ec2(repository, tmp_path_factory.mktemp("project") / "p", page) as started:
        yield started


def test_the_overlay_is_short_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    text = OVERLAY.read_text()
    assert len(text.splitlines()) <= 15
    with capsys.disabled():
        print(f"\n--- {OVERLAY.name}\n{text}---")


def test_the_file_once_filled_in_has_nothing(ec2: FakeEC2, page: Page) -> None:
    ec2.on_laptop(page.command("ray get-auth-token"))
    assert ec2.on_laptop("stat -c %a ~/.ray/auth_token").stdout == "600\n"
    done = ec2.on_laptop(page.command("vidclass cluster check"))
    assert "nothing found" in done.stdout


def test_ray_up_makes_the_head_alone(ec2: FakeEC2, page: Page) -> None:
    up = ec2.on_laptop(overlaid(page.command("ray up")), timeout_s=600, check=False)
    assert up.returncode == 0, up.stdout[-4000:] + up.stderr[-4000:]
    (head,) = ec2.running().values()
    assert not head["spot"] and head["type"]["ray-user-node-type"] == "head"


def test_a_study_brings_spot_workers_and_outlives_a_reclaimed_one(ec2: FakeEC2, page: Page) -> None:
    log = ec2.hosts.state / "spot.log"
    line = overlaid(page.command("ray exec"))
    known = "python -m vidclass.sweep fusion_study --profile full"
    assert known in line
    words = ec2.hosts.words("laptop", f"{PROFILE} {line.replace(known, STUDY)}")
    with log.open("wb") as told:
        driver = subprocess.Popen(words, stdout=told, stderr=told)
    ec2.wait(lambda: len(ec2.running("gpu_spot")) == 2, "two spot machines", 300)
    assert all(worker["spot"] for worker in ec2.running("gpu_spot").values())
    assert not ec2.running("gpu_ondemand") and not ec2.running("decode_spot")
    first = {ec2.host_of(name) for name in ec2.running("gpu_spot")}
    lost = sorted(ec2.running("gpu_spot"))[0]
    host = ec2.host_of(lost)
    before = wait_for_trials_on(ec2.hosts, "spot", host, driver, log)
    ec2.hosts.use_image()  # what comes from now on has vidclass inside
    ec2.reclaim(lost)
    ec2.wait(
        lambda: len(ec2.running("gpu_spot")) == 2 and lost not in ec2.running("gpu_spot"),
        "another machine in its place",
        120,
    )
    assert driver.wait(timeout=900) == 0, log.read_text()[-6000:]
    check_finished_elsewhere(ec2.hosts, "spot", host, before)
    nodes = {e["node"] for e in ledger(ec2.hosts, "spot") if e["event"] == "trial_started"}
    (new,) = nodes - first
    assert seconds_to_first_epoch(ec2, "spot", new) is not None
    assert len(nodes) == 3 and not nodes & {ec2.host_of(name) for name in ec2.running("head")}


def test_its_store_is_on_s3(ec2: FakeEC2) -> None:
    assert any("shard-" in name for name in ec2.stored())
    assert not (ec2.hosts.shared / "home" / "store").exists()


def test_idle_workers_go_and_the_head_stays(ec2: FakeEC2) -> None:
    ec2.wait(lambda: len(ec2.running()) == 1, "only the head", 300)
    assert list(ec2.running()) == list(ec2.running("head"))


def test_ray_down_leaves_nothing(ec2: FakeEC2, page: Page) -> None:
    down = ec2.on_laptop(overlaid(page.command("ray down")), timeout_s=300, check=False)
    assert down.returncode == 0, down.stdout[-3000:] + down.stderr[-3000:]
    ec2.wait(lambda: not ec2.running(), "no machine", 60)
    assert page.left == [], "commands of docs/cluster.md that no test has run"
