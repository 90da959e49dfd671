"""``python -m tests.sweep.worker_nodes HOME RAY_FOLDER``: two nodes, of which one goes away.

Each has one CPU, so that a trial of two workers needs both. The second node is killed in
mid-training, whichever worker it has, and another one comes.
"""

import os
import sys
import threading
import time
from pathlib import Path

os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import ray
from ray.cluster_utils import Cluster

from tests.sweep.worker_study import carried_out, study

EPOCHS = 30
PATIENCE_S = 120.0


def main(home: Path, folder: str) -> None:
    """Run the study; print how its trial's attempts ended."""
    small = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True, head_node_args={**small, "temp_dir": folder, "num_cpus": 1}
    )
    second = cluster.add_node(**small)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    engine = study(home, "nodes", workers=2, trials=1, epochs=EPOCHS)

    def take_away() -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            searched = engine.state.select(kind="search")
            if searched and len(searched[0].epochs) >= 2:
                cluster.remove_node(second, allow_graceful=False)
                cluster.add_node(**small)
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
    main(Path(sys.argv[1]), sys.argv[2])
