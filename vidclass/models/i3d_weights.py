"""Published checkpoints of I3D: those of its PyTorch port, and the original's variables.

The port calls a weight ``Mixed_3b.b1b.conv3d.weight``; the original
``RGB/inception_i3d/Mixed_3b/Branch_1/Conv3d_0b_3x3/conv_3d/w``, with its channels last. The
original's batch norms have no scale: it is 1.
"""

import re
from collections.abc import Mapping

import torch
from torch import nn

from vidclass.models.pretrained import NO_WEIGHTS, load_state, local_file, read_state

__all__ = ["load_i3d_weights", "port_names"]

State = Mapping[str, torch.Tensor]

CLASSIFIER = "logits."
SCOPE = re.compile(r"^(?:RGB|Flow)/inception_i3d/(?P<path>.+?)(?::0)?$")
UNITS = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_2/Conv3d_0a_3x3": "b2b",  # as the original misnames it in Mixed_5b
    "Branch_3/Conv3d_0b_1x1": "b3b",
}
VARIABLES = {
    "conv_3d/w": "conv3d.weight",
    "conv_3d/b": "conv3d.bias",
    "batch_norm/beta": "bn.bias",
    "batch_norm/gamma": "bn.weight",
    "batch_norm/moving_mean": "bn.running_mean",
    "batch_norm/moving_variance": "bn.running_var",
}


def port_names(state: State) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint under the names and in the layout of the PyTorch port.

    Keys of neither form stay as they are, so that they are told as extra ones.
    """
    named = dict(_ported(key, value) for key, value in state.items())
    for key in [key for key in named if key.endswith(".bn.running_var")]:
        scale = key.replace("running_var", "weight")
        named.setdefault(scale, torch.ones_like(named[key]))
    return named


def _ported(key: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
    scope = SCOPE.match(key)
    if scope is None:
        return key, value
    path = scope["path"]
    variable = next((name for name in VARIABLES if path.endswith(f"/{name}")), None)
    if variable is None:
        return key, value
    unit = path.removesuffix(f"/{variable}")
    block, _, branch = unit.partition("/")
    if block == "Logits":
        place = "logits"
    elif not branch:
        place = block
    elif branch in UNITS:
        place = f"{block}.{UNITS[branch]}"
    else:
        return key, value
    return f"{place}.{VARIABLES[variable]}", _channels_first(value)


def _channels_first(value: torch.Tensor) -> torch.Tensor:
    """Return a kernel ``[T, H, W, in, out]`` as ``[out, in, T, H, W]``, a vector as ``[C]``."""
    if value.ndim != 5:
        return value
    if value.shape[:4] == (1, 1, 1, 1):  # a statistic, which the original keeps in five dimensions
        return value.flatten()
    return value.permute(4, 3, 0, 1, 2).contiguous()


def load_i3d_weights(net: nn.Module, weights: str) -> None:
    """Put the weights of a file, its classifier left out, into I3D.

    Args:
        net: changed in place.
        weights: the path of a file, or its name in HOME/weights.

    Raises:
        UserError: when there is no such file.
        UserErrors: naming missing keys, extra keys and wrong shapes.
    """
    path = local_file(weights, NO_WEIGHTS)
    load_state(net, port_names(read_state(path)), source=str(path), without=(CLASSIFIER,))
