"""In which arithmetic and memory layout a model runs on a device."""

from itertools import chain

import torch
from torch import nn

__all__ = ["autocast", "has_native_bfloat16", "resolve_precision", "to_device"]


def has_native_bfloat16(device: torch.device) -> bool:
    """Say whether the device multiplies bfloat16 itself; elsewhere it is emulated, and slow."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        found = torch.cpu.get_capabilities()
        return bool(found.get("amx_bf16") or found.get("avx512_bf16"))
    return False


def resolve_precision(precision: str, device: torch.device) -> str:
    """Return ``float32`` or ``bfloat16`` for a setting that may be ``auto``."""
    if precision == "auto":
        return "bfloat16" if has_native_bfloat16(device) else "float32"
    return precision


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which a forward pass runs; weights stay float32."""
    enabled = resolve_precision(precision, device) == "bfloat16"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def to_device(
    model: nn.Module,
    device: torch.device,
    memory_format: torch.memory_format = torch.channels_last,
) -> None:
    """Move a model and lay its convolutions out channels-last, the layout of stored frames."""
    model.to(device)
    # Layouts are told apart by dimensions, so that one model may convolve frames and volumes:
    # nn.Module.to has one layout for all of its weights, and refuses five dimensions.
    last_3d = torch.channels_last_3d if memory_format == torch.channels_last else memory_format
    layouts = {4: memory_format, 5: last_3d}
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.ndim in layouts:
            tensor.data = tensor.data.contiguous(memory_format=layouts[tensor.ndim])
