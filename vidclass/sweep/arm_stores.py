"""Frame stores of a study's arms: fields of `data.store` that an arm fixes or chooses from a list.

Each value is a store on the disk, so all that an arm can ask for are known, and built, before the
first trial. A trial sees one of them. What an arm does not name is as in the study's `data.store`,
which is the store of the floors and of the arms that name nothing.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from vidclass.data.store_options import StoreOptions
from vidclass.errors import UserError
from vidclass.models import ModelEntry, ModelOptions
from vidclass.sweep.mistakes import line_of
from vidclass.sweep.spec import ArmSpec, DataSpec, RangeSpec, StudySpec

__all__ = [
    "STORE",
    "field_mistakes",
    "searched_stores",
    "size_mistakes",
    "store_key_of",
    "store_keys",
    "stores_of",
    "told_store",
]

STORE = "data.store."
RATE = ("fps", "stride", "num_frames")
"""Fields of which one says which frames of a video are stored."""


def searched_stores(arm: ArmSpec) -> list[dict[str, Any]]:
    """Return every combination of an arm's searched store fields; one empty where there is none."""
    searched = {
        name: choices
        for name, choices in arm.search.items()
        if name.startswith(STORE) and isinstance(choices, list)
    }
    return [dict(zip(searched, chosen, strict=True)) for chosen in product(*searched.values())]


def stores_of(spec: StudySpec) -> list[StoreOptions]:
    """Return the distinct stores that a study can ask for, that of `data.store` first.

    Raises:
        pydantic.ValidationError: for a combination that is no store; a study that was read with
            ``vidclass.sweep.load`` has none.
    """
    found = [spec.data.store]
    for arm in spec.arms:
        fixed = {name: value for name, value in arm.fixed.items() if name.startswith(STORE)}
        for searched in searched_stores(arm):
            own = {name.removeprefix(STORE): v for name, v in {**fixed, **searched}.items()}
            options = StoreOptions.model_validate({**spec.data.store.model_dump(), **own})
            if all(options.identity() != known.identity() for known in found):
                found.append(options)
    return found


def store_keys(ready: Mapping[str, Any]) -> list[str]:
    """Return the keys of all stores of a study, of its event ``data_ready``; none before it."""
    if "stores" in ready:
        return list(ready["stores"])
    return [ready["store_key"]] if "store_key" in ready else []


def store_key_of(ready: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Return the key of the store that a trial sees.

    Args:
        ready: the event ``data_ready``: ``stores`` has key and options of each where a study has
            several; ``store_key`` is that of the study's `data.store`.
        options: the trial's fields of `data.store`.
    """
    if "stores" not in ready:
        return str(ready["store_key"])
    stores: dict[str, Any] = ready["stores"]
    wanted = StoreOptions.model_validate(options).identity()
    return next(
        key
        for key, kept in stores.items()
        if StoreOptions.model_validate(kept).identity() == wanted
    )


def told_store(options: StoreOptions, default: StoreOptions) -> str:
    """Return in words how a store differs from the study's `data.store`."""
    whole, short = (
        options.model_dump(mode="json", exclude_defaults=left_out) for left_out in (False, True)
    )
    own = [
        f"{name} {json.dumps(short.get(name, whole[name]))}".replace('"', "")
        for name in whole
        if getattr(options, name) != getattr(default, name)
    ]
    return ", ".join(own) or "data.store"


def field_mistakes(
    spec: StudySpec,
    arm: ArmSpec,
    at: tuple[Any, ...],
    lines: dict[tuple[Any, ...], int],
    source: str,
) -> Iterator[UserError]:
    """Yield what is wrong with the store fields of the arm that stands at ``at`` of a file."""
    for name, range_ in arm.search.items():
        where = line_of(lines, (*at, "search", name), source)
        if name.startswith(STORE) and isinstance(range_, RangeSpec):
            yield UserError(
                "a field of data.store is searched by a list: each value is a store on the disk",
                f"{name} from {range_.low:g} to {range_.high:g} ({where})",
                f"for example {name}: [{range_.low:g}, {range_.high:g}]",
            )
        elif name.startswith(STORE) and name in arm.start and arm.start[name] not in range_:
            where = line_of(lines, (*at, "start", name), source)
            yield UserError(
                "`start` takes one of the choices of a field of data.store",
                f"{name}: {arm.start[name]} ({where})",
                f"one of {range_}",
            )
    if spec.data.windows is not None:
        yield from _rate_mistakes(spec.data, arm, at, lines, source)


def _rate_mistakes(
    data: DataSpec,
    arm: ArmSpec,
    at: tuple[Any, ...],
    lines: dict[tuple[Any, ...], int],
    source: str,
) -> Iterator[UserError]:
    """Yield why windows of recordings would not be the same samples for all arms."""
    for field in RATE:
        name, common = f"{STORE}{field}", getattr(data.store, field)
        for part, values in (
            ("fixed", [arm.fixed.get(name, common)]),
            ("search", arm.search.get(name, [common])),
        ):
            if isinstance(values, list) and any(value != common for value in values):
                yield UserError(
                    "windows are counted in stored frames, and all arms answer for the same "
                    "windows: so a study with data.windows has one frame rate",
                    f"{name}: {values if part == 'search' else values[0]} "
                    f"({line_of(lines, (*at, part, name), source)})",
                    f"data.store: {{{field}: ...}} for all arms; or a study for each rate",
                )


def size_mistakes(
    arm: ArmSpec, entry: ModelEntry, options: ModelOptions, data: DataSpec
) -> Iterator[UserError]:
    """Yield why frames of the arm's store are too small for its clips.

    Args:
        arm: of a study.
        entry: of the arm's model.
        options: of the arm's model.
        data: as the arm has it.
    """
    side, needed = data.store.short_side, round(data.input_size * data.crop.scale)
    shows_all = data.geometry == "pad" or data.crop.corner is not None
    if side is None or shows_all or side >= needed or entry.input_of(options) == "features":
        return
    yield UserError(
        "frames are never scaled up: the short side of a store is at least the input size"
        + (f" times crop.scale {data.crop.scale:g}" if data.crop.scale > 1 else ""),
        f"arm {arm.name}: data.store.short_side {side}, data.input_size {data.input_size}",
        f"a short_side of at least {needed}, or a smaller input_size",
    )
