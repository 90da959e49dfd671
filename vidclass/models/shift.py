"""Temporal shift (Lin et al., 2019) in any image net, by hooks: no key of its state changes.

Legend: B clips, T frames, b = B * T, C channels, H height, W width, N tokens.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from vidclass.errors import UserError

__all__ = ["TemporalShift", "shift_in_time"]


class TemporalShift:
    """Before a module runs, move a part of its input's channels to the frames beside.

    Args:
        num_frames: frames of a clip (T).
        part: one channel in ``part`` comes from the frame before, as many from the frame after;
            where there is no such frame they are 0.
    """

    def __init__(self, num_frames: int, part: int) -> None:
        self.num_frames = num_frames
        self.part = part

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs of ``module``, the first one shifted."""
        return (self.shifted(inputs[0]), *inputs[1:])

    def shifted(self, x: torch.Tensor) -> torch.Tensor:
        """Return maps ``x_bCHW`` or tokens ``x_bNC`` with their channels moved."""
        channel = 1 if x.ndim == 4 else x.ndim - 1
        count = x.shape[channel] // self.part
        x_BT = x.view(-1, self.num_frames, *x.shape[1:])
        before, after, kept = x_BT.tensor_split((count, 2 * count), dim=channel + 1)
        none = torch.zeros_like(before[:, :1])
        moved = [
            torch.cat([none, before[:, :-1]], dim=1),
            torch.cat([after[:, 1:], none], dim=1),
            kept,
        ]
        return torch.cat(moved, dim=channel + 1).flatten(0, 1)


def shift_in_time(net: nn.Module, *, num_frames: int, part: int) -> None:
    """Shift inside the residual branches of ``net``, so that a block's own frame stays whole.

    A net without such blocks is shifted before every convolution with a kernel above 1 but its
    first.

    Raises:
        UserError: when the net has neither.
    """
    places = list(_branches(net)) or list(_convolutions(net))[1:]
    if not places:
        raise UserError(
            "channels are shifted in residual blocks, attention blocks or convolutions",
            f"{type(net).__name__} has none that are known",
            "another backbone, such as resnet18 or mobilenet_v2",
        )
    for module in places:
        module.register_forward_pre_hook(TemporalShift(num_frames, part))


def _branches(net: nn.Module) -> Iterator[nn.Module]:
    """Yield the first module of every residual branch that is known."""
    for module in net.modules():
        if isinstance(module, nn.Sequential):
            continue  # its parts are named by position, or are a whole net
        if getattr(module, "use_res_connect", False):  # torchvision's inverted residuals
            yield module.get_submodule("conv" if hasattr(module, "conv") else "block")
        elif hasattr(module, "conv1") and hasattr(module, "conv2"):  # residual nets
            yield module.get_submodule("conv1")
        elif hasattr(module, "conv_pw") and getattr(module, "has_skip", False):  # timm's inverted
            yield module.get_submodule("conv_pw")
        elif isinstance(getattr(module, "attn", None), nn.Module):  # transformers of timm
            yield module.get_submodule("attn")
        elif hasattr(module, "self_attention") and hasattr(module, "ln_1"):  # and of torchvision
            yield module.get_submodule("ln_1")


def _convolutions(net: nn.Module) -> Iterator[nn.Module]:
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1:
            yield module
