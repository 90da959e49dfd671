"""In which arithmetic and memory layout a model runs on a device."""

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
    model.to(device, memory_format=memory_format)  # type: ignore[call-overload]
