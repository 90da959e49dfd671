"""What training does to its clips, as fields of a study file, and what that does to labels.

Legend: B clips, K classes.
"""

from collections.abc import Sequence
from typing import Annotated, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vidclass.errors import UserError

__all__ = ["Augment", "Exchange", "check_classes"]

Pair = tuple[str, str]
Share = Annotated[float, Field(ge=0, le=1)]

_OF_COLOUR = (
    "reverse_pairs",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "randaugment_ops",
)
_OF_PLACE = ("vertical_flip", "resized_crop", "rotation_degrees", "shear_degrees", "zoom")


class Augment(BaseModel):
    """Augmentation of training batches; evaluation never augments."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    torus_roll: bool = False
    """Roll the whole batch by one random (dy, dx), wrapping round. Only for data on a torus."""
    flip: bool = False
    """Mirror each clip with probability 1/2. Wrong where a class means a direction and `flip_pairs`
    does not name it."""
    flip_pairs: tuple[Pair, ...] = ()
    """Pairs of classes that a mirror exchanges, as [[turn_left, turn_right]]: a mirrored clip of
    one gets the label of the other. Needs `flip`."""
    crop_padding: int = Field(default=0, ge=0)
    """Shift each clip by up to this many pixels in y and x, the edge pixels repeated."""
    vertical_flip: bool = False
    """Turn each clip upside down with probability 1/2, as suits a camera from above."""
    reverse_pairs: tuple[Pair, ...] = ()
    """Classes that may run backwards, each with what it then is: [[sit_down, stand_up], [wave,
    wave]]. Clips of these are reversed with probability 1/2, all others never."""
    resized_crop: float = Field(default=1.0, gt=0, le=1)
    """Random resized crop: smallest share of the area that is kept, its sides 3:4 to 4:3, and
    scaled back to the input size. 1 is off."""
    shift: float = Field(default=0.0, ge=0, le=0.5)
    """Largest shift in y and x, as a share of the side; grey comes in."""
    rotation_degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest rotation, either way round; the corners turn grey."""
    shear_degrees: float = Field(default=0.0, ge=0, le=60)
    """Largest shear in x and in y."""
    zoom: float = Field(default=0.0, ge=0, lt=1)
    """Largest zoom: 0.2 makes things 0.8 to 1.2 times as large."""
    brightness: Share = 0.0
    """Largest relative change of brightness."""
    contrast: Share = 0.0
    """Largest relative change of contrast."""
    saturation: Share = 0.0
    """Largest relative change of saturation."""
    hue: float = Field(default=0.0, ge=0, le=0.5)
    """Largest turn of the hue, 0.5 half round. Slow."""
    randaugment_ops: int = Field(default=0, ge=0, le=8)
    """Operations of RandAugment (Cubuk et al. 2020) for each clip; 0 is off. Some rotate and shear,
    so it is wrong where small angles mean a class."""
    randaugment_magnitude: int = Field(default=9, ge=0, le=30)
    """Strength of RandAugment."""
    erasing: Share = 0.0
    """Probability with which a rectangle of 2 to 33 % of the area turns grey (Zhong et al. 2020),
    the same one in all frames."""
    mixup_alpha: float = Field(default=0.0, ge=0, le=10)
    """MixUp (Zhang et al. 2018): each clip is blended with another of the batch, and so are their
    labels; shares are drawn from Beta(alpha, alpha). 0 is off."""
    cutmix_alpha: float = Field(default=0.0, ge=0, le=10)
    """CutMix (Yun et al. 2019): a rectangle of each clip comes from another, in all frames, and the
    label by its share. 0 is off; beside `mixup_alpha` each clip gets one of the two."""

    @model_validator(mode="after")
    def _pairs_are_used(self) -> Self:
        if self.flip_pairs and not self.flip:
            raise ValueError("flip_pairs need flip; received flip false; instead: flip: true")
        for name in ("flip_pairs", "reverse_pairs"):
            named = [label for pair in getattr(self, name) for label in set(pair)]
            twice = sorted({label for label in named if named.count(label) > 1})
            if twice:
                raise ValueError(
                    f"a class is in one of the {name} only; received {', '.join(twice)} in several"
                )
        return self

    def check_input(self, shows: str) -> None:
        """Refuse fields in use that make no sense of motion pictures.

        Colours are no colours there and time has run already; the direction and length of a flow
        would have to turn with the picture, which only `flip` does.

        Args:
            shows: ``rgb``, ``difference`` or ``flow``.

        Raises:
            ValueError: naming them.
        """
        if shows == "rgb":
            return
        fields = [*_OF_COLOUR, *(_OF_PLACE if shows == "flow" else ())]
        defaults = type(self).model_fields
        wrong = [name for name in fields if getattr(self, name) != defaults[name].default]
        if wrong:
            raise ValueError(
                f"input {shows} is motion, which augment {', '.join(wrong)} would falsify; "
                "received both; instead: leave these at their defaults"
            )

    @property
    def changes_labels(self) -> bool:
        """Whether a clip's label depends on what was drawn for it."""
        mixes = self.mixup_alpha or self.cutmix_alpha
        return bool(self.flip_pairs or self.reverse_pairs or mixes)


class Exchange:
    """What a mirror or a reversal makes of the labels.

    Args:
        pairs: classes that are exchanged; a class paired with itself stays what it is.
        classes: all classes; their order is that of the label ids.
    """

    def __init__(self, pairs: Sequence[Pair], classes: Sequence[str]) -> None:
        ids = {name: number for number, name in enumerate(classes)}
        becomes = list(range(len(classes)))
        for one, other in pairs:
            becomes[ids[one]], becomes[ids[other]] = ids[other], ids[one]
        self._becomes_K = torch.tensor(becomes)
        named = {ids[label] for pair in pairs for label in pair}
        self._named_K = torch.tensor([k in named for k in range(len(classes))])

    def named(self, y: torch.Tensor) -> torch.Tensor:
        """Say which clips have labels of the pairs alone, bool ``[B]``.

        Args:
            y: int64 ``[B]``, or 0 and 1 for each class ``[B, K]``.
        """
        if y.dim() == 1:
            return self._named_K.to(y.device)[y]
        has_label_B = (y > 0).any(dim=1)
        return has_label_B & ~((y > 0) & ~self._named_K.to(y.device)).any(dim=1)

    def __call__(self, y: torch.Tensor, exchanged_B: torch.Tensor) -> torch.Tensor:
        """Return the labels, exchanged for the clips of ``exchanged_B``."""
        becomes_K = self._becomes_K.to(y.device)
        if y.dim() == 1:
            return torch.where(exchanged_B, becomes_K[y], y)
        return torch.where(exchanged_B[:, None], y[:, becomes_K], y)


def check_classes(augment: Augment, classes: Sequence[str]) -> list[UserError]:
    """Return a mistake for every pair that names a class which there is not."""
    return [
        UserError(
            f"{name} names classes of the data",
            ", ".join(unknown),
            f"one of: {', '.join(classes)}",
        )
        for name in ("flip_pairs", "reverse_pairs")
        if (
            unknown := sorted(
                {label for pair in getattr(augment, name) for label in pair} - set(classes)
            )
        )
    ]
