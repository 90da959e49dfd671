"""Seconds from a spot machine's start to its first epoch, with and without an image of one's own.

Against a fake EC2 (tests/cluster): moto answers, and a host made of namespaces stands for each
machine; Linux, root, sshd and rsync are needed. A study runs on two spot machines of one core. One
of them is reclaimed again and again, and each time the machine that comes in its place is timed:
from EC2's start of it to the first epoch that one of its trials reports, which includes that epoch.
Without the image pip installs the wheel; with it the wheel is there (cluster/Dockerfile). PyTorch
and Ray are on the machines in both cases: a bare machine would have to fetch them too. About eight
minutes with two machines of each kind.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import _common

from tests.cluster.ec2 import (
    PROFILE,
    RAY,
    SECTION,
    STORE,
    FakeEC2,
    fake_ec2,
    seconds_to_first_epoch,
)
from tests.cluster.hosts import why_not
from tests.cluster.page import Page

AIM_S = 60.0
PATIENCE_S = 240.0
STUDY = (
    f'VIDCLASS_STORE="{STORE}" python -m vidclass.sweep smoke'
    " --set budget.epochs=20 --set budget.trials=200 --set study=starts"
)
"""Longer than this takes; it is left in its middle."""


def main() -> None:
    """Time machines of both kinds and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--machines", type=int, default=2, help="of each kind")
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    machines = 1 if options.quick else options.machines
    page = Page(_common.REPOSITORY, SECTION)
    with _common.scratch() as folder, fake_ec2(_common.REPOSITORY, folder / "p", page) as ec2:
        study = _started(ec2)
        without = [_replaced(ec2, study) for _ in range(machines)]
        ec2.hosts.use_image()
        with_image = [_replaced(ec2, study) for _ in range(machines)]
        study.kill()
        study.wait()
    rows = [_row("pip installs the wheel", without), _row("wheel in the image", with_image)]
    _common.print_table(rows)
    aim = _common.against_aim(
        "from a spot machine's start to its first epoch, with an image of one's own",
        statistics.median(with_image),
        AIM_S,
        at_most=True,
        unit="s",
    )
    _common.finish("node_start", quick=options.quick, aims=[aim], rows=rows)


def _started(ec2: FakeEC2) -> "subprocess.Popen[bytes]":
    """Start cluster and study; return once both spot machines have reported an epoch."""
    began = time.monotonic()
    token = "mkdir -m 700 -p ~/.ray; ray get-auth-token --generate; chmod 600 ~/.ray/auth_token"
    ec2.on_laptop(f"{token}; {RAY} up -y overlaid.yaml", timeout_s=600)
    line = f"{PROFILE} cd /srv/project; {RAY} exec overlaid.yaml '{STUDY}'"
    print(f"head up after {time.monotonic() - began:.0f} s", flush=True)
    study = ec2.hosts.start("laptop", line, ec2.hosts.state / "study.log")
    _wait(ec2, study, lambda: len(_hosts(ec2)) == 2, "two spot machines")
    for host in _hosts(ec2):
        _first_epoch(ec2, study, host)
    print(f"epochs of both machines after {time.monotonic() - began:.0f} s", flush=True)
    return study


def _replaced(ec2: FakeEC2, study: "subprocess.Popen[bytes]") -> float:
    """Reclaim the newest machine; return how long the next one took to its first epoch."""
    before = _hosts(ec2)
    newest = max(before, key=lambda host: ec2.seen_at[host])
    ec2.reclaim(before[newest])
    _wait(ec2, study, lambda: _hosts(ec2).keys() - before.keys(), "another machine")
    (host,) = _hosts(ec2).keys() - before.keys()
    seconds = _first_epoch(ec2, study, host)
    print(f"a machine: {seconds:.1f} s to its first epoch", flush=True)
    return seconds


def _wait(
    ec2: FakeEC2, study: "subprocess.Popen[bytes]", condition: Callable[[], object], what: str
) -> None:
    """Wait for ``condition`` while the study is at work."""

    def met() -> object:
        if study.poll() is not None:
            sys.exit(f"the study ended: {(ec2.hosts.state / 'study.log').read_text()[-3000:]}")
        return condition()

    ec2.wait(met, what, PATIENCE_S)


def _hosts(ec2: FakeEC2) -> dict[str, str]:
    """Return the running spot machines: host and instance."""
    return {ec2.host_of(name): name for name in ec2.running("gpu_spot")}


def _first_epoch(ec2: FakeEC2, study: "subprocess.Popen[bytes]", host: str) -> float:
    _wait(ec2, study, lambda: seconds_to_first_epoch(ec2, "starts", host) is not None, "an epoch")
    seconds = seconds_to_first_epoch(ec2, "starts", host)
    assert seconds is not None
    return seconds


def _row(case: str, seconds: list[float]) -> dict[str, Any]:
    return {
        "case": case,
        "machines": len(seconds),
        "median_s": statistics.median(seconds),
        "lowest_s": min(seconds),
        "highest_s": max(seconds),
    }


if __name__ == "__main__":
    main()
