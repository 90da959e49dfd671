"""Slots of a shared cluster, on lease: one named Ray actor keeps who holds what.

``sharing`` is the policy; here is how it is carried out. A driver asks before each trial, and tells
every few seconds that it lives and what it holds. A driver that is not heard of for ``LAPSE_S`` has
ended, however it did: what it held goes to the others. Each message carries all that is to be known
of a study, so that a keeper that was restarted knows everything again within seconds.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import ray
from ray.data import DataContext, ExecutionResources

from vidclass.errors import UserError
from vidclass.sweep.cluster import capacity
from vidclass.sweep.sharing import Claim, entitled, may_take

__all__ = [
    "KEEPER",
    "NAMESPACE",
    "LeaseKeeper",
    "Leases",
    "decoding",
    "joins_a_cluster",
    "keeper",
    "leased",
]

KEEPER = "vidclass-leases"
NAMESPACE = "vidclass"
PROTOCOL = 1
"""Raised when the messages change; drivers of another one are refused."""

LAPSE_S = 30.0
RENEW_S = 3.0
ASK_AGAIN_S = 0.5
"""How long an answer "no" is taken for granted."""
ANSWER_S = 30.0
"""How long the keeper may take to answer before the study goes on with what it holds."""

Say = Callable[[str], None]


class LeaseKeeper:
    """Keeps the claims of the studies on a cluster, and answers by the policy.

    Args:
        now: a clock that never goes back; tests bring their own.
        room: returns the resources of the cluster.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        room: Callable[[], dict[str, float]] = capacity,
    ) -> None:
        self._now = now
        self._room = room
        self._claims: dict[str, Claim] = {}
        self._heard: dict[str, float] = {}

    def protocol(self) -> int:
        """Return the version of the messages."""
        return PROTOCOL

    def tell(self, claim: dict[str, Any], *, more: bool) -> dict[str, Any]:
        """Take a study's claim; with ``more`` give it one further slot where the policy allows.

        Returns:
            ``granted`` (whether it was given), ``share`` (slots that it may hold by the policy) and
            ``studies`` (how many share the cluster).
        """
        own = Claim(**claim)
        self._claims[own.study], self._heard[own.study] = own, self._now()
        self._drop_the_dead()
        claims, room = list(self._claims.values()), self._room()
        granted = more and may_take(own.study, claims, room) > 0
        if granted:  # held from now on, so that the next who asks is not given the same slot
            self._claims[own.study] = replace(own, held=own.held + 1)
        share = entitled(claims, room)[own.study]
        return {"granted": granted, "share": share, "studies": len(claims)}

    def leave(self, study: str) -> None:
        """Forget a study that ended."""
        self._claims.pop(study, None)
        self._heard.pop(study, None)

    def table(self) -> list[dict[str, Any]]:
        """Return the claims, and the share of each, in order of arrival."""
        self._drop_the_dead()
        claims = sorted(self._claims.values(), key=lambda claim: claim.since)
        share = entitled(claims, self._room())
        return [{**asdict(claim), "share": share[claim.study]} for claim in claims]

    def _drop_the_dead(self) -> None:
        limit = self._now() - LAPSE_S
        for study in [name for name, heard in self._heard.items() if heard < limit]:
            self.leave(study)


def joins_a_cluster() -> bool:
    """Say whether this driver runs on a cluster that others may use too."""
    return "RAY_ADDRESS" in os.environ


def keeper() -> Any:
    """Return the cluster's keeper of leases, started where there is none.

    Raises:
        UserError: when the one that runs speaks another version.
    """
    found: Any = (
        ray.remote(LeaseKeeper)
        .options(
            name=KEEPER,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            max_restarts=-1,
            max_task_retries=-1,
            resources={"node:__internal_head__": 0.001},  # a spot node may go
        )
        .remote()
    )
    spoken: Any = None
    try:
        spoken = ray.get(found.protocol.remote(), timeout=4 * ANSWER_S)
    except AttributeError:  # before there was a version
        pass
    if spoken != PROTOCOL:
        raise UserError(
            f"all studies of a cluster speak version {PROTOCOL} of the lease protocol",
            f"studies that run there speak {spoken}",
            "wait for them to end, then restart the cluster, or use their version of vidclass",
        )
    return found


class Leases:
    """One study's side: what it holds, and whether it may hold more.

    Args:
        study: its name.
        priority: a higher one goes first.
    """

    def __init__(self, study: str, priority: int) -> None:
        self._keeper = keeper()
        self._lock = threading.Lock()
        self._claim = Claim(study, {"CPU": 1.0}, 0, priority=priority, since=time.time())
        self._ended = threading.Event()
        self._asked_at = 0.0
        self._most = 0
        self.gives_back = False
        """Whether processes beyond those of the running trials are to be ended, for others."""
        self.share = 0
        self.studies = 1
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)
        self._thread.start()

    def enter(self, size: dict[str, float], wanted: int, *, decodes: bool, say: Say) -> None:
        """Claim up to ``wanted`` slots of ``size``; return once the first is held.

        That one is kept until the claim is replaced or the study leaves.
        """
        self._most = wanted
        with self._lock:
            self._claim = replace(self._claim, size=size, wanted=wanted, held=0, decodes=decodes)
        told = False
        while not self._tell(more=True):
            if not told:
                say(f"waiting for a slot: {self.studies} studies share the cluster")
                told = True
            time.sleep(ASK_AGAIN_S)

    def may_start(self, running: int) -> bool:
        """Return whether a trial more than the ``running`` ones may start; True leases its slot."""
        self._hold(running, wanted=self._most)
        now = time.monotonic()
        if running and self.gives_back and now - self._asked_at < ASK_AGAIN_S:
            return False
        self._asked_at = now
        granted = running == 0 or self._tell(more=True)  # the first slot is the study's own
        self.gives_back = not granted
        return granted

    def leave(self) -> None:
        """Give everything back."""
        self._ended.set()
        self._thread.join(timeout=RENEW_S)
        self._keeper.leave.remote(self._claim.study)

    def idle(self, running: int) -> None:
        """Leave to others what this study can't use before one of its trials ends."""
        self.gives_back = self.studies > 1
        self._hold(running, wanted=max(1, running))

    def _hold(self, running: int, *, wanted: int) -> None:
        with self._lock:
            self._claim = replace(self._claim, held=max(1, running), wanted=wanted)

    def _tell(self, *, more: bool) -> bool:
        with self._lock:  # a renewal must not overtake a slot that was just given
            try:
                told = ray.get(
                    self._keeper.tell.remote(asdict(self._claim), more=more), timeout=ANSWER_S
                )
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                return False  # restarted elsewhere: it is told everything again
            if told["granted"]:
                self._claim = replace(self._claim, held=self._claim.held + 1)
            self.share, self.studies = told["share"], told["studies"]
            return bool(told["granted"])

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_S):
            if self._claim.wanted:
                self._tell(more=False)


@contextmanager
def leased(study: str, priority: int) -> Iterator[Leases | None]:
    """Yield the study's leases on a cluster that others may use too, None on a Ray of its own."""
    if not joins_a_cluster():
        yield None
        return
    leases = Leases(study, priority)
    try:
        yield leases
    finally:
        leases.leave()


@contextmanager
def decoding(leases: Leases | None, say: Say) -> Iterator[None]:
    """Decode in this block on no more CPUs than the study's share of them when it begins."""
    if leases is None:
        yield
        return
    cpus = int(capacity().get("CPU", 1))
    leases.enter({"CPU": 1.0}, cpus, decodes=True, say=say)
    options = DataContext.get_current().execution_options
    before = options.resource_limits
    if leases.studies > 1:
        options.resource_limits = ExecutionResources(cpu=float(max(1, leases.share)))
    try:
        yield
    finally:
        options.resource_limits = before
