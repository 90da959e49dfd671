"""What ``vidclass models`` and ``vidclass models show NAME`` say, as data and as plain text."""

import csv
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from vidclass.errors import UserError
from vidclass.models.profile import Profile, profile
from vidclass.models.registry import (
    FeatureSource,
    ModelEntry,
    PoseSource,
    PublishedWeights,
    list_models,
    model_entry,
)
from vidclass.models.trunk import GEOMETRY_RULE, TrunkOptions

__all__ = [
    "COUNTED",
    "ModelRow",
    "OptionRow",
    "counted_anew",
    "model_rows",
    "models_table",
    "option_rows",
    "show_model",
]

TEXT_WIDTH = 96
EXAMPLE_CLASSES = 101  # as in UCF101, on which the published counts stand
COUNTED = Path(__file__).with_name("counted.csv")
"""Name, parameters and GMACs of the models that come with vidclass, at their defaults: counting
takes half a minute, and the encoders' package. `docs/count_models.py` writes it."""


@dataclass(frozen=True)
class ModelRow:
    """One registered model at its defaults, with 101 classes."""

    name: str
    summary: str
    uses_order: bool
    num_frames: int
    input_size: int
    parameters: int
    gmacs: float
    weights: str


@dataclass(frozen=True)
class OptionRow:
    """One option of a model."""

    name: str
    values: str
    default: str
    searchable: bool
    meaning: str


def model_rows(pattern: str = "*") -> list[ModelRow]:
    """Return the registered models whose name matches ``pattern`` (as in a shell).

    Raises:
        UserError: when none does.
    """
    names = list_models(pattern)
    if not names:
        raise UserError(
            "a pattern matches at least one model", pattern, "`vidclass models` lists all"
        )
    return [_row(model_entry(name)) for name in names]


def _row(entry: ModelEntry) -> ModelRow:
    options = entry.options.model_validate({})
    parameters, gmacs = _counted().get(entry.name) or counted_anew(entry.name)
    return ModelRow(
        name=entry.name,
        summary=entry.summary,
        uses_order=entry.uses_order,
        num_frames=entry.num_frames(options),
        input_size=options.input_size,
        parameters=parameters,
        gmacs=gmacs,
        weights=_weights_text(options.published_weights),
    )


@lru_cache(maxsize=1)
def _counted() -> dict[str, tuple[int, float]]:
    with COUNTED.open(newline="", encoding="utf-8") as file:
        return {
            row["model"]: (int(row["parameters"]), float(row["gmacs"]))
            for row in csv.DictReader(file)
        }


def counted_anew(name: str) -> tuple[int, float]:
    """Return parameters and GMACs of a model at its defaults, as the table has them.

    Raises:
        UserError: when no model has that name, or a package that it needs is not installed.
    """
    costs = profile(name, EXAMPLE_CLASSES)
    return costs.parameters, round(costs.gmacs, 6)


def _weights_text(weights: PublishedWeights | None) -> str:
    return "-" if weights is None else f"{weights.word}, {weights.library}, {weights.licence}"


def models_table(pattern: str = "*") -> str:
    """Return :func:`model_rows` as a table of plain text."""
    head = ("model", "order", "frames", "input", "parameters", "GMACs", "weights", "")
    rows = model_rows(pattern)
    cells = [
        (
            row.name,
            "yes" if row.uses_order else "no",
            str(row.num_frames),
            f"{row.input_size} px",
            f"{row.parameters:,}",
            f"{row.gmacs:.3f}",
            row.weights,
            row.summary,
        )
        for row in rows
    ]
    note = (
        f"Counted at each model's defaults and {EXAMPLE_CLASSES} classes. "
        "`vidclass models show NAME` explains a model and its options."
    )
    return f"{_table(head, cells)}\n\n{note}"


def option_rows(name: str) -> list[OptionRow]:
    """Return the options of a model.

    Raises:
        UserError: when no model has that name.
    """
    entry = model_entry(name)
    return [
        OptionRow(
            name=key,
            values=_values(field),
            default=str(field.get_default(call_default_factory=True)),
            searchable=key in entry.searchable,
            meaning=" ".join((field.description or "").split()),
        )
        for key, field in entry.options.model_fields.items()
    ]


def _values(field: FieldInfo) -> str:
    """Return the values that an option takes, such as ``0 < float <= 4``."""
    choices = get_args(field.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return "|".join(choices)
    kind = field.annotation
    text = str(getattr(kind, "__name__", kind)) if not choices else str(kind).replace(" ", "")
    text = text.replace("|None", " or null")
    bounds = {
        sign: getattr(mark, key)
        for mark in field.metadata
        for key, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
        if getattr(mark, key, None) is not None
    }
    return " ".join([text, *(f"{sign} {bound:g}" for sign, bound in bounds.items())])


def show_model(name: str, num_classes: int = EXAMPLE_CLASSES, **options: Any) -> str:
    """Return what ``vidclass models show`` prints of a model under ``options``.

    Raises:
        UserError: when no model has that name.
        UserErrors: for every unknown option and wrong value, all at once.
    """
    entry = model_entry(name)
    costs = profile(name, num_classes, **options)
    parts = [f"{entry.name}: {entry.summary}", _costs_text(entry, costs)]
    if issubclass(entry.options, TrunkOptions):
        parts.append("Geometry: " + GEOMETRY_RULE)
    head = ("option", "values", "default", "searched", "meaning")
    cells = [
        (row.name, row.values, row.default, "may be" if row.searchable else "by study", row.meaning)
        for row in option_rows(name)
    ]
    wrapped = [textwrap.fill(part, TEXT_WIDTH) for part in parts]
    return "\n\n".join([*wrapped, _table(head, cells)])


def _costs_text(entry: ModelEntry, costs: Profile) -> str:
    window = costs.options["window_frames"]
    options = entry.options.model_validate(costs.options)
    positions = entry.frame_positions(window, options)
    seen = (
        f"one frame of {window}, drawn a clip"
        if positions.random
        else f"frames {', '.join(map(str, positions.indices))} of {window}"
    )
    size = costs.options["input_size"]
    mean, std = (", ".join(f"{x:.5g}" for x in part) for part in entry.normalisation(options))
    source = entry.features(options)
    taken = f"at {size} x {size} px, (x - mean) / std with mean ({mean}) and std ({std})"
    if isinstance(source, PoseSource):
        taken = f"of each the {source.num_features} numbers of its poses"
    kept = (
        f", of which each epoch repeats {costs.step_gmacs:.4g}: what {source.backbone} makes of a "
        f"{'clip' if source.of_clips else 'frame'} is computed once, without augmentation"
        if isinstance(source, FeatureSource)
        else ""
    )
    return (
        f"Sees {seen}, {taken}. "
        f"The order of the frames {'matters' if entry.uses_order else 'cannot matter'}. "
        f"With {costs.num_classes} classes: {costs.parameters:,} parameters "
        f"({costs.parameters_counted_as_keras:,} as Keras counts; {costs.trained_parameters:,} are "
        f"trained), {costs.gmacs:.4g} GMACs a clip{kept}; "
        f"{costs.activation_mib:.4g} MiB of activations a clip in training, "
        f"{costs.weight_mib:.4g} MiB of weights."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return columns in plain text; the last one is as long as it is."""
    widths = [max(len(row[n]) for row in (head, *rows)) for n in range(len(head) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)
