"""Augmentations that torchvision has, drawn for each clip and the same over all its frames.

torchvision v2 draws the parameters of a call once and applies them to every leading dimension, so
one call a clip keeps them constant over its frames. It draws from torch's global CPU generator,
which is seeded for each clip and put back afterwards.

Legend: B clips, T frames, C colours, H height, W width.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch

from vidclass.data.augment import Augment
from vidclass.data.crops import PAD_VALUE

__all__ = ["clip_transform", "transform_clips"]

ClipTransform = Callable[[torch.Tensor], torch.Tensor]

FRAME_BY_FRAME = ("AutoContrast", "Equalize")
"""Operations of RandAugment that look at each frame by itself, and would make a clip flicker."""
ERASED_AREA = (0.02, 0.33)
ASPECT = (3 / 4, 4 / 3)


def clip_transform(augment: Augment, size: int) -> ClipTransform | None:
    """Return torchvision's transforms that ``augment`` asks for, or None where it asks for none.

    Args:
        augment: strengths; what stands at its default is left out.
        size: height and width of a frame.
    """
    from torchvision.transforms import InterpolationMode, v2

    bilinear: dict[str, Any] = {"interpolation": InterpolationMode.BILINEAR}
    parts: list[Any] = []
    if augment.resized_crop < 1:
        kept = (augment.resized_crop, 1.0)
        parts.append(v2.RandomResizedCrop(size, kept, ASPECT, antialias=True))
    if augment.vertical_flip:
        parts.append(v2.RandomVerticalFlip(0.5))
    if augment.shift or augment.rotation_degrees or augment.shear_degrees or augment.zoom:
        shear = augment.shear_degrees
        affine = v2.RandomAffine(
            augment.rotation_degrees,
            translate=(augment.shift, augment.shift),
            scale=(1 - augment.zoom, 1 + augment.zoom),
            shear=(-shear, shear, -shear, shear),
            fill=PAD_VALUE,
            **bilinear,
        )
        parts.append(functools.partial(_as_one_image, affine))
    if augment.brightness or augment.contrast or augment.saturation or augment.hue:
        parts += [
            torch.Tensor.contiguous,  # colour by colour: twice as fast as pixel by pixel
            v2.ColorJitter(augment.brightness, augment.contrast, augment.saturation, augment.hue),
        ]
    if augment.randaugment_ops:
        magnitude = augment.randaugment_magnitude
        operations = v2.RandAugment(augment.randaugment_ops, magnitude, fill=PAD_VALUE, **bilinear)
        operations._AUGMENTATION_SPACE = {
            name: how
            for name, how in operations._AUGMENTATION_SPACE.items()
            if name not in FRAME_BY_FRAME
        }
        parts.append(operations)
    if augment.erasing:
        parts.append(v2.RandomErasing(augment.erasing, ERASED_AREA, value=PAD_VALUE))
    return v2.Compose(parts) if parts else None


def _as_one_image(transform: ClipTransform, clip_TCHW: torch.Tensor) -> torch.Tensor:
    """Apply ``transform`` with all frames as channels of one image: its grid is made only once."""
    frames, colours, height, width = clip_TCHW.shape
    image = clip_TCHW.reshape(frames * colours, height, width)
    return transform(image).reshape(clip_TCHW.shape)


def transform_clips(
    x_BTHWC: torch.Tensor, transform: ClipTransform, seeds: list[int]
) -> torch.Tensor:
    """Return the clips, each one transformed by parameters of its own.

    Args:
        x_BTHWC: uint8, on any device.
        transform: of one clip ``[T, C, H, W]``.
        seeds: one for each clip.
    """
    x_BTCHW = x_BTHWC.permute(0, 1, 4, 2, 3)
    changed = torch.empty_like(x_BTHWC)
    with torch.random.fork_rng(devices=[]):
        for clip, seed in enumerate(seeds):
            # Only the CPU's generator: torch.manual_seed would also reset the accelerator's, from
            # which dropout draws.
            torch.default_generator.manual_seed(seed)
            changed[clip] = transform(x_BTCHW[clip]).permute(0, 2, 3, 1)
    return changed
