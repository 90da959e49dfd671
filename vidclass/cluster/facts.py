"""``python -m vidclass.cluster.facts`` on the head: nodes, services, studies; a line of JSON."""

import json
import logging
import socket
import sys
from typing import Any

import ray

from vidclass.home import home, studies_folder
from vidclass.sweep.lock import driver_of

__all__ = ["facts"]

SERVICES = {"MLflow": 5000, "dashboard": 8265}
"""What listens on the head's own address alone, by its port."""


def facts() -> dict[str, Any]:
    """Return the living nodes, which services answer, and the studies that have a driver."""
    ray.init(address="auto", logging_level=logging.CRITICAL, log_to_driver=False)
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    folders = sorted(path.parent for path in studies_folder(home()).glob("*/ledger.jsonl"))
    return {
        "nodes": [_node(node) for node in alive],
        "services": {name: _listens(port) for name, port in SERVICES.items()},
        "studies": [folder.name for folder in folders if driver_of(folder)],
    }


def _node(node: dict[str, Any]) -> dict[str, Any]:
    resources = node["Resources"]
    return {
        "name": node["NodeManagerHostname"],
        "address": node["NodeManagerAddress"],
        "head": "node:__internal_head__" in resources,
        "cpus": resources.get("CPU", 0),
        "gpus": resources.get("GPU", 0),
    }


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")
