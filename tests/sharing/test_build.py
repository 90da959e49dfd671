"""A store built by two nodes into a depot: one dies, and only what it had in hand is lost."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fault.conftest import Home
from tests.s3 import s3
from tests.sharing.conftest import Nodes
from vidclass.data.frame_store import FrameStore, StoreOptions
from vidclass.data.readers import read_dataset
from vidclass.data.shards import Job, Source, decode_job

__all__ = ["s3"]

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]

BUILD = """
import sys
from pathlib import Path
from vidclass.data.frame_store import StoreOptions
from vidclass.data.pipeline import prepare
from vidclass.data.readers import read_dataset
from vidclass.sweep.cluster import cluster

home = Path(sys.argv[1])
with cluster():
    prepared = prepare(
        read_dataset("moving_shapes", preset="smoke", home=home), StoreOptions(), home
    )
print(prepared.store.path, prepared.decoded)
"""


def test_a_node_that_dies_costs_the_videos_it_had_in_hand(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = new_home(made_data, ("datasets",))
    share = tmp_path / "share"
    monkeypatch.setenv("VIDCLASS_STORE", share.as_uri())
    monkeypatch.setenv("VIDCLASS_CACHE", str(tmp_path / "head"))
    nodes = new_cluster(home)
    first = nodes.add(1, VIDCLASS_CACHE=tmp_path / "a")
    nodes.add(1, VIDCLASS_CACHE=tmp_path / "b")
    joined(nodes)
    driver = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(home.path)],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    home.started.append(driver)

    def written(node: str) -> set[str]:
        return {path.name for path in (tmp_path / node).glob("*/.shard-*.rgb.copy")}

    home.wait("shards of both nodes", lambda: written("a") and written("b"), driver)
    nodes.tell(f"remove {first}")
    before = {path: path.stat().st_mtime_ns for path in share.glob("*/shard-*.rgb")}
    output, _ = driver.communicate(timeout=900)
    assert driver.returncode == 0
    path, decoded = output.decode().split()[-2:]
    assert int(decoded) == 400
    assert before and all(kept.stat().st_mtime_ns == time for kept, time in before.items())

    # the frames are those of one process, read through copies of a third node
    monkeypatch.setenv("VIDCLASS_CACHE", str(tmp_path / "third"))
    store = FrameStore.open(tmp_path / "third" / Path(path).name)
    dataset = read_dataset("moving_shapes", preset="smoke", home=home.path)
    some = dataset.manifest.iloc[::20]
    sources = [Source(*row) for row in zip(some["video_id"], some["path"], strict=True)]
    found = {name: np.asarray(store.frames(name)) for name in some["video_id"]}
    monkeypatch.delenv("VIDCLASS_STORE")
    rows = decode_job(Job(tmp_path / "plain", sources, StoreOptions()))
    assert len(rows) == 20
    for row in rows.to_dict("records"):
        shape = [int(row[key]) for key in "THW"]
        path = tmp_path / "plain" / row["shard"]
        expected = np.fromfile(path, dtype=np.uint8, offset=int(row["offset"]))
        expected = expected[: int(np.prod(shape)) * 3].reshape(*shape, 3)
        np.testing.assert_array_equal(found[row["video_id"]], expected)


def test_a_study_on_two_nodes_with_its_store_on_s3(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3: str,
) -> None:
    home = new_home(made_data, ("datasets",))
    monkeypatch.setenv("VIDCLASS_STORE", s3)
    monkeypatch.setenv("VIDCLASS_CACHE", str(tmp_path / "head"))
    nodes = new_cluster(home)
    nodes.add(1, VIDCLASS_CACHE=tmp_path / "a")
    nodes.add(1, VIDCLASS_CACHE=tmp_path / "b")
    joined(nodes)
    ended = home.run("smoke")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert home.state("smoke").end_reason == "complete"
    assert not (home.path / "store").exists()
    for node in ("a", "b"):
        assert list((tmp_path / node).glob("*/shard-*.rgb")), f"{node} has no copies"
