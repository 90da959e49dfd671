"""``python -m tests.sweep.worker_nodes HOME RAY_FOLDER WORKER EPOCH``: a worker's node goes away.

Three nodes have one CPU each, so that a trial of two workers lies on two of them. After epoch
``EPOCH`` the node of worker ``WORKER`` (0 or 1) is killed, or that of worker 1 as soon as its
process is there where it is 0; the third one takes its place.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import psutil
import ray
from ray.cluster_utils import Cluster

from tests.sweep.worker_study import carried_out, study
from vidclass.sweep.engine import Engine
from vidclass.sweep.ledger import read_events

EPOCHS = 30
PATIENCE_S = 120.0
TITLE = "ray::_Seat"
"""What Ray calls the process of a further worker."""


def title(process: psutil.Process) -> str:
    """Return what a process is called, empty where it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def holds(node: Any, worker: int, engine: Engine) -> bool:
    """Say whether a worker of the newest trial is a process of ``node``."""
    [raylet] = node.all_processes["raylet"]
    children = psutil.Process(raylet.process.pid).children(recursive=True)
    if worker:
        return any(title(child).startswith(TITLE) for child in children)
    events = list(read_events(engine.folder / "ledger.jsonl"))
    [*_, newest] = [event["pid"] for event in events if event["event"] == "trial_started"]
    return newest in [child.pid for child in children]


def main(home: Path, folder: str, worker: int, epoch: int) -> None:
    """Run the study; print how its trial's attempts ended."""
    small = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True, head_node_args={**small, "temp_dir": f"{folder}/ray", "num_cpus": 0}
    )
    nodes = [cluster.add_node(**small) for _ in range(3)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    engine = study(home, "nodes", workers=2, trials=1, epochs=EPOCHS)

    def take_away() -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            searched = engine.state.select(kind="search")
            if searched and len(searched[0].epochs) >= epoch:
                for taken in [node for node in nodes if holds(node, worker, engine)]:
                    cluster.remove_node(taken, allow_graceful=False)
                    return
            time.sleep(0.05)

    watching = threading.Thread(target=take_away, daemon=True)
    watching.start()
    carried_out(engine)
    [trial] = engine.state.select(kind="search")
    for attempt in trial.attempts:
        print("ATTEMPT", attempt.number, attempt.status, attempt.resume_from)
    print("EPOCHS", sorted(trial.epochs) == list(range(1, EPOCHS + 1)))
    print("FINISHED", engine.finished)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
