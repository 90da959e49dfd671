"""A trial: carries one job out in a process that Tune uses again and again.

Tune gets one message a report; what it means is the engine's business. The whole output of a job,
native code's included, goes to the trial's log file, although the process is shared.
"""

import json
from pathlib import Path
from typing import Any

from ray import tune

from vidclass.home import home, studies_folder
from vidclass.plugins import load_plugin
from vidclass.sweep.job import run_job
from vidclass.sweep.nodes import own_refusal
from vidclass.sweep.output import output_to
from vidclass.sweep.seats import Seats
from vidclass.sweep.workers import company

__all__ = ["run_trial"]


def run_trial(config: dict[str, Any], seats: Seats | None) -> None:
    """Run ``config["job"]``, together with the workers in ``seats``."""
    job = config["job"]
    root = Path(config["home"]) if config["home"] else home()

    def report(message: str, payload: dict[str, Any]) -> None:
        tune.report(
            {
                "trial": job["trial"],
                "attempt": job["attempt"],
                "message": message,
                "payload": json.dumps(payload),
            }
        )

    if config["home"] is None:
        refusal = own_refusal(config["code"], config["seen"], root, job["study"])
        if refusal is not None:
            report("refused", vars(refusal))
            return

    log = studies_folder(root) / job["study"] / "logs" / f"{job['trial']}.log"
    with output_to(log), company(config, seats) as join:
        for plugin in job["plugins"]:
            load_plugin(plugin)
        run_job(job, root, report, join)
