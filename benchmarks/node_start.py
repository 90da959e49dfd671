"""Seconds from a spot machine's start to its first epoch, with and without an image of one's own.

Against a fake EC2 (tests/cluster): moto answers, and a host made of namespaces stands for each
machine; Linux, root, sshd and rsync are needed. A study runs on two spot machines of one core. One
of them is reclaimed again and again, and each time the machine that comes in its place is timed:
from EC2's start of it to the first epoch that one of its trials reports, which includes that epoch.
Without the image pip installs the wheel; with it the wheel is there (cluster/Dockerfile). PyTorch
and Ray are on the machines in both cases: a bare machine would have to fetch them too.
"""

import statistics
import subprocess
import sys
from typing import Any

import _common

from tests.cluster.ec2 import PROFILE, RAY, STORE, FakeEC2, fake_ec2, seconds_to_first_epoch
from tests.cluster.hosts import why_not

AIM_S = 60.0
PATIENCE_S = 600.0
STUDY = (
    f'VIDCLASS_STORE="{STORE}" python -m vidclass.sweep smoke'
    " --set budget.epochs=20 --set budget.trials=200 --set study=starts"
)
"""Longer than this takes; it is left in its middle."""


def main() -> None:
    """Time machines of both kinds and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--machines", type=int, default=3, help="of each kind")
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    machines = 1 if options.quick else options.machines
    with _common.scratch() as folder, fake_ec2(_common.REPOSITORY, folder / "p") as ec2:
        study = _started(ec2)
        without = [_replaced(ec2) for _ in range(machines)]
        ec2.hosts.use_image()
        with_image = [_replaced(ec2) for _ in range(machines)]
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
    token = "mkdir -m 700 -p ~/.ray; ray get-auth-token --generate; chmod 600 ~/.ray/auth_token"
    ec2.on_laptop(f"{token}; {RAY} up -y overlaid.yaml", timeout_s=600)
    line = f"{PROFILE} cd /srv/project; {RAY} exec overlaid.yaml '{STUDY}'"
    study = ec2.hosts.start("laptop", line, ec2.hosts.state / "study.log")
    ec2.wait(lambda: len(_hosts(ec2)) == 2, "two spot machines", PATIENCE_S)
    for host in _hosts(ec2):
        _first_epoch(ec2, host)
    return study


def _replaced(ec2: FakeEC2) -> float:
    """Reclaim the newest machine; return how long the next one took to its first epoch."""
    before = _hosts(ec2)
    newest = max(before, key=lambda host: ec2.seen_at[host])
    ec2.reclaim(before[newest])
    ec2.wait(lambda: _hosts(ec2).keys() - before.keys(), "another machine", PATIENCE_S)
    (host,) = _hosts(ec2).keys() - before.keys()
    return _first_epoch(ec2, host)


def _hosts(ec2: FakeEC2) -> dict[str, str]:
    """Return the running spot machines: host and instance."""
    return {ec2.host_of(name): name for name in ec2.running("gpu_spot")}


def _first_epoch(ec2: FakeEC2, host: str) -> float:
    ec2.wait(
        lambda: seconds_to_first_epoch(ec2, "starts", host) is not None, "an epoch", PATIENCE_S
    )
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
