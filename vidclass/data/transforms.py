"""What happens to a batch on the device: augmentation, then normalisation.

uint8 crosses the bus; parameters are drawn a clip (or a batch) and are constant over its frames.

Legend: B clips, T frames, H height, W width, C channels, K classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from vidclass.data.augment import Augment, Exchange, check_classes
from vidclass.data.clip_transforms import ClipTransform, clip_transform, transform_clips
from vidclass.data.mixing import mix, soft_targets
from vidclass.data.motion import NO_MOTION, Input
from vidclass.errors import UserError, raise_collected

__all__ = ["Augment", "BatchTransform", "Place"]


class Place(NamedTuple):
    """Where clips lie in a batch that several processes share: each draws for the whole batch.

    Row n of the clips is row ``(start + n) % of`` of the batch.
    """

    start: int
    of: int

    def rows(self, drawn: torch.Tensor, num_clips: int) -> torch.Tensor:
        """Return what was drawn for ``num_clips`` clips."""
        return drawn[(self.start + torch.arange(num_clips)) % self.of]


class BatchTransform:
    """Turn ``x_BTHWC`` uint8 into a normalised float ``x_BTCHW``.

    The result is a permuted view, so that each frame keeps channels-last memory.

    Args:
        mean: per channel, on the 0..255 scale.
        std: per channel, on the 0..255 scale, above 0.
        augment: what training adds.
        classes: names of the classes in the order of their ids; needed where ``augment`` changes
            labels.
        shows: what the pictures show: mirrored flow runs the other way.

    Raises:
        UserError: when a ``std`` is not above 0.
        UserErrors: when a pair of ``augment`` names a class that there is not.
    """

    def __init__(
        self,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        augment: Augment | None = None,
        classes: Sequence[str] = (),
        shows: Input = "rgb",
    ) -> None:
        if min(std) <= 0:
            raise UserError("each channel's std is above 0", std, "for example std: [64, 64, 64]")
        self.mean = mean
        self.std = std
        self.augment = augment or Augment()
        raise_collected(check_classes(self.augment, classes))
        self._num_classes = len(classes)
        self._shows = shows
        self._mirror = Exchange(self.augment.flip_pairs, classes)
        self._reversal = Exchange(self.augment.reverse_pairs, classes)
        self._clip_transforms: dict[int, ClipTransform | None] = {}

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
            train: whether to augment, without a change of labels.
            generator: a CPU generator that the augmentation draws from.
        """
        if train:
            assert not self.augment.changes_labels, "labels change as well: use training()"
            x_BTHWC, _ = self._augmented(x_BTHWC, None, generator)
        return self._normalised(x_BTHWC).permute(0, 1, 4, 2, 3)

    def training(
        self,
        x_BTHWC: torch.Tensor,
        y: torch.Tensor,
        generator: torch.Generator,
        place: Place | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return augmented clips ``x_BTCHW`` float32 and their labels.

        Args:
            x_BTHWC: uint8 ``[B, T, H, W, 3]``.
            y: int64 ``[B]``, or 0 and 1 for each class ``[B, K]``, on the device of the clips.
            generator: a CPU generator that everything is drawn from.
            place: where the clips lie in a batch that several processes share; each clip is then
                changed as in the whole batch. Only mixing draws among the given clips.

        Returns:
            The labels in the form they came in, or shares of the classes ``[B, K]`` where clips
            were mixed.
        """
        x_BTHWC, changed = self._augmented(x_BTHWC, y, generator, place)
        assert changed is not None
        x_BTHWC = self._normalised(x_BTHWC)
        mixup, cutmix = self.augment.mixup_alpha, self.augment.cutmix_alpha
        if mixup or cutmix:
            x_BTHWC, changed = mix(
                x_BTHWC,
                soft_targets(changed, self._num_classes),
                mixup_alpha=mixup,
                cutmix_alpha=cutmix,
                generator=generator,
            )
        return x_BTHWC.permute(0, 1, 4, 2, 3), changed

    def _mirrored(self, x_BTHWC: torch.Tensor) -> torch.Tensor:
        mirrored = x_BTHWC.flip(3)
        if self._shows == "flow":
            right = mirrored[..., :1]
            mirrored = torch.cat([2 * NO_MOTION - right.int(), mirrored[..., 1:].int()], dim=-1)
        return mirrored.to(torch.uint8)

    def _normalised(self, x_BTHWC: torch.Tensor) -> torch.Tensor:
        x = x_BTHWC.to(torch.float32)
        if len(set(self.mean)) == 1 and len(set(self.std)) == 1:
            # Scalars vectorise; a broadcast over 3 innermost channels does not.
            x = x.sub_(self.mean[0]).mul_(1.0 / self.std[0])
        else:
            mean_C = torch.tensor(self.mean, device=x.device)
            std_C = torch.tensor(self.std, device=x.device)
            x = x.sub_(mean_C).div_(std_C)
        return x

    def _augmented(
        self,
        x: torch.Tensor,
        y: torch.Tensor | None,
        generator: torch.Generator | None,
        place: Place | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return uint8 clips and labels; what is at its default draws nothing and costs nothing."""
        batch, frames, height, width, _ = x.shape
        place = place or Place(0, batch)
        if self.augment.torus_roll:
            down = int(torch.randint(height, (), generator=generator))
            right = int(torch.randint(width, (), generator=generator))
            x = torch.roll(x, (down, right), dims=(2, 3))
        if self.augment.flip:
            drawn_B = place.rows(torch.rand(place.of, generator=generator), batch)
            mirrored_B = (drawn_B < 0.5).to(x.device)
            x = torch.where(mirrored_B[:, None, None, None, None], self._mirrored(x), x)
            if y is not None and self.augment.flip_pairs:
                y = self._mirror(y, mirrored_B)
        padding = self.augment.crop_padding
        if padding:
            shift_B2 = torch.randint(-padding, padding + 1, (place.of, 2), generator=generator)
            shift_B2 = place.rows(shift_B2, batch).to(x.device)
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
        if y is not None and self.augment.reverse_pairs:
            drawn_B = place.rows(torch.rand(place.of, generator=generator), batch)
            reversed_B = (drawn_B < 0.5).to(x.device)
            reversed_B = reversed_B & self._reversal.named(y)
            x = torch.where(reversed_B[:, None, None, None, None], x.flip(1), x)
            y = self._reversal(y, reversed_B)
        if height not in self._clip_transforms:
            self._clip_transforms[height] = clip_transform(self.augment, height)
        transform = self._clip_transforms[height]
        if transform is not None:
            assert generator is not None, "augmentation draws from a generator"
            seeds_B = torch.randint(2**62, (place.of,), generator=generator)
            x = transform_clips(x, transform, place.rows(seeds_B, batch).tolist())
        return x, y
