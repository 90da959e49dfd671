"""The hash that makes a study's identity, which fields added to vidclass later must not move.

A study goes on under the name and hash that it was begun with, also after an update. So a field
that the first version did not have is left out of the hash while it stands at its default, which
therefore must mean "as before it existed".
"""

import hashlib
import json
from typing import Any

from pydantic import BaseModel

from vidclass.sweep.spec import StudySpec

__all__ = ["SHAPES_NO_RESULT", "results_hash"]

SHAPES_NO_RESULT = (
    "slots",
    "priority",
    "title",
    "budget.hours",
    "budget.failures",
    "budget.retries",
    "data.split.near_duplicates",
    "data.stream",
)
"""Fields that may change while a study goes on: how it is run and when it gives up."""


def _below(section: str, names: str) -> set[str]:
    return {section, *(f"{section}.{name}" for name in names.split())}


FIRST_FIELDS = frozenset(
    {"study", "profile", "train", "comparisons", "control"}
    | _below("data", "source preset seed group_pattern input_size geometry views quarantine_limit")
    | _below("data.store", "short_side fps stride num_frames")
    | _below("data.window", "span_s num_frames")
    | _below("data.augment", "torus_roll flip crop_padding")
    | _below("data.split", "valid_share test_share folds seed")
    | _below("budget", "trials epochs")
    | _below("search", "sampler seed")
    | _below("search.halving", "min_epochs reduction")
    | _below("arms", "name model fixed search start")
    | _below("primary", "metric level unit")
    | _below("finals", "seeds rerun_top rerun_seeds time_seeds perturbations")
)
"""Fields of the first version: hashed whatever they say. Never add to these."""


def results_hash(spec: StudySpec) -> str:
    """Return the hash of the fields that shape results: all but ``SHAPES_NO_RESULT``."""
    content = _hashed(spec, "")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _hashed(section: BaseModel, at: str) -> dict[str, Any]:
    content: dict[str, Any] = {}
    plain = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        dotted, value = f"{at}{name}", getattr(section, name)
        later = dotted not in FIRST_FIELDS
        if dotted in SHAPES_NO_RESULT:
            continue
        if later and value == field.get_default(call_default_factory=True):
            continue
        if isinstance(value, BaseModel):
            content[name] = _hashed(value, f"{dotted}.")
        elif isinstance(value, tuple) and all(isinstance(part, BaseModel) for part in value):
            content[name] = [_hashed(part, f"{dotted}.") for part in value]
        else:
            content[name] = plain[name]
    return content
