"""Whether trials of several workers fit the nodes, and whether their clips have to be streamed."""

from pathlib import Path
from typing import Any

from vidclass.data.frame_store import num_bytes
from vidclass.errors import UserError, raise_collected
from vidclass.sweep.job_data import store_of
from vidclass.sweep.spec import StudySpec

__all__ = ["as_grown", "check_placement", "needs_stream", "num_places"]

STREAM_CPUS = 1.0
"""What Ray Data needs beside the trials; without it a stream waits for ever."""
ROUNDING = 1e-6

Resources = dict[str, float]


def as_grown(nodes: list[Resources], capacity: Resources) -> list[Resources]:
    """Return the nodes, and as one more what a cluster that grows on demand can still add."""
    missing = {
        name: amount - sum(node.get(name, 0.0) for node in nodes)
        for name, amount in capacity.items()
    }
    more = {name: amount for name, amount in missing.items() if amount > 0}
    return [*nodes, more] if more else nodes


def num_places(bundle: Resources, nodes: list[Resources]) -> int:
    """Return how many processes that ask for ``bundle`` the nodes hold, each on one of them."""
    return sum(
        min(
            int(node.get(name, 0) / amount + ROUNDING)
            for name, amount in bundle.items()
            if amount > 0
        )
        for node in nodes
    )


def check_placement(
    spec: StudySpec,
    slots: int,
    bundle: Resources,
    nodes: list[Resources],
    *,
    streams: bool | None = None,
) -> None:
    """Refuse a study whose trials of several workers would wait for places that there are not.

    Args:
        spec: the study.
        slots: processes that train at once.
        bundle: what each of them asks for.
        nodes: what each node offers.
        streams: whether Ray Data brings the clips; by default whether the study says always.

    Raises:
        UserErrors: for each arm that does not fit.
    """
    mistakes = []
    if streams is None:
        streams = spec.data.stream == "always"
    cpus = sum(node.get("CPU", 0) for node in nodes)
    places = num_places(bundle, nodes)
    asked = " + ".join(f"{amount:g} {name}" for name, amount in bundle.items())
    for arm in spec.arms:
        workers = spec.workers_of(arm.name)
        if workers == 1:
            continue
        if workers > slots:
            mistakes.append(
                UserError(
                    "a trial has a slot for each of its workers",
                    f"arm {arm.name}: workers {workers}, slots {slots}",
                    f"workers: {slots} at most, or slots: {workers}",
                )
            )
        elif workers > places:
            mistakes.append(
                UserError(
                    f"each worker of a trial finds {asked} on one node",
                    f"arm {arm.name}: workers {workers}, places {places} on {len(nodes)} nodes",
                    f"workers: {max(1, places)}, more nodes, or more slots, which ask for less",
                )
            )
        elif streams and workers * bundle["CPU"] + STREAM_CPUS > cpus + ROUNDING:
            mistakes.append(
                UserError(
                    f"beside the workers of a trial {STREAM_CPUS:g} CPU is left for Ray Data, "
                    "which streams the clips",
                    f"arm {arm.name}: {workers} x {bundle['CPU']:g} CPU of {cpus:g}",
                    "fewer workers, a further node, more slots, which ask for less, or "
                    "data.stream: never",
                )
            )
    raise_collected(mistakes)


def needs_stream(spec: StudySpec, home: Path, data: dict[str, Any], nodes: list[Resources]) -> bool:
    """Say whether the clips of trials with several workers are to be streamed.

    With ``auto`` they are where the files of the frame store are larger than the memory of the
    smallest node: mapped frames that are read in a random order would be fetched again in every
    epoch.
    """
    if spec.data.stream != "auto":
        return spec.data.stream == "always"
    if all(spec.workers_of(arm.name) == 1 for arm in spec.arms):
        return False
    stored = int(num_bytes(store_of(data, home).index).sum())
    return stored > min(node.get("memory", float("inf")) for node in nodes)


def half_batch(train: dict[str, Any], workers: int = 1) -> dict[str, Any]:
    """Return the settings with half as many clips in memory at once, in each worker.

    The optimizer's step keeps its clips, cut into twice the parts, where that divides.
    """
    accumulate, batch_size = train["accumulate"] * 2, train["batch_size"]
    if batch_size % accumulate == 0 and batch_size >= 2 * accumulate * workers:
        return {**train, "accumulate": accumulate}
    return {**train, "batch_size": max(2 * workers, batch_size // 2), "accumulate": 1}
