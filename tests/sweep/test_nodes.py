"""What nodes must have: refusals from facts, and a real cluster of two nodes."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import ray

import vidclass
from vidclass.sweep.nodes import NodeFacts, NodeQuestion, code_hash, own_refusal, refusals

GOOD = NodeFacts("10.0.0.1", "0.1.0", "abc", True)


def test_alike_nodes_are_not_refused(tmp_path: Path) -> None:
    assert refusals([GOOD, GOOD], "0.1.0", "abc", tmp_path) == []


@pytest.mark.parametrize(
    ("other", "rule", "received"),
    [
        (NodeFacts("10.0.0.2", "0.0.9", "abc", True), "driver's vidclass", "10.0.0.2 has 0.0.9"),
        (NodeFacts("10.0.0.2", "0.1.0", "xyz", True), "driver's vidclass", "(xyz)"),
        (NodeFacts("10.0.0.2", "0.1.0", "abc", False), "share the home", "10.0.0.2"),
    ],
)
def test_another_node_is_named(other: NodeFacts, rule: str, received: str, tmp_path: Path) -> None:
    (error,) = refusals([GOOD, other], "0.1.0", "abc", tmp_path)
    assert rule in error.rule
    assert received in error.received
    assert "10.0.0.1" not in error.received


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    wrong = NodeFacts("10.0.0.2", "0.0.9", "abc", False)
    assert len(refusals([GOOD, wrong, wrong], "0.1.0", "abc", tmp_path)) == 2


def test_the_hash_is_that_of_the_files() -> None:
    assert len(code_hash()) == 12
    assert code_hash() == code_hash.__wrapped__()


def test_a_node_that_comes_later_asks_itself(tmp_path: Path) -> None:
    ledger = tmp_path / "studies" / "smoke" / "ledger.jsonl"
    told = own_refusal(code_hash(), "/srv/home", tmp_path, "smoke")
    assert told is not None and "share the home" in told.rule
    assert "/srv/home of the driver is not seen" in str(told.received)
    ledger.parent.mkdir(parents=True)
    ledger.touch()
    assert own_refusal(code_hash(), "/srv/home", tmp_path, "smoke") is None
    told = own_refusal("another", "/srv/home", tmp_path, "smoke")
    assert told is not None and "driver's vidclass" in told.rule


def test_a_node_that_is_there_answers_and_another_does_not(small_ray: None) -> None:
    own = ray.get_runtime_context().get_node_id()
    asked = {node: NodeQuestion(node, 60.0) for node in (own, "1" * len(own))}
    told = dict.fromkeys(asked)
    give_up = time.monotonic() + 90
    while None in told.values() and time.monotonic() < give_up:
        told = {node: question.answer() for node, question in asked.items()}
        time.sleep(0.1)
    assert told == {own: True, "1" * len(own): False}


def test_a_node_that_is_silent_for_too_long_does_not_answer(small_ray: None) -> None:
    assert NodeQuestion(ray.get_runtime_context().get_node_id(), 0.0).answer() is False


TWO_NODES = """
import json, sys
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from vidclass.errors import UserErrors
from vidclass.sweep import nodes

Path("/tmp/ray").mkdir(exist_ok=True)  # Cluster notes its address there, whatever temp_dir says
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "temp_dir": sys.argv[2]})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, logging_level=40)
home, told = Path(sys.argv[1]), []
nodes.check_nodes(home)
left = sorted(path.name for path in home.iterdir())
nodes.code_hash = lambda: "other"
try:
    nodes.check_nodes(home)
except UserErrors as errors:
    told = [error.received for error in errors.errors]
print(json.dumps({"told": told, "left": left}))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.ray
def test_two_real_nodes_answer_for_themselves(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with tempfile.TemporaryDirectory(prefix="vn") as ray_folder:  # sockets have short paths
        ended = subprocess.run(
            [sys.executable, "-c", TWO_NODES, str(tmp_path / "home"), ray_folder],
            env=environment,
            capture_output=True,
            text=True,
            timeout=170,
        )
    assert ended.returncode == 0, ended.stderr[-3000:]
    answer = json.loads(ended.stdout.splitlines()[-1])
    assert answer["left"] == []
    (received,) = answer["told"]
    assert received.count(f"has {vidclass.__version__} (") == 2
