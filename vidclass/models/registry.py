"""Models by name: a function decorated once is a registered model.

A model maps clips ``x_BTCHW`` to ``logits_BK``. One whose frames pass a frozen backbone can take
that backbone's output ``f_BTD`` instead, which the feature store keeps: its entry then says under
``features`` how those are made.

A user's own model is registered the same way in a plug-in::

    class MyOptions(ModelOptions):
        depth: int = Field(2, ge=1, le=8)
        \"\"\"Number of blocks.\"\"\"

    @register_model("mine", options=MyOptions, uses_order=True)
    def mine(num_classes: int, options: MyOptions) -> nn.Module: ...
"""

import difflib
import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from vidclass.data.poses import PoseOptions
from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError, UserErrors

__all__ = [
    "Colours",
    "FeatureSource",
    "ModelEntry",
    "ModelOptions",
    "Normalisation",
    "PoseSource",
    "Pretrains",
    "PublishedWeights",
    "check_clips",
    "check_features",
    "create_model",
    "list_models",
    "model_entry",
    "register_model",
    "validate_options",
    "whole_window",
]

NUM_COLOURS = 3

Colours = tuple[float, float, float]


class Normalisation(NamedTuple):
    """What pixels of 0..255 become for a model: ``(x - mean) / std`` a colour."""

    mean: Colours = (128.0, 128.0, 128.0)
    std: Colours = (64.0, 64.0, 64.0)


class PublishedWeights(NamedTuple):
    """Where the weights of a net come from.

    Args:
        word: what the option `weights` calls them: the data that they were trained on.
        library: who publishes them.
        licence: of the weights, as the library tells it.
    """

    word: str
    library: str
    licence: str


class FeatureSource(NamedTuple):
    """How the features of a frame are made, where a model takes those instead of clips.

    Args:
        backbone: name of the net that makes them.
        weights: its weights, as the model's option of that name has them.
        pooling: how its last map becomes one vector.
        input_size: height and width of the frames that it sees, pixels.
        num_features: length of the vector (D).
        library: an image net (`backbone`), or a published `encoder`.
        frames_per_step: frames of a clip that one vector is of; above 1 the net sees whole clips.
        starts_every: of a net of clips: the stored frames from one kept clip's start to the next.
    """

    backbone: str
    weights: str
    pooling: str
    input_size: int
    num_features: int
    library: Literal["backbone", "encoder"] = "backbone"
    frames_per_step: int = 1
    starts_every: int = 0

    @property
    def of_clips(self) -> bool:
        """Whether the features of a frame depend on the clip that it is in."""
        return self.frames_per_step > 1


class PoseSource(NamedTuple):
    """How the features of a frame are read from a pose file, where a model takes those.

    Args:
        options: how positions become features.
        num_features: numbers a frame (D).
    """

    options: PoseOptions
    num_features: int


@runtime_checkable
class Pretrains(Protocol):
    """A model that can learn from clips without labels, before it learns to classify."""

    def pretrain_loss(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return what pretraining lowers, of one batch."""


class ModelOptions(BaseModel):
    """Options that every model has, since the study gives them to all its arms alike."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    input_size: int = Field(170, ge=1, le=4096)
    """Height and width of a frame, pixels."""
    window_frames: int = Field(10, ge=1, le=1024)
    """Frames of the study's window, from which the model takes its own."""

    @property
    def published_weights(self) -> PublishedWeights | None:
        """Which weights a library publishes for the net; None where there are none."""
        return None


OptionsT = TypeVar("OptionsT", bound=ModelOptions)


def whole_window(window_frames: int, options: ModelOptions) -> FramePositions:
    """Return all frames of the window, in order."""
    return FramePositions(tuple(range(window_frames)))


def no_features(options: ModelOptions) -> None:
    """Say that a model takes clips."""


@dataclass(frozen=True)
class ModelEntry:
    """A registered model and what the data side must know of it.

    Args:
        name: the registered name.
        summary: one line for tables.
        options: class of its options.
        uses_order: False when no order of the frames can change its output.
        frame_positions: (frames of the window, options) to the frames that the model sees.
        normalisation: options to what is done with the pixels.
        build: (number of classes, options) to the model.
        quick_options: a small configuration, in which the contract is checked.
        features: options to how the features are made that the model takes instead of clips; None
            where it takes clips.
        pretrains: whether it can learn from clips without labels (:class:`Pretrains`).
        framewise: whether it answers at every step of a stretch of a recording, whose length is
            its option ``num_steps``: ``f_BSD -> logits_BSK``.
    """

    name: str
    summary: str
    options: type[ModelOptions]
    uses_order: bool
    frame_positions: Callable[[int, Any], FramePositions]
    normalisation: Callable[[Any], Normalisation]
    build: Callable[[int, Any], nn.Module]
    quick_options: Mapping[str, Any] = field(default_factory=dict)
    features: Callable[[Any], FeatureSource | PoseSource | None] = no_features
    pretrains: bool = False
    framewise: bool = False

    @property
    def searchable(self) -> tuple[str, ...]:
        """Options that an arm may search: all but those that the study gives to all arms."""
        return tuple(
            key for key in self.options.model_fields if key not in ModelOptions.model_fields
        )

    def num_frames(self, options: ModelOptions) -> int:
        """Return the frames that the model sees of a clip (T), or of a stretch (S)."""
        if self.framewise:
            return int(options.num_steps)  # type: ignore[attr-defined]
        return self.frame_positions(options.window_frames, options).num_frames

    def input_of(self, options: ModelOptions) -> Literal["clips", "features"]:
        """Return what the model takes under ``options``."""
        return "clips" if self.features(options) is None else "features"

    @property
    def input(self) -> Literal["clips", "features"]:
        """What the model takes at its defaults."""
        return self.input_of(self.options.model_validate({}))

    def input_shape(self, options: ModelOptions) -> tuple[int, ...]:
        """Return the shape of one clip as the model takes it: ``[T, C, H, W]``, or ``[T, D]``."""
        source = self.features(options)
        if source is not None:
            frames_per_step = source.frames_per_step if isinstance(source, FeatureSource) else 1
            return (self.num_frames(options) // frames_per_step, source.num_features)
        size = options.input_size
        return (self.num_frames(options), NUM_COLOURS, size, size)


_ENTRIES: dict[str, ModelEntry] = {}


def register_model(
    name: str,
    *,
    options: type[OptionsT],
    uses_order: bool,
    frame_positions: Callable[[int, OptionsT], FramePositions] = whole_window,
    normalisation: Normalisation | Callable[[OptionsT], Normalisation] | None = None,
    quick_options: Mapping[str, Any] | None = None,
    features: Callable[[OptionsT], FeatureSource | PoseSource | None] = no_features,
    pretrains: bool = False,
    framewise: bool = False,
) -> Callable[[Callable[[int, OptionsT], nn.Module]], Callable[[int, OptionsT], nn.Module]]:
    """Register the decorated function ``(num_classes, options) -> model`` under ``name``.

    The first line of its docstring is the summary. The other arguments are those of
    :class:`ModelEntry`; ``normalisation`` may also be one that no option changes.

    Raises:
        UserError: when another function has that name already.
    """

    def register(
        build: Callable[[int, OptionsT], nn.Module],
    ) -> Callable[[int, OptionsT], nn.Module]:
        present = _ENTRIES.get(name)
        # The same plug-in may be loaded again in a process that is used for many trials.
        if present is not None and _origin(present.build) != _origin(build):
            raise UserError(
                "every model has a name of its own",
                f"{name}, registered by {_origin(present.build)} and {_origin(build)}",
                "register yours under another name",
            )
        summary = (build.__doc__ or name).strip().splitlines()[0]
        _ENTRIES[name] = ModelEntry(
            name,
            summary,
            options,
            uses_order,
            frame_positions,
            _as_function(normalisation),
            build,
            dict(quick_options or {}),
            features,
            pretrains,
            framewise,
        )
        return build

    return register


def _as_function(
    normalisation: Normalisation | Callable[[Any], Normalisation] | None,
) -> Callable[[Any], Normalisation]:
    if callable(normalisation):
        return normalisation
    constant = normalisation or Normalisation()
    return lambda options: constant


def _origin(build: Callable[..., Any]) -> str:
    return f"{build.__module__}.{build.__qualname__}"


def list_models(pattern: str = "*") -> list[str]:
    """Return the registered names that match ``pattern`` (as in a shell), sorted."""
    return sorted(fnmatch.filter(_ENTRIES, pattern))


def model_entry(name: str) -> ModelEntry:
    """Return the entry of a registered model.

    Raises:
        UserError: when no model has that name.
    """
    if name in _ENTRIES:
        return _ENTRIES[name]
    close = difflib.get_close_matches(str(name), _ENTRIES, n=3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(
        "a model is one of the registered names",
        name,
        f"{hint}`vidclass models` lists all; --plugin loads one of your own",
    )


def validate_options(name: str, options: Mapping[str, Any]) -> ModelOptions:
    """Return the options of model ``name``, defaults filled in.

    Raises:
        UserError: when no model has that name.
        UserErrors: for every unknown option and wrong value, all at once.
    """
    entry = model_entry(name)
    try:
        return entry.options.model_validate(dict(options))
    except ValidationError as error:
        raise UserErrors(_told(entry, item) for item in error.errors()) from None


def _told(entry: ModelEntry, item: Any) -> UserError:
    """Return one pydantic mistake in three parts."""
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, UserError):
        return cause
    option = str(item["loc"][0]) if item["loc"] else entry.name
    known = entry.options.model_fields
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(option, known, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        return UserError(
            f"{entry.name} takes the options {', '.join(known)}",
            option,
            f"{hint}`vidclass models show {entry.name}` explains them",
        )
    message = item["msg"][:1].lower() + item["msg"][1:]
    example = known[option].get_default() if option in known else None
    return UserError(
        f"{entry.name} option {option}: {message}",
        repr(item["input"])[:80],
        f"{f'for example {option}: {example}; ' if example is not None else ''}"
        f"`vidclass models show {entry.name}` explains it",
    )


def create_model(name: str, num_classes: int, **options: Any) -> nn.Module:
    """Return a new model, ``model(x_BTCHW) -> logits_BK``.

    T is the length of the entry's ``frame_positions(window_frames, options)``.

    Args:
        name: a registered name (:func:`list_models`).
        num_classes: classes (K), at least 2.
        **options: options of that model (``vidclass models show NAME``).

    Raises:
        UserError: for an unknown name or too few classes.
        UserErrors: for every unknown option and wrong value, all at once.
    """
    entry = model_entry(name)
    checked = validate_options(name, options)
    if num_classes < 2:
        raise UserError("a classifier has at least two classes", num_classes, "num_classes: 2")
    return entry.build(num_classes, checked)


def check_clips(x_BTCHW: torch.Tensor, *, num_frames: int, input_size: int) -> None:
    """Refuse input of another shape than ``[B, num_frames, 3, input_size, input_size]``.

    For the first line of a model's ``forward``: the error names the shape, where a convolution
    would name an inner one, or broadcast in silence.

    Raises:
        UserError: when the shape differs.
    """
    wanted = (num_frames, NUM_COLOURS, input_size, input_size)
    if x_BTCHW.ndim != 1 + len(wanted) or tuple(x_BTCHW.shape[1:]) != wanted:
        raise UserError(
            "clips have the shape [batch, frames, colours, height, width]",
            list(x_BTCHW.shape),
            f"[batch, {', '.join(map(str, wanted))}]",
        )


def check_features(f_BTD: torch.Tensor, *, num_frames: int, num_features: int) -> None:
    """Refuse features of another shape than ``[B, num_frames, num_features]``.

    Raises:
        UserError: when the shape differs.
    """
    if f_BTD.ndim != 3 or tuple(f_BTD.shape[1:]) != (num_frames, num_features):
        raise UserError(
            "features have the shape [batch, frames, features]",
            list(f_BTD.shape),
            f"[batch, {num_frames}, {num_features}]",
        )
