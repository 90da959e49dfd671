"""The keeper of leases: what it answers, who lapses; and the real actor with two drivers."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict

import pytest

from vidclass.sweep import leases
from vidclass.sweep.leases import LAPSE_S, LeaseKeeper
from vidclass.sweep.sharing import Claim

CPU = {"CPU": 1.0}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keep(clock: Clock) -> LeaseKeeper:
    """The keeper of a cluster of two CPUs."""
    return LeaseKeeper(clock, lambda: {"CPU": 2.0})


@pytest.fixture
def ask(keep: LeaseKeeper) -> Callable[..., bool]:
    """``ask("a", held)`` asks for one slot more."""

    def asks(study: str, held: int = 0, wanted: int = 2, **fields: int) -> bool:
        claim = Claim(study, CPU, wanted, held, since=float(ord(study)), **fields)
        return bool(keep.tell(asdict(claim), more=True)["granted"])

    return asks


def test_one_study_has_it_all_and_gives_what_another_is_due(ask: Callable[..., bool]) -> None:
    assert ask("a", 0)
    assert ask("a", 1)
    assert not ask("a", 2)
    assert not ask("b", 0), "both run: nothing is taken from a trial"
    assert not ask("a", 1), "one has ended: that slot is the other's"
    assert ask("b", 0)


def test_the_same_slot_is_not_given_twice(ask: Callable[..., bool]) -> None:
    assert ask("a", 0)
    assert ask("b", 0)
    assert not ask("c", 0)
    assert not ask("a", 1)


def test_a_study_that_is_not_heard_of_lapses(
    ask: Callable[..., bool], keep: LeaseKeeper, clock: Clock
) -> None:
    assert ask("a", 0) and ask("a", 1)
    clock.now = LAPSE_S - 1
    assert not ask("b", 0)
    clock.now = LAPSE_S + 1
    assert ask("b", 0)
    assert [row["study"] for row in keep.table()] == ["b"]


def test_a_study_that_leaves_leaves_room(ask: Callable[..., bool], keep: LeaseKeeper) -> None:
    assert ask("a", 0) and ask("a", 1)
    keep.leave("a")
    keep.leave("a")
    assert ask("b", 0) and ask("b", 1)


def test_a_restarted_keeper_knows_what_it_is_told_again(clock: Clock) -> None:
    again = LeaseKeeper(clock, lambda: {"CPU": 2.0})
    held = asdict(Claim("a", CPU, 2, held=2))
    assert again.tell(held, more=False) == {"granted": False, "share": 2, "studies": 1}
    assert again.table()[0]["held"] == 2


def test_the_table_tells_share_and_priority(ask: Callable[..., bool], keep: LeaseKeeper) -> None:
    ask("a", 0)
    ask("b", 0, priority=3)
    rows = {row["study"]: row for row in keep.table()}
    assert rows["b"]["priority"] == 3
    assert {study: row["share"] for study, row in rows.items()} == {"a": 1, "b": 1}


def test_without_an_address_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with leases.leased("a", 0) as none:
        assert none is None


TWO_DRIVERS = """
import os, subprocess, sys, tempfile, time
import ray
OTHER = '''
import ray, sys, time
from vidclass.sweep.leases import leased
ray.init(address=sys.argv[1], logging_level=40)
with leased("other", 0) as mine:
    mine.enter({"CPU": 1.0}, 2, decodes=False, say=print)
    print("has", mine.share, mine.studies, flush=True)
    time.sleep(600)
'''
address = ray.init(num_cpus=2, _temp_dir=sys.argv[1], logging_level=40, include_dashboard=False,
                   object_store_memory=100_000_000).address_info["gcs_address"]
os.environ["RAY_ADDRESS"] = address
from vidclass.sweep import leases
with leases.leased("own", 0) as own:
    own.enter({"CPU": 1.0}, 2, decodes=False, say=print)
    assert own.may_start(0) and own.may_start(1)
    other = subprocess.Popen([sys.executable, "-c", OTHER, address], stdout=subprocess.PIPE,
                             text=True)
    assert other.stdout.readline().startswith("waiting for a slot: 2 studies")
    assert not own.may_start(1), "a trial has ended; its slot is the other's now"
    assert own.gives_back
    assert other.stdout.readline().split() == ["has", "1", "2"]
    assert own.may_start(0), "the first slot stays"
    other.kill()
    other.wait()
    began = time.monotonic()
    while not own.may_start(1):
        assert time.monotonic() - began < 3 * leases.LAPSE_S
        time.sleep(0.5)
    print("lapsed after", time.monotonic() - began)
assert ray.get(leases.keeper().table.remote()) == []
print("done")
ray.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_two_real_drivers_and_one_that_dies() -> None:
    with tempfile.TemporaryDirectory(prefix="vl") as ray_folder:
        ended = subprocess.run(
            [sys.executable, "-c", TWO_DRIVERS, ray_folder],
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            capture_output=True,
            text=True,
            timeout=170,
        )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout.splitlines()[-1] == "done"
