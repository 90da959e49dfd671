"""Mistakes of a study file as its user reads them: in three parts, with the line."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import yaml
from pydantic import ValidationError

from vidclass.errors import UserError
from vidclass.sweep.spec import StudySpec

__all__ = ["line_numbers", "line_of", "told"]


def told(
    error: ValidationError,
    lines: dict[tuple[Any, ...], int],
    source: str,
    *,
    fields_only: bool = False,
) -> Iterable[UserError]:
    """Yield each mistake that pydantic found, with the line of its field.

    With ``fields_only`` those that lie in several fields together are left out.
    """
    for item in error.errors():
        if fields_only and not item["loc"]:
            continue
        at = tuple(part for part in item["loc"] if part not in ("range", "choice"))
        where = line_of(lines, at, source)
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, UserError):
            yield UserError(cause.rule, f"{cause.received} ({where})", cause.remedy)
            continue
        dotted = ".".join(str(part) for part in at)
        received = item.get("input")
        shown = repr(received) if not isinstance(received, dict) else "a mapping"
        said = item["msg"].removeprefix("Value error, ")
        rule = f"{dotted}: {said}" if dotted else said
        yield UserError(rule, f"{shown[:80]} ({where})", _remedy(item["type"], at))


def _remedy(kind: str, at: tuple[Any, ...]) -> str:
    if kind == "extra_forbidden":
        known = list(StudySpec.model_fields)
        close = difflib.get_close_matches(str(at[-1]), known, n=1)
        return f"did you mean {close[0]}?" if close else "remove it, or see docs/study_files.md"
    if kind == "missing":
        return f"add `{at[-1]}:`"
    return "write a value that keeps the rule; docs/study_files.md lists all fields"


def line_of(lines: dict[tuple[Any, ...], int], at: tuple[Any, ...], source: str) -> str:
    """Return file and line of the field ``at``, or of the nearest field around it."""
    while at:
        if at in lines:
            return f"{source} line {lines[at]}"
        at = at[:-1]
    return source


def line_numbers(node: yaml.Node, at: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Yield the path of every field below ``node`` with its line."""
    yield at, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (*at, key.value), key.start_mark.line + 1
            for inner, line in line_numbers(value, (*at, key.value)):
                if inner != (*at, key.value):
                    yield inner, line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from line_numbers(value, (*at, index))
