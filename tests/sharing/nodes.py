"""A cluster of several nodes in one process, told what to do line by line: run by `Nodes`.

Arguments: folder of Ray, CPUs of the head, port of the dashboard (0: none).
Lines read: ``add CPUS [NAME=VALUE ...]`` (a node with an environment of its own), ``remove PID``
(the node whose raylet has that pid, without notice), ``quit``. Each is answered with a line
that begins with ``>``, unlike those that Ray prints.
"""

import sys

import ray
from ray.cluster_utils import Cluster


def pid_of(node: object) -> int:
    return int(node.all_processes["raylet"][0].process.pid)  # type: ignore[attr-defined]


def main(folder: str, head_cpus: str, port: str) -> None:
    arguments = {
        "num_cpus": int(head_cpus),
        # where RAY_TMPDIR has Ray note the address, by which jobs find their cluster
        "temp_dir": f"{folder}/ray",
        "object_store_memory": 150_000_000,
        "include_dashboard": port != "0",
    }
    if port != "0":
        arguments["dashboard_port"] = int(port)
        # the usual one may be taken by another Ray of this machine, and jobs need the head's agent
        arguments["dashboard_agent_listen_port"] = 0
    cluster = Cluster(initialize_head=True, head_node_args=arguments)
    ray.init(address=cluster.address, logging_level=40, log_to_driver=False)
    print("> address", cluster.address, flush=True)
    nodes = {}
    for line in sys.stdin:
        verb, *rest = line.split()
        if verb == "add":
            node = cluster.add_node(
                num_cpus=int(rest[0]),
                object_store_memory=100_000_000,
                env_vars=dict(pair.split("=", 1) for pair in rest[1:]),
            )
            nodes[pid_of(node)] = node
            print("> added", pid_of(node), flush=True)
        elif verb == "remove":
            cluster.remove_node(nodes.pop(int(rest[0])), allow_graceful=False)
            print("> removed", rest[0], flush=True)
        else:
            break
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
