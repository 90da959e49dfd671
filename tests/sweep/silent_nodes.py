"""``python -m tests.sweep.silent_nodes HOME RAY_FOLDER node|process``: gone before a word.

The first process of a trial to load its plug-in writes where it is and waits. Then its node is
taken away, or the process alone is killed, and the next one loads at once.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

import ray
from ray.cluster_utils import Cluster

from tests.sweep.worker_study import carried_out, study

PATIENCE_S = 120.0
PLUGIN = """
import os, time
import ray
try:
    aside = os.open({place!r} + ".aside", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
except FileExistsError:
    pass
else:
    os.write(aside, f"{{ray.get_runtime_context().get_node_id()}} {{os.getpid()}}".encode())
    os.rename({place!r} + ".aside", {place!r})
    open({place!r} + ".aside", "w").close()
    time.sleep({patience})
"""


def main(home: Path, folder: str, what: str) -> None:
    """Run the study; print how its trial's attempts ended."""
    small = {"num_cpus": 1, "object_store_memory": 100_000_000}
    cluster = Cluster(
        initialize_head=True, head_node_args={**small, "temp_dir": f"{folder}/ray", "num_cpus": 0}
    )
    nodes = {node.node_id: node for node in (cluster.add_node(**small) for _ in range(2))}
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    place, plugin = home / "place", home / "waits.py"
    plugin.write_text(PLUGIN.format(place=str(place), patience=PATIENCE_S))
    engine = study(home, "silent", workers=1, trials=1, plugins=(str(plugin),))

    def take_away() -> None:
        until = time.monotonic() + PATIENCE_S
        while not place.exists() and time.monotonic() < until:
            time.sleep(0.05)
        node, process = place.read_text().split()
        if what == "node":
            cluster.remove_node(nodes[node], allow_graceful=False)
        else:
            os.kill(int(process), signal.SIGKILL)

    threading.Thread(target=take_away, daemon=True).start()
    carried_out(engine)
    for trial in engine.state.trials.values():
        print("TRIAL", trial.trial, *(attempt.status for attempt in trial.attempts))
    print("FINISHED", engine.finished)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
