"""The entry of a trial, and the processes that its further workers sit in.

The trial itself is worker 0. The others are actors in the same placement group, which Tune frees
when the trial ends, and belong to the trial's process, with which Ray ends them. They stay between
the trials of a process, as the process does: a start costs seconds. Nothing that trains is imported
here, so that the others are started first and import it at the same time as the trial's own.
"""

from typing import Any

import ray
from ray.util.placement_group import PlacementGroup
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

__all__ = ["Seats", "address", "start_trial"]

_KEPT: dict[str, list[Any]] = {}
"""Workers that stay for the next trial of this process, by their placement group."""


def start_trial(config: dict[str, Any]) -> None:
    """Carry ``config["job"]`` out; the function that ``ray.tune.Tuner`` is given."""
    num_others = config["job"]["workers"] - 1
    seats = Seats(num_others) if num_others else None
    from vidclass.sweep.trial import run_trial  # seconds, in which the others import the same

    run_trial(config, seats)


def address() -> str:
    """Return the address by which Ray knows this machine."""
    return str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]


class Seats:
    """The processes of a trial's workers after the first, just started or of the trial before.

    Args:
        number: how many.

    Attributes:
        bundle: the resources of each worker.
        actors: the processes.
        there: an answer of each once it has imported what trains.
    """

    def __init__(self, number: int) -> None:
        group = ray.util.get_current_placement_group()
        assert group is not None, "Tune runs every trial in a placement group"
        self._key = group.id.hex()
        self.bundle = dict(group.bundle_specs[0])
        for key in set(_KEPT) - {self._key}:
            _end(_KEPT.pop(key))
        self.actors = _KEPT.pop(self._key, []) or [
            _start(group, bundle) for bundle in range(1, number + 1)
        ]
        self.there = [actor.place.remote() for actor in self.actors]

    def keep(self) -> None:
        """Let the processes go to the next trial."""
        _KEPT[self._key] = self.actors

    def end(self) -> None:
        """End the processes: they have not left the trial well."""
        _end(self.actors)


class _Seat:
    """A process that takes part in trainings."""

    def __init__(self) -> None:
        self._worker: Any = None

    def place(self) -> str:
        """Return the address of the machine, once what trains is imported."""
        from vidclass.sweep.workers import Follower

        if self._worker is None:  # asked again in mid-training where a call was lost
            self._worker = Follower()
        return address()

    def follow(self, *arguments: Any) -> tuple[str, str]:
        """See :meth:`vidclass.sweep.workers.Follower.follow`."""
        ended: tuple[str, str] = self._worker.follow(*arguments)
        return ended

    def give(self, iterator: Any) -> None:
        """See :meth:`vidclass.sweep.workers.Follower.give`."""
        self._worker.give(iterator)


def _start(group: PlacementGroup, bundle: int) -> Any:
    resources = dict(group.bundle_specs[bundle])
    strategy = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=bundle)
    return (
        ray.remote(_Seat)
        .options(
            num_cpus=resources.pop("CPU", 0),
            num_gpus=resources.pop("GPU", 0),
            scheduling_strategy=strategy,
            max_concurrency=2,  # one is given clips while it trains
        )
        .remote()
    )


def _end(actors: list[Any]) -> None:
    for actor in actors:
        ray.kill(actor)
