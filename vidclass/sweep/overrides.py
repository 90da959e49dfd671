"""``--set a.b=c``: how it is read, and where it goes in the content of a study file."""

from typing import Any

from vidclass.assignment import read_assignment
from vidclass.errors import UserError

__all__ = ["put", "read_override"]


def read_override(item: str) -> tuple[str, Any]:
    """Return the dotted path and the value of one ``--set``.

    Raises:
        UserError: when it is not a.b=c, or c is not YAML.
    """
    return read_assignment(item, form="a.b=c", example="budget.epochs=4")


def put(content: dict[str, Any], dotted: str, value: Any) -> None:
    """Write ``value`` at the dotted path of a study file's content.

    Raises:
        UserError: when the path leads through what is no mapping and no list.
    """
    *path, last = dotted.split(".")
    place: Any = content
    try:
        for part in path:
            if isinstance(place, list):
                place = place[int(part)]
            else:
                place = place.setdefault(part, {})
        if isinstance(place, list):
            place[int(last)] = value
        else:
            place[last] = value
    except (ValueError, IndexError, TypeError, AttributeError):
        raise UserError(
            "--set names a field by dots, entries of a list by their number from 0",
            dotted,
            "for example budget.epochs=4, or arms.0.fixed.width=0.25",
        ) from None
