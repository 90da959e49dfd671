"""What a study's machines cost: node-hours by type from its ledger, by a table of the user's.

A node's hours are those in which at least one trial of the study ran on it. Idle minutes before a
worker is taken away, disks and traffic are not in them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vidclass.errors import UserError
from vidclass.home import home
from vidclass.sweep.state import State

__all__ = ["Prices", "cost_line", "estimate_line", "node_hours", "read_prices"]


@dataclass(frozen=True)
class Prices:
    """A price table.

    Attributes:
        currency: as it is told, for example ``USD``.
        per_hour: of a machine, by the node type of the cluster file or by the host's name.
        gmacs_per_s: training speed of one machine, by the same names, where it was measured; a
            plan needs it.
        source: the file.
    """

    currency: str
    per_hour: dict[str, float]
    gmacs_per_s: dict[str, float]
    source: str


def read_prices(path: Path | None = None) -> Prices | None:
    """Return the table of ``VIDCLASS_PRICES`` or ``HOME/prices.yaml``; None where there is none.

    Raises:
        UserError: when the file is no table of prices.
    """
    path = path or Path(os.environ.get("VIDCLASS_PRICES") or home() / "prices.yaml").expanduser()
    if not path.exists():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        rows = {str(name): dict(row) for name, row in content["machines"].items()}
        return Prices(
            currency=str(content["currency"]),
            per_hour={name: _amount(row["per_hour"]) for name, row in rows.items()},
            gmacs_per_s={
                name: _amount(row["gmacs_per_s"])
                for name, row in rows.items()
                if row.get("gmacs_per_s") is not None
            },
            source=path.name,
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            "a price table has a currency and machines with per_hour each",
            f"{path.name}: {type(error).__name__} {error}",
            "as in cluster/prices.yaml",
        ) from None


def _amount(value: Any) -> float:
    amount = float(value)
    if not amount >= 0:
        raise ValueError(f"{value} is below 0")
    return amount


def node_hours(state: State) -> dict[str, float]:
    """Return the hours of machines by type (``RAY_NODE_TYPE_NAME``), else by the host's name."""
    spans: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for machine, node, start, end in _attempts(state):
        spans.setdefault((machine or node, node), []).append((start, end))
    hours: dict[str, float] = {}
    for (machine, _), parts in spans.items():
        hours[machine] = hours.get(machine, 0.0) + _union_s(parts) / 3600
    return dict(sorted(hours.items()))


def _attempts(state: State) -> Iterator[tuple[str, str, float, float]]:
    for trial in state.trials.values():
        for attempt in trial.attempts:
            if attempt.started_at is not None and attempt.node:
                times = [e.time for e in trial.epochs.values() if e.attempt == attempt.number]
                end = attempt.ended_at or max(times, default=attempt.started_at)
                yield attempt.machine, attempt.node, attempt.started_at, end


def _union_s(spans: list[tuple[float, float]]) -> float:
    """Return the seconds that at least one span covers."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def cost_line(state: State, prices: Prices | None) -> str:
    """Return node-hours by type and what they cost; empty where there is nothing to tell.

    That is a study whose machines no autoscaler started and no table prices: their names are
    nobody else's business.
    """
    hours = node_hours(state)
    typed = any(attempt.machine for trial in state.trials.values() for attempt in trial.attempts)
    if not hours or (prices is None and not typed):
        return ""
    told = ", ".join(f"{name} {amount:.2f} h" for name, amount in hours.items())
    if prices is None:
        return f"{told} (no price table: docs/cost.md)"
    unpriced = [name for name in hours if name not in prices.per_hour]
    if unpriced:
        return f"{told} ({prices.source} has no price of {', '.join(unpriced)})"
    total = sum(amount * prices.per_hour[name] for name, amount in hours.items())
    return f"{told}; about {total:.2f} {prices.currency} by {prices.source}"


def estimate_line(gmacs: float, prices: Prices | None) -> str:
    """Return what ``gmacs`` of training would take and cost on each machine whose speed is known.

    Args:
        gmacs: billions of multiply-adds of all trainings, forward and backward.
        prices: the table; without one, or without a measured speed, nothing is guessed.
    """
    if prices is None:
        return "no price table (docs/cost.md)"
    parts = [
        f"{gmacs / speed / 3600:.2f} h of {name}, "
        f"{gmacs / speed / 3600 * prices.per_hour[name]:.2f} {prices.currency}"
        for name, speed in prices.gmacs_per_s.items()
        if speed > 0
    ]
    without = f"{gmacs:,.0f} GMACs; {prices.source} has no gmacs_per_s (docs/cost.md)"
    return f"{'; or '.join(parts)}, if no trial stops early" if parts else without
