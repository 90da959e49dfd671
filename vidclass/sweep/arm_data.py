"""Fields of `data` that an arm may fix or search for itself, named in full: `data.sampling.kind`.

How videos are found, divided and scored is the same for all arms. What is stored of a video and
what is shown of that may differ, and then the arms no longer see the same footage: the plan says
so.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from vidclass.data.augment import Augment, check_classes
from vidclass.data.clip_choice import ClipChoice
from vidclass.data.crops import CropOptions
from vidclass.data.store_options import StoreOptions
from vidclass.errors import UserError
from vidclass.sweep.spec import ArmSpec, DataSpec, StudySpec, WindowSpec

__all__ = [
    "FIELDS",
    "PREFIX",
    "SECTIONS",
    "arm_data_fields",
    "class_mistakes",
    "data_of_arm",
    "footage_lines",
    "framewise_mistakes",
    "worker_mistakes",
]

PREFIX = "data."
SECTIONS: dict[str, type[BaseModel]] = {
    "store": StoreOptions,
    "window": WindowSpec,
    "sampling": ClipChoice,
    "crop": CropOptions,
    "augment": Augment,
}
FIELDS = ("input_size", "geometry", "input")
SAME_FOR_ALL = frozenset({"data.crop.test"})
"""All arms are scored on the same number of clips a video."""
DRAWN = frozenset({"resample", "oversample", "undersample"})
"""Values of `class_balance` that draw some samples more often than others."""
FOOTAGE = (
    "data.store.",
    "data.window.",
    "data.sampling.",
    "data.crop.",
    "data.geometry",
    "data.input",
)
"""Beginnings of those fields that decide what an arm gets to see, in evaluation too."""


def arm_data_fields() -> list[str]:
    """Return the full names of all fields that an arm may set."""
    nested = [f"{PREFIX}{part}.{name}" for part, of in SECTIONS.items() for name in of.model_fields]
    return [
        *(name for name in nested if name not in SAME_FOR_ALL),
        *(f"{PREFIX}{name}" for name in FIELDS),
    ]


def data_of_arm(data: DataSpec, own: Mapping[str, Any]) -> DataSpec:
    """Return the study's ``data`` with the fields that an arm has of its own.

    Args:
        data: the study's.
        own: full names to values.

    Raises:
        pydantic.ValidationError: for a value that the field does not allow.
    """
    content = data.model_dump()
    for name, value in own.items():
        *path, last = name.removeprefix(PREFIX).split(".")
        place = content
        for part in path:
            place = place[part]
        place[last] = value
    return DataSpec.model_validate(content)


def class_mistakes(spec: StudySpec, classes: Sequence[str]) -> list[UserError]:
    """Return a mistake for every pair, of the study or an arm, that names a class there is not."""
    augments = [spec.data.augment]
    section = f"{PREFIX}augment."
    for arm in spec.arms:
        own = {
            name.removeprefix(section): value
            for name, value in arm.fixed.items()
            if name.startswith(section)
        }
        augments.append(Augment.model_validate({**spec.data.augment.model_dump(), **own}))
    distinct = list(dict.fromkeys(augments))
    return [mistake for augment in distinct for mistake in check_classes(augment, classes)]


def framewise_mistakes(spec: StudySpec, arm: ArmSpec, train: dict[str, Any]) -> Iterator[UserError]:
    """Yield why a model that answers at every step of a recording does not fit the study."""
    if spec.data.windows is None:
        yield UserError(
            f"{arm.model} answers at every step of recordings whose windows are labelled",
            f"arm {arm.name} in a study without data.windows",
            "data.windows: {length_s: 1, stride_s: 0.5}; or a model of clips",
        )
    balance = train.get("class_balance", "none")
    if balance in DRAWN:
        yield UserError(
            "a stretch of a recording is seen as it is: its classes can be weighed, not drawn",
            f"arm {arm.name}: class_balance {balance}",
            "class_balance: weights or effective_number",
        )
    workers = spec.workers_of(arm.name)
    if workers > 1:
        yield UserError(
            "a model that answers at every step of recordings is trained by one process",
            f"arm {arm.name}: workers {workers}",
            f"workers: 1 of the arm {arm.name}",
        )


def worker_mistakes(spec: StudySpec, arm: ArmSpec, train: dict[str, Any]) -> Iterator[UserError]:
    """Yield why batches can't be divided over the workers of the arm.

    Args:
        spec: the study.
        arm: one of its arms.
        train: its training settings, resolved; empty where they are wrong themselves.
    """
    workers = spec.workers_of(arm.name)
    if workers == 1 or not train:
        return
    batch_size, accumulate = train["batch_size"], train["accumulate"]
    least = 2 * workers * accumulate
    if batch_size < least:
        yield UserError(
            "each worker gets two clips or more of every accumulated part of a batch",
            f"arm {arm.name}: batch_size {batch_size}, accumulate {accumulate}, workers {workers}",
            f"batch_size: {least} or more, or fewer workers",
        )


def footage_lines(spec: StudySpec) -> Iterator[str]:
    """Yield a line for each arm that does not look at the study's own footage, and how it differs.

    Where to look can be worth more than an architecture, so a comparison must say so.
    """
    for arm in spec.arms:
        own = {**arm.fixed, **dict.fromkeys(arm.search, "searched")}
        told = [f"{name} {own[name]}" for name in own if name.startswith(FOOTAGE)]
        if told:
            yield f"{arm.name} sees other footage: {', '.join(told)}"
