"""What every node of a cluster must have before a study may use it: the same code, the same home.

Both are probed on the nodes, never guessed from an address or a path.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import vidclass
from vidclass.errors import UserError

__all__ = [
    "NodeFacts",
    "NodeQuestion",
    "check_nodes",
    "code_hash",
    "node_resources",
    "own_node",
    "own_refusal",
    "refusals",
]

PROBE_S = 120
"""How long a node may take to start a process and answer."""


@dataclass(frozen=True)
class NodeFacts:
    """What one node answered: its name, the code it has, whether it sees the driver's home."""

    node: str
    version: str
    code: str
    sees_home: bool


@lru_cache(maxsize=1)
def code_hash() -> str:
    """Return a hash of the package's own Python files as this process would import them."""
    root = Path(vidclass.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def node_resources() -> list[dict[str, float]]:
    """Return what each node that is alive offers: CPU, GPU, memory in bytes."""
    return [
        node["Resources"]
        for node in ray.nodes()  # type: ignore[no-untyped-call]
        if node["Alive"]
    ]


def _facts(token: Path, secret: str) -> NodeFacts:
    sees = token.is_file() and token.read_text(encoding="utf-8") == secret
    name = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    return NodeFacts(name, vidclass.__version__, code_hash(), sees)


def refusals(facts: list[NodeFacts], version: str, code: str, home: Path) -> list[UserError]:
    """Return why nodes can't take part, a mistake of one kind told once with all its nodes."""
    told = []
    others = [f for f in facts if (f.version, f.code) != (version, code)]
    if others:
        told.append(
            UserError(
                f"all nodes have the driver's vidclass, {version} ({code})",
                ", ".join(f"{f.node} has {f.version} ({f.code})" for f in others),
                "install one wheel everywhere: make wheel, then ray up again",
            )
        )
    apart = [f.node for f in facts if not f.sees_home]
    if apart:
        told.append(
            UserError(
                "all nodes share the home folder",
                f"{home} of the driver is not seen by {', '.join(apart)}",
                "VIDCLASS_HOME on a file system that every node mounts at the same place",
            )
        )
    return told


def own_refusal(code: str, driver_home: str, home: Path, study: str) -> UserError | None:
    """Return why this node can't take part in ``study``; asked by its trials.

    Nodes that come while a study runs were not there when ``check_nodes`` asked.

    Args:
        code: hash of the driver's code.
        driver_home: the driver's home folder.
        home: this node's home folder.
        study: the study's folder name.
    """
    sees = (home / "studies" / study / "ledger.jsonl").is_file()
    name = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
    facts = NodeFacts(name, vidclass.__version__, code_hash(), sees)
    told = refusals([facts], vidclass.__version__, code, Path(driver_home))
    return told[0] if told else None


def own_node(process: Any) -> str:
    """Return the id of the node that this process is on; asked of an actor by ``__ray_call__``."""
    return str(ray.get_runtime_context().get_node_id())


def _nothing() -> None:
    """Do what every node that is there can do."""


class NodeQuestion:
    """Whether a node does work that it is given: asked now, and answered while others go on.

    Args:
        node: its id.
        patience_s: how long it has for an answer.
    """

    def __init__(self, node: str, patience_s: float) -> None:
        there = NodeAffinitySchedulingStrategy(node, soft=False)
        task = ray.remote(_nothing).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        self._asked = task.remote()
        self._give_up = time.monotonic() + patience_s

    def answer(self) -> bool | None:
        """Return whether it does, None while that is open."""
        done, _ = ray.wait([self._asked], timeout=0)
        try:
            ray.get(done)
        except ray.exceptions.RayError:
            return False
        if done:
            return True
        return None if time.monotonic() < self._give_up else False


def check_nodes(home: Path) -> None:
    """Refuse a cluster of several nodes whose code or home folder differ; one node passes.

    Raises:
        UserErrors: naming the nodes.
    """
    from vidclass.errors import raise_collected

    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    if len(alive) < 2:
        return
    token, secret = home / f".seen-by-nodes-{secrets.token_hex(4)}", secrets.token_hex(16)
    home.mkdir(parents=True, exist_ok=True)
    token.write_text(secret, encoding="utf-8")
    try:
        facts = ray.get([_ask(node, token, secret) for node in alive], timeout=PROBE_S)
    finally:
        token.unlink(missing_ok=True)
    raise_collected(refusals(facts, vidclass.__version__, code_hash(), home))


def _ask(node: dict[str, Any], token: Path, secret: str) -> Any:
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(_facts).options(num_cpus=0, scheduling_strategy=there)
    return task.remote(token, secret)
