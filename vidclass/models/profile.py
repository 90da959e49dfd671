"""What a model costs, counted without memory for its weights (torch's meta device).

Legend: B clips, T frames, C colours, H height, W width.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vidclass.errors import UserError, UserErrors
from vidclass.models.backbones import with_backbone
from vidclass.models.norms import LocalResponseNorm
from vidclass.models.registry import (
    NUM_COLOURS,
    create_model,
    model_entry,
    validate_options,
)

__all__ = ["Profile", "counted_as_keras", "profile"]

BATCH = 2  # the smallest that batch norm trains on
BYTES_PER_MIB = 2**20


@dataclass(frozen=True)
class Profile:
    """Cost of one model.

    Args:
        name: the registered name.
        num_classes: classes (K).
        options: all its options, defaults included.
        parameters: weights and biases, those of a frozen backbone among them.
        trained_parameters: those that training changes.
        stored_parameters: those that a checkpoint holds; not those of a backbone whose features are
            kept.
        parameters_counted_as_keras: all and the running mean and variance of batch norm.
        gmacs: 1e9 multiply-accumulates from the frames of one clip to its logits, in convolutions
            and matrix products alone, as papers count them (half the FLOPs).
        step_gmacs: the part of it that each epoch repeats; less where features are kept.
        activation_mib: MiB that the forward pass of one clip keeps for the backward pass, in
            float32. An estimate: allocators round up, and the largest workspace comes on top.
        weight_mib: MiB of the float32 weights; training holds those that it changes about four
            times (gradient and two moments).
        num_frames: frames of a clip that the model sees (T).
        input_shape: ``[T, C, H, W]`` of one clip, or ``[T, D]`` where the model takes features.
    """

    name: str
    num_classes: int
    options: dict[str, Any]
    parameters: int
    trained_parameters: int
    stored_parameters: int
    parameters_counted_as_keras: int
    gmacs: float
    step_gmacs: float
    activation_mib: float
    weight_mib: float
    num_frames: int
    input_shape: tuple[int, ...]


def profile(name: str, num_classes: int, **options: Any) -> Profile:
    """Return what the model costs; no weights are made.

    Raises:
        UserError: for an unknown name, and for a model that fails on a clip without content (on the
            meta device), as a plug-in's may.
        UserErrors: for every unknown option and wrong value, all at once.
    """
    checked = validate_options(name, options)
    entry = model_entry(name)
    shape = entry.input_shape(checked)
    try:
        with torch.device("meta"):
            model = create_model(name, num_classes, **options)
            whole = with_backbone(model, entry, checked)
        flops, kept_bytes = _forward_costs(model, _clips(shape))
        all_flops = flops
        if whole is not model:
            size = checked.input_size
            frames = (entry.num_frames(checked), NUM_COLOURS, size, size)
            all_flops, _ = _forward_costs(whole, _clips(frames))
    except (UserError, UserErrors):
        raise
    except Exception as error:  # a plug-in may raise anything
        raise UserError(
            "the cost of a model is counted while it runs on the meta device",
            f"{name}: {type(error).__name__}: {str(error)[:200]}",
            f"mend the model; `vidclass models test {name}` says more",
        ) from error
    counts = [(weight.numel(), weight.requires_grad) for weight in whole.parameters()]
    num_parameters = sum(count for count, _ in counts)
    return Profile(
        name=name,
        num_classes=num_classes,
        options=checked.model_dump(mode="json"),
        parameters=num_parameters,
        trained_parameters=sum(count for count, trained in counts if trained),
        stored_parameters=sum(weight.numel() for weight in model.parameters()),
        parameters_counted_as_keras=counted_as_keras(whole),
        gmacs=all_flops / 2 / BATCH / 1e9,
        step_gmacs=flops / 2 / BATCH / 1e9,
        activation_mib=kept_bytes / BATCH / BYTES_PER_MIB,
        weight_mib=4 * num_parameters / BYTES_PER_MIB,
        num_frames=entry.num_frames(checked),
        input_shape=shape,
    )


def _clips(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.empty(BATCH, *shape, device="meta")


def counted_as_keras(model: nn.Module) -> int:
    """Return weights, biases and the two running statistics of batch norm, as Keras counts."""
    state = model.state_dict().values()
    return sum(tensor.numel() for tensor in state if tensor.is_floating_point())


def _forward_costs(model: nn.Module, clips: torch.Tensor) -> tuple[int, int]:
    """Return FLOPs of a forward pass, and the bytes that it keeps for the backward pass."""
    weights = {tensor.untyped_storage()._cdata for tensor in model.parameters()}
    kept: dict[int, torch.Tensor] = {}  # the tensors live on, so that no storage's number recurs

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage()._cdata, tensor)
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with FlopCounterMode(display=False) as counter, hooks:
        model(clips)
    kept_bytes = sum(
        tensor.untyped_storage().nbytes() for key, tensor in kept.items() if key not in weights
    )
    # Local response norm sums its neighbours by a matrix product; papers count no norms.
    norms = {
        f"{type(model).__name__}.{name}"
        for name, module in model.named_modules()
        if isinstance(module, LocalResponseNorm)
    }
    in_norms = sum(
        sum(counts.values()) for name, counts in counter.get_flop_counts().items() if name in norms
    )
    return counter.get_total_flops() - in_norms, kept_bytes
