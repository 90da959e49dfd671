"""What follows the features of frames: dense layers with sizes, of which 0 drops the layer.

Legend: B clips, D features, K classes.
"""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.registry import ModelOptions

__all__ = ["SizeOptions", "dense_tail"]


class SizeOptions(ModelOptions):
    """Options of models that end in dense layers."""

    size_1: int = Field(0, ge=0, le=8192)
    """Units of the first layer; 0 drops it, and the later ones must then be 0 as well."""
    size_2: int = Field(0, ge=0, le=8192)
    """Units of the second layer; 0 drops it."""
    size_3: int = Field(0, ge=0, le=8192)
    """Units of the third layer; 0 drops it."""
    dropout: float = Field(0.5, ge=0.0, lt=1.0)
    """Share of units left out in training, after each dense layer and before the classes."""

    @model_validator(mode="after")
    def _zero_ends_the_layers(self) -> Self:
        sizes = (self.size_1, self.size_2, self.size_3)
        if any(later and not earlier for earlier, later in zip(sizes, sizes[1:], strict=False)):
            raise UserError(
                "a layer of size 0 is dropped, and no layer follows it",
                f"size_1 {self.size_1}, size_2 {self.size_2}, size_3 {self.size_3}",
                "size_2: 0 where size_1 is 0, size_3: 0 where size_2 is 0",
            )
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes of the layers that there are."""
        return tuple(size for size in (self.size_1, self.size_2, self.size_3) if size)


def dense_tail(
    num_inputs: int, sizes: Sequence[int], dropout: float, num_classes: int
) -> nn.Sequential:
    """Return dense layers with ReLU and dropout and the classifier: ``f_BD -> logits_BK``.

    Without layers the inputs themselves are dropped out.
    """
    layers: list[nn.Module] = [] if sizes else [nn.Dropout(dropout)]
    for size in sizes:
        layers += [nn.Linear(num_inputs, size), nn.ReLU(inplace=True), nn.Dropout(dropout)]
        num_inputs = size
    return nn.Sequential(*layers, nn.Linear(num_inputs, num_classes))
