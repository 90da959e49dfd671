"""MixUp and CutMix of clips: each clip has a share, a partner and a rectangle of its own.

torchvision's versions draw one share for the whole batch, which makes whole batches easy or hard.

Legend: B clips, T frames, H height, W width, C colours, K classes.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name

__all__ = ["mix", "soft_targets"]


def soft_targets(y: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Return labels as shares of each class, float32 ``[B, K]``.

    Args:
        y: int64 ``[B]``, or already ``[B, K]``.
        num_classes: K.
    """
    return F.one_hot(y, num_classes).float() if y.dim() == 1 else y.float()


def mix(
    x_BTHWC: torch.Tensor,
    target_BK: torch.Tensor,
    *,
    mixup_alpha: float,
    cutmix_alpha: float,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return clips and targets, each clip mixed with another of the batch.

    Args:
        x_BTHWC: float clips.
        target_BK: shares of the classes.
        mixup_alpha: of MixUp's Beta distribution; 0 is off.
        cutmix_alpha: of CutMix's; 0 is off. With both each clip gets one of them, by a coin.
        generator: a CPU generator that everything is drawn from.
    """
    num_clips, _, height, width, _ = x_BTHWC.shape
    partner_B = torch.randperm(num_clips, generator=generator)
    draws = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    cuts_B = np.full(num_clips, cutmix_alpha > 0)
    if mixup_alpha and cutmix_alpha:
        cuts_B = draws.random(num_clips) < 0.5
    alpha_B = np.where(cuts_B, cutmix_alpha, mixup_alpha)
    own_B = draws.beta(alpha_B, alpha_B)
    boxes_B4 = _boxes(own_B, draws.random((num_clips, 2)), height, width)
    top_B, bottom_B, left_B, right_B = boxes_B4.T
    area_B = (bottom_B - top_B) * (right_B - left_B)
    own_B = np.where(cuts_B, 1 - area_B / (height * width), own_B)

    device = x_BTHWC.device
    partner_B = partner_B.to(device)
    share_B = torch.from_numpy(own_B.astype(np.float32)).to(device)
    # How much of each pixel is the clip's own: one number a clip, or 0 and 1 by its rectangle.
    own_BHW = share_B[:, None, None].expand(num_clips, height, width).clone()
    for clip in np.flatnonzero(cuts_B).tolist():
        top, bottom, left, right = boxes_B4[clip].tolist()
        own_BHW[clip] = 1.0
        own_BHW[clip, top:bottom, left:right] = 0.0
    mixed = torch.lerp(x_BTHWC[partner_B], x_BTHWC, own_BHW[:, None, :, :, None])
    return mixed, torch.lerp(target_BK[partner_B], target_BK, share_B[:, None])


def _boxes(
    own_B: npt.NDArray[np.float64], centre_B2: npt.NDArray[np.float64], height: int, width: int
) -> npt.NDArray[np.int64]:
    """Return rectangles of about ``1 - own_B`` of the area: top, bottom, left, right, ``[B, 4]``.

    The centre may lie anywhere, so what sticks out of the frame is cut off, as in the paper.
    """
    side_B = np.sqrt(1 - own_B) / 2
    down_B, right_B = centre_B2[:, 0] * height, centre_B2[:, 1] * width
    edges_4B = np.array(
        [
            np.clip(down_B - side_B * height, 0, height),
            np.clip(down_B + side_B * height, 0, height),
            np.clip(right_B - side_B * width, 0, width),
            np.clip(right_B + side_B * width, 0, width),
        ]
    )
    boxes: npt.NDArray[np.int64] = edges_4B.round().astype(np.int64).T
    return boxes
