"""What a check of a cluster file finds, and the small things that all checks use."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Finding", "Place", "near", "node_types", "texts"]

Place = tuple[str | int, ...]
"""Keys and numbers that lead from the top of the file to a value."""
Finding = tuple[Place, str, object, str]
"""Where, the rule, what was received, what to write instead."""


def near(key: str, known: Iterable[str]) -> str:
    """Return the remedy for an unknown ``key``."""
    close = difflib.get_close_matches(key, list(known), n=1)
    return f"did you mean {close[0]}?" if close else "remove it"


def texts(value: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield every text below ``value`` with its place."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from texts(part, (*place, str(key)))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from texts(part, (*place, number))
    elif isinstance(value, str):
        yield place, value


def node_types(config: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield name and content of every node type that is a mapping."""
    for name, node in (config.get("available_node_types") or {}).items():
        if isinstance(node, dict):
            yield str(name), node
