"""What happens to a batch on the device: augmentation, then normalisation.

uint8 crosses the bus; parameters are drawn a clip (or a batch) and are constant over its frames.

Legend: B clips, T frames, H height, W width, C channels.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field

from vidclass.errors import UserError

__all__ = ["Augment", "BatchTransform"]


class Augment(BaseModel):
    """Augmentation of training batches; evaluation never augments."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    torus_roll: bool = False
    """Roll the whole batch by one random (dy, dx), wrapping round. Only for data on a torus."""
    flip: bool = False
    """Mirror each clip with probability 1/2. Wrong where a class means a direction."""
    crop_padding: int = Field(default=0, ge=0)
    """Shift each clip by up to this many pixels in y and x, the edge pixels repeated."""


class BatchTransform:
    """Turn ``x_BTHWC`` uint8 into a normalised float ``x_BTCHW``.

    The result is a permuted view, so that each frame keeps channels-last memory.

    Args:
        mean: per channel, on the 0..255 scale.
        std: per channel, on the 0..255 scale, above 0.
        augment: what training adds.

    Raises:
        UserError: when a ``std`` is not above 0.
    """

    def __init__(
        self,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        augment: Augment | None = None,
    ) -> None:
        if min(std) <= 0:
            raise UserError("each channel's std is above 0", std, "for example std: [64, 64, 64]")
        self.mean = mean
        self.std = std
        self.augment = augment or Augment()

    def __call__(
        self,
        x_BTHWC: torch.Tensor,
        *,
        train: bool,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Return ``x_BTCHW`` float32 on the same device.

        Args:
            x_BTHWC: uint8 ``[B, T, H, W, 3]``.
            train: whether to augment.
            generator: a CPU generator that the augmentation draws from.
        """
        if train:
            x_BTHWC = self._augmented(x_BTHWC, generator)
        x = x_BTHWC.to(torch.float32)
        if len(set(self.mean)) == 1 and len(set(self.std)) == 1:
            # Scalars vectorise; a broadcast over 3 innermost channels does not.
            x = x.sub_(self.mean[0]).mul_(1.0 / self.std[0])
        else:
            mean_C = torch.tensor(self.mean, device=x.device)
            std_C = torch.tensor(self.std, device=x.device)
            x = x.sub_(mean_C).div_(std_C)
        return x.permute(0, 1, 4, 2, 3)

    def _augmented(self, x: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        batch, frames, height, width, _ = x.shape
        if self.augment.torus_roll:
            down = int(torch.randint(height, (), generator=generator))
            right = int(torch.randint(width, (), generator=generator))
            x = torch.roll(x, (down, right), dims=(2, 3))
        if self.augment.flip:
            mirrored_B = torch.rand(batch, generator=generator) < 0.5
            x = torch.where(mirrored_B.to(x.device)[:, None, None, None, None], x.flip(3), x)
        padding = self.augment.crop_padding
        if padding:
            shift_B2 = torch.randint(-padding, padding + 1, (batch, 2), generator=generator)
            shift_B2 = shift_B2.to(x.device)
            rows_H = torch.arange(height, device=x.device)
            columns_W = torch.arange(width, device=x.device)
            rows_BH = (rows_H + shift_B2[:, :1]).clamp(0, height - 1)
            columns_BW = (columns_W + shift_B2[:, 1:]).clamp(0, width - 1)
            x = x[
                torch.arange(batch, device=x.device)[:, None, None, None],
                torch.arange(frames, device=x.device)[None, :, None, None],
                rows_BH[:, None, :, None],
                columns_BW[:, None, None, :],
            ]
        return x
