"""The Tune trainable: carries one job out in a process that Tune uses again and again.

Tune gets one message a report; what it means is the engine's business. The whole output of a job,
native code's included, goes to the trial's log file, although the process is shared.
"""

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray import tune

from vidclass.home import home, studies_folder
from vidclass.plugins import load_plugin
from vidclass.sweep.job import run_job
from vidclass.sweep.nodes import own_refusal

__all__ = ["run_trial"]


def run_trial(config: dict[str, Any]) -> None:
    """Run ``config["job"]``; the function that ``ray.tune.Tuner`` is given."""
    job = config["job"]
    root = Path(config["home"]) if config["home"] else home()

    def report(message: str, payload: dict[str, Any]) -> None:
        tune.report(
            {
                "trial": job["trial"],
                "attempt": job["attempt"],
                "message": message,
                "payload": json.dumps(payload),
                "ray_node": ray.get_runtime_context().get_node_id(),
            }
        )

    if config["home"] is None:
        refusal = own_refusal(config["code"], config["seen"], root, job["study"])
        if refusal is not None:
            report("refused", vars(refusal))
            return

    log = studies_folder(root) / job["study"] / "logs" / f"{job['trial']}.log"
    with _output_to(log):
        for plugin in job["plugins"]:
            load_plugin(plugin)
        run_job(job, root, report)


@contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send file descriptors 1 and 2 to ``path``: print() alone would miss native code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = (os.dup(1), os.dup(2))
    with path.open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(kept[0], 1)
        os.dup2(kept[1], 2)
        os.close(kept[0])
        os.close(kept[1])
