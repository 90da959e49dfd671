"""What a second machine costs: two hosts of one core each against one host of two cores.

Two cores can't show how a cluster scales, but they show what it loses: the same study, with the
same two slots and two cores, on a worker that has both and on two workers that have one each.
Hosts are namespaces with their own address and sshd (tests/cluster), started by
`vidclass cluster up`; Linux, root, sshd and rsync are needed. The head has both cores in both
cases and runs no trials. Aim: at most 15 % more seconds, for the store's build and for the trials.
About eight minutes.
"""

import sys
from typing import Any

import _common

from tests.cluster.hosts import why_not
from tests.cluster.lab import FILLED, ONPREM, SECTION, WORKERS, cluster_up, lab, ledger
from tests.cluster.page import Page
from vidclass.sweep.state import State, apply

ONE_HOST = {**FILLED, "REPLACE-worker-address": "10.88.0.11"} | {
    "min_workers: 1": "min_workers: 1",
    "max_workers: 1": "max_workers: 1",
}
CASES = (
    ("one host of two cores", ("w1",), ONE_HOST),
    ("two hosts of one core", ("w1", "w2"), FILLED),
)
"""Name, workers, what is filled in."""


def main() -> None:
    """Run the study on both and write the result."""
    parser = _common.arguments(__doc__)
    parser.add_argument("--study", default="smoke", help="the study that both run")
    parser.add_argument("--trials", type=int, default=6, help="of an arm")
    parser.add_argument("--epochs", type=int, default=12, help="of a trial, at most")
    options = parser.parse_args()
    if reason := why_not():
        sys.exit(reason)
    trials, epochs = (2, 2) if options.quick else (options.trials, options.epochs)
    study = f"{options.study} --set budget.trials={trials} --set budget.epochs={epochs}"
    rows = [measured(name, workers, filled, study) for name, workers, filled in CASES]
    _common.print_table(rows)
    aims = [
        _common.against_aim(
            f"{what} on two hosts, against one host",
            100 * (rows[1][what] / rows[0][what] - 1),
            15,
            at_most=True,
            unit="%",
        )
        for what in ("build_s", "trials_s")
    ]
    _common.finish("cluster_overhead", quick=options.quick, aims=aims, rows=rows, study=study)


def measured(
    name: str, workers: tuple[str, ...], filled: dict[str, str], study: str
) -> dict[str, Any]:
    """Return the seconds of a study's parts on a cluster with these workers."""
    cores = {"w1": "0-1"} if len(workers) == 1 else {"w1": "0", "w2": "1"}
    slots = {"--num-cpus=1": f"--num-cpus={2 // len(workers)}"}
    changes = {key: _each(value, slots) for key, value in filled.items()}
    page = Page(_common.REPOSITORY, SECTION)
    hosted = {worker: WORKERS[worker] for worker in workers}
    with (
        _common.scratch() as folder,
        lab(_common.REPOSITORY, folder / "p", page, hosted, changes) as hosts,
    ):
        print(f"{name}: hosts made", flush=True)
        for worker in workers:
            hosts.pin(worker, cores[worker])
        cluster_up(hosts, page)
        print(f"{name}: cluster up", flush=True)
        line = f"cd /srv/project && ray exec {ONPREM} 'python -m vidclass.sweep {study}'"
        hosts.run("laptop", line, timeout_s=1500)
        state = State()
        for event in ledger(hosts, ""):
            apply(state, event)
    build = state.data["seconds"]["all"]
    print(f"{name}: {build:.1f} s of build, {state.seconds - build:.1f} s of trials", flush=True)
    return {
        "case": name,
        "build_s": build,
        "trials_s": state.seconds - build,
        "epochs": sum(len(trial.epochs) for trial in state.trials.values()),
    }


def _each(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


if __name__ == "__main__":
    main()
