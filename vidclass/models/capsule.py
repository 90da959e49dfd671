"""Capsules on one frame (Sabour et al., 2017): vectors whose length says that a thing is there.

    convolution 9x9 /2 | convolution 9x9 /2 to capsules of 8 | routing to one capsule of 16 a class

All places share the matrices of a kind of capsule, so that frames of any size fit.

Legend: B clips, C channels, H height, W width, P capsules before routing, G kinds of them, K
classes, U length of a class's capsule.
"""

from typing import Self

import torch
from pydantic import Field, model_validator
from torch import nn

from vidclass.errors import UserError
from vidclass.models.fusion import FrameOptions, single_position
from vidclass.models.registry import NUM_COLOURS, check_clips, register_model

__all__ = ["CapsuleNet", "CapsuleOptions", "capsule", "squash"]

KERNEL, STRIDE = 9, 2
BEFORE, AFTER = 8, 16  # lengths of the capsules
SHARPNESS = 10.0  # lengths below 1 become logits far enough apart
TINY = 1e-8
QUICK = {"input_size": 28, "num_channels": 8, "num_kinds": 2}


class CapsuleOptions(FrameOptions):
    """Options of the capsule net."""

    num_channels: int = Field(256, ge=1, le=4096)
    """Channels of the first convolution."""
    num_kinds: int = Field(32, ge=1, le=256)
    """Kinds of capsules at each place."""
    num_routings: int = Field(3, ge=1, le=10)
    """Times that capsules agree on where they belong."""

    @model_validator(mode="after")
    def _a_place_is_left(self) -> Self:
        smallest = (KERNEL - 1) * STRIDE + KERNEL
        if self.input_size < smallest:
            raise UserError(
                "two strided convolutions must leave one place of the map",
                f"input_size {self.input_size}",
                f"an input_size of {smallest} or more",
            )
        return self


def squash(vectors: torch.Tensor) -> torch.Tensor:
    """Return the vectors (last axis) with lengths below 1, short ones shrunk most."""
    squares = vectors.square().sum(dim=-1, keepdim=True)
    return vectors * squares / (1 + squares) / (squares + TINY).sqrt()


class Routing(nn.Module):
    """From capsules to one a class, by agreement: ``u_BP8 -> v_BKU``."""

    def __init__(self, num_kinds: int, num_classes: int, num_routings: int) -> None:
        super().__init__()
        self.num_routings = num_routings
        self.of_kind_GKUV = nn.Parameter(torch.empty(num_kinds, num_classes, AFTER, BEFORE))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrices anew."""
        nn.init.normal_(self.of_kind_GKUV, std=BEFORE**-0.5)

    def forward(self, u_BGPV: torch.Tensor) -> torch.Tensor:
        """Return the capsules of the classes, from those of each kind at each place."""
        votes_BKPU = torch.einsum("bgpv,gkuv->bkgpu", u_BGPV, self.of_kind_GKUV).flatten(2, 3)
        # The agreement is found without gradient, the last weighting of the votes with it.
        fixed_BKPU = votes_BKPU.detach()
        agreement_BKP = torch.zeros_like(fixed_BKPU[..., 0])
        for _ in range(self.num_routings - 1):
            found_BKU = self._gathered(fixed_BKPU, agreement_BKP)
            agreement_BKP = agreement_BKP + torch.einsum("bkpu,bku->bkp", fixed_BKPU, found_BKU)
        return self._gathered(votes_BKPU, agreement_BKP)

    @staticmethod
    def _gathered(votes_BKPU: torch.Tensor, agreement_BKP: torch.Tensor) -> torch.Tensor:
        shares_BKP = agreement_BKP.softmax(dim=1)
        return squash(torch.einsum("bkp,bkpu->bku", shares_BKP, votes_BKPU))


class CapsuleNet(nn.Module):
    """Two convolutions, capsules, routing; the logits are the lengths, sharpened."""

    def __init__(self, num_classes: int, options: CapsuleOptions) -> None:
        super().__init__()
        self.input_size = options.input_size
        self.num_kinds = options.num_kinds
        self.convolutions = nn.Sequential(
            nn.Conv2d(NUM_COLOURS, options.num_channels, KERNEL, STRIDE),
            nn.ReLU(inplace=True),
            nn.Conv2d(options.num_channels, BEFORE * options.num_kinds, KERNEL, STRIDE),
        )
        self.routing = Routing(options.num_kinds, num_classes, options.num_routings)

    def forward(self, x_BTCHW: torch.Tensor) -> torch.Tensor:
        """Return ``logits_BK``."""
        check_clips(x_BTCHW, num_frames=1, input_size=self.input_size)
        maps_BCHW = self.convolutions(x_BTCHW[:, 0])
        u_BGVP = maps_BCHW.flatten(2).unflatten(1, (self.num_kinds, BEFORE))
        v_BKU = self.routing(squash(u_BGVP.transpose(2, 3)))
        logits_BK: torch.Tensor = SHARPNESS * (v_BKU.square().sum(dim=2) + TINY).sqrt()
        return logits_BK


@register_model(
    "capsule",
    options=CapsuleOptions,
    uses_order=False,
    frame_positions=single_position,
    quick_options=QUICK,
)
def capsule(num_classes: int, options: CapsuleOptions) -> nn.Module:
    """Capsules with dynamic routing, on one frame."""
    return CapsuleNet(num_classes, options)
