"""Write docs/study_files.md: every field of a study file, from the docstrings in the code.

    python docs/make_study_fields.py

tests/test_readme.py fails when the page is not what this script makes.
"""

import ast
import inspect
import textwrap
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from vidclass.data.clip_choice import ClipChoice
from vidclass.data.crops import CropOptions
from vidclass.data.store_options import Mask, StoreOptions
from vidclass.data.transforms import Augment
from vidclass.sweep import spec
from vidclass.sweep.profiles import PROFILES, Profile
from vidclass.training.config import TrainConfig

PAGE = Path(__file__).with_name("study_files.md")
SIGNS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}

SECTIONS: dict[str, type[BaseModel]] = {
    "The file": spec.StudySpec,
    "data": spec.DataSpec,
    "data.store": StoreOptions,
    "data.store.masks": Mask,
    "data.window": spec.WindowSpec,
    "data.sampling": ClipChoice,
    "data.crop": CropOptions,
    "data.augment": Augment,
    "data.split": spec.SplitSpec,
    "train": TrainConfig,
    "budget": spec.BudgetSpec,
    "search": spec.SearchSpec,
    "search.halving": spec.HalvingSpec,
    "arms": spec.ArmSpec,
    "A searched range": spec.RangeSpec,
    "primary": spec.PrimarySpec,
    "finals": spec.FinalsSpec,
    "floors": spec.FloorsSpec,
}

NOTES = {
    "The file": "Only `study` and `arms` must be there.",
    "data.store.masks": "A list of rectangles that no model may see, such as a burnt-in clock: "
    "`masks: [{left: 0, top: 0.9, right: 0.3, bottom: 1}]`. See [store.md](store.md).",
    "train": "Any of these may also stand in the `fixed` or `search` of an arm. `budget.epochs` "
    "sets `epochs`.",
    "arms": "A list. `fixed` and `search` take options of the model (`vidclass models show "
    "slow_fusion`), the fields of `train`, and those of `data.store` (searched by a list; see "
    "[store.md](store.md#in-an-arm)), `data.window`, `data.sampling`, "
    "`data.crop` (but `test`), `data.augment`, `data.input_size` and `data.geometry` by their full "
    "names: `data.sampling.kind: segment`.",
    "A searched range": "A value under `search` is a list to choose from, or a range: "
    "`lr: {low: 1.0e-3, high: 4.0e-3, log: true}`.",
}

HEAD = """\
# Study files

<!-- made by docs/make_study_fields.py: change the docstrings in the code, not this page -->

A study file is YAML. It is data: it cannot run code. Those that come with vidclass are in the
folder `sweeps/`; `vidclass sweep list` names them. To write your own, copy one and run it by its
path.
The head of a study file says its command, what to expect and what it costs.

```
python -m vidclass.sweep smoke --dry-run
python -m vidclass.sweep smoke --dry-run --set budget.epochs=4 --set arms.0.fixed.width=0.25
```

`--dry-run` shows the plan; it makes nothing and starts nothing.
`--set` changes one field; entries of a list are named by their number from 0. A study with a
changed field gets a folder of its own, `NAME@` and eight characters of a hash. `slots` and `title`
shape no result and leave the name as it is.

Every mistake that the file has is told at once, with its line:

```
error: budget.epoch: Extra inputs are not permitted
  received: 3 (sweeps/smoke.yaml line 16)
  instead:  remove it, or see docs/study_files.md
```
"""


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text beneath each field of a class, the classes above it included."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, below in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                found[field.target.id] = " ".join(str(below.value.value).split())
    return found


def told_type(annotation: Any) -> str:
    """Return an annotation in words for somebody who writes YAML."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is Annotated:
        return " ".join([told_type(parts[0]), *bounds(parts[1:])])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(told_type(part) for part in parts)
    if origin is dict or annotation is dict:
        return "mapping"
    if origin in (list, tuple):
        return "list"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}[
        annotation.__name__
    ]


def bounds(metadata: Any) -> list[str]:
    """Return the bounds among a field's metadata, as ``≥ 1``."""
    flat = [m for item in metadata for m in getattr(item, "metadata", [item])]
    return [
        f"{SIGNS[type(m)]} {getattr(m, type(m).__name__.lower()):g}"
        for m in flat
        if type(m) in SIGNS
    ]


def told_default(model: type[BaseModel], name: str) -> str:
    """Return a field's default as YAML writes it."""
    field = model.model_fields[name]
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if value in ({}, "", ()):
        return "empty"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def section(heading: str, model: type[BaseModel]) -> str:
    """Return one section of the page."""
    told = docstrings(model)
    lines = [f"## {heading}", "", NOTES.get(heading, (model.__doc__ or "").splitlines()[0]), ""]
    lines += ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        value = " ".join([told_type(field.annotation), *bounds(field.metadata)])
        meaning = told[name].replace("|", "\\|").replace("``", "`")
        lines.append(f"| `{name}` | {value} | {told_default(model, name)} | {meaning} |")
    return "\n".join(lines)


def profiles() -> str:
    """Return the table of profiles."""
    told = docstrings(Profile)
    names = list(PROFILES)
    lines = ["## Profiles", "", "`profile` or `--profile` chooses the figures below.", ""]
    lines += [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for field, meaning in told.items():
        figures = " | ".join(str(getattr(PROFILES[name], field)) for name in names)
        lines.append(f"| {meaning.rstrip('.')} | {figures} |")
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    parts = [HEAD.rstrip(), *(section(*item) for item in SECTIONS.items()), profiles()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE.name}")
