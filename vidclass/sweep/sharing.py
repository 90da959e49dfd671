"""How studies on one cluster share it: a pure function from what they claim to what each may hold.

The policy:

1. Every study gets one slot, in the order of priority and then of arrival, while there is room. It
   keeps that slot until it ends. Studies for which there is none wait.
2. What is left goes to the highest priority first.
3. Studies of equal priority share equally: the next slot goes to the one whose largest share of
   any resource is smallest (dominant resource fairness, Ghodsi et al., NSDI 2011).
4. A study gets no more slots than it can use, which is never more than its cap (`slots`).
5. While several studies are there, some CPUs are left to decoding: trials never get them, so that a
   study that prepares its videos goes on whatever the trials of others do.
6. Nothing is taken away from a trial that runs: a study above its share starts no further one.
7. A study that is alone is not limited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Claim", "Gate", "decode_reserve", "entitled", "may_take"]

Resources = Mapping[str, float]

MIN_CPUS_TO_RESERVE = 3
"""A cluster of one or two CPUs has none to spare; there decoding takes its turn among trials."""
RESERVED_SHARE = 8
"""One CPU in so many is left to decoding, at least one."""
FOR_TRIALS = "CPU for trials"
"""The CPUs less those left to decoding; every trial needs as much of it as of CPU."""
EPSILON = 1e-6


@dataclass(frozen=True)
class Claim:
    """What one study asks of the cluster.

    Attributes:
        study: its name.
        size: resources of one of its slots.
        wanted: slots that it could use now, its cap included.
        held: slots that it holds now.
        priority: a higher one goes first.
        since: when it came, seconds.
        decodes: whether its slots decode videos; else they are trials.
    """

    study: str
    size: dict[str, float]
    wanted: int
    held: int = 0
    priority: int = 0
    since: float = 0.0
    decodes: bool = False


class Gate(Protocol):
    """Asked before each trial of a study that shares its cluster."""

    gives_back: bool
    """Whether processes beyond those of the running trials are to be ended, for others."""

    def may_start(self, running: int) -> bool:
        """Return whether one more than the ``running`` trials may start."""

    def idle(self, running: int) -> None:
        """Take note that nothing can start before one of the ``running`` trials ends."""


def decode_reserve(claims: Sequence[Claim], capacity: Resources) -> float:
    """Return the CPUs that no trial gets."""
    cpus = capacity.get("CPU", 0.0)
    if len(claims) < 2 or cpus < MIN_CPUS_TO_RESERVE:
        return 0.0
    return float(max(1, int(cpus) // RESERVED_SHARE))


def entitled(claims: Sequence[Claim], capacity: Resources) -> dict[str, int]:
    """Return the slots that each study may hold by the policy, whatever is held now.

    Args:
        claims: one a study.
        capacity: resources of the whole cluster.
    """
    if len(claims) == 1:  # nobody to share with; a cluster that grows may have more than it told
        return {claim.study: claim.wanted for claim in claims}
    order = sorted(claims, key=lambda claim: (-claim.priority, claim.since, claim.study))
    given = dict.fromkeys((claim.study for claim in order), 0)
    free = _room(claims, capacity)

    def give(claim: Claim) -> None:
        given[claim.study] += 1
        _take(claim, 1, free)

    for claim in order:
        if claim.wanted > 0 and _fits(claim, free):
            give(claim)
    while True:
        open_to = [
            claim for claim in order if 0 < given[claim.study] < claim.wanted and _fits(claim, free)
        ]
        if not open_to:
            return given
        give(
            min(
                open_to,
                key=lambda claim: (-claim.priority, _share(claim, given[claim.study], capacity)),
            )
        )


def may_take(study: str, claims: Sequence[Claim], capacity: Resources) -> int:
    """Return how many further slots ``study`` may take now: of its share, what nobody holds."""
    (own,) = (claim for claim in claims if claim.study == study)
    left = entitled(claims, capacity)[study] - own.held
    if len(claims) == 1:
        return max(0, left)
    free = _room(claims, capacity)
    for claim in claims:
        _take(claim, claim.held, free)
    count = 0
    while count < left and _fits(own, free):
        count += 1
        _take(own, 1, free)
    return count


def _room(claims: Sequence[Claim], capacity: Resources) -> dict[str, float]:
    left = capacity.get("CPU", 0.0) - decode_reserve(claims, capacity)
    return {**capacity, FOR_TRIALS: left}


def _needs(claim: Claim) -> dict[str, float]:
    return claim.size if claim.decodes else {**claim.size, FOR_TRIALS: claim.size.get("CPU", 0.0)}


def _take(claim: Claim, slots: int, free: dict[str, float]) -> None:
    for name, amount in _needs(claim).items():
        free[name] = free.get(name, 0.0) - slots * amount


def _fits(claim: Claim, free: Resources) -> bool:
    return all(free.get(name, 0.0) >= amount - EPSILON for name, amount in _needs(claim).items())


def _share(claim: Claim, slots: int, capacity: Resources) -> float:
    return max(
        (slots * amount / max(capacity.get(name, 0.0), EPSILON))
        for name, amount in claim.size.items()
    )
