"""Fields of a study that nothing would read: refused, since whoever wrote one expects it to act."""

from collections.abc import Iterator
from typing import Any

from vidclass.data.clip_choice import ClipChoice
from vidclass.errors import UserError
from vidclass.sweep.mistakes import line_of
from vidclass.sweep.spec import ArmSpec, StudySpec

__all__ = ["idle_fields"]

SECTION = "data.sampling."
KIND_OF = {"stride": "dense", "start_s": "fixed"}
"""Fields of ``data.sampling`` that one kind alone reads."""


def idle_fields(
    spec: StudySpec, lines: dict[tuple[Any, ...], int], source: str
) -> Iterator[UserError]:
    """Yield a mistake for each field of ``data.sampling`` that no clip of its arm would heed.

    A field at its default says nothing. One of the study is heeded where any arm has the kind that
    reads it; one of an arm, where the arm fixes, searches or inherits that kind.
    """
    kinds = {arm.name: _kinds(spec, arm) for arm in spec.arms}
    for field, kind in KIND_OF.items():
        name = f"{SECTION}{field}"
        default = ClipChoice.model_fields[field].default
        rule = f"{name} belongs to kind {kind}; other kinds take no notice of it"
        remedy = f"add {SECTION}kind: {kind}, or leave {field} out"
        value = getattr(spec.data.sampling, field)
        if value != default and not any(kind in had for had in kinds.values()):
            where = line_of(lines, ("data", "sampling", field), source)
            told = f"{field} {value}, kind {spec.data.sampling.kind} ({where})"
            yield UserError(rule, told, remedy)
        for number, arm in enumerate(spec.arms):
            for part, given in (("fixed", arm.fixed), ("search", arm.search)):
                if name in given and given[name] not in (default, [default]):
                    if kind in kinds[arm.name]:
                        continue
                    where = line_of(lines, ("arms", number, part, name), source)
                    had = " or ".join(sorted(map(str, kinds[arm.name])))
                    yield UserError(rule, f"arm {arm.name}, kind {had} ({where})", remedy)


def _kinds(spec: StudySpec, arm: ArmSpec) -> set[Any]:
    """Return the kinds that clips of an arm may have."""
    key = f"{SECTION}kind"
    searched = arm.search.get(key)
    if isinstance(searched, list):
        return set(searched)
    return {arm.fixed.get(key, spec.data.sampling.kind)}
