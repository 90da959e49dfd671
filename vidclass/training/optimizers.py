"""Optimizers, starts of weights, and their moving average."""

import copy
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from vidclass.errors import UserError
from vidclass.training.config import TrainConfig

__all__ = ["Held", "WeightAverage", "held_parts", "initialise", "make_optimizer"]


@runtime_checkable
class Held(Protocol):
    """A part of a model that started with weights of its own, and can be kept as it is."""

    draws_own_start: bool

    def hold(self, held: bool) -> None:
        """Keep all of it as it is, or train again what it says is to be trained."""

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """Return its weights."""


def held_parts(model: nn.Module) -> list[Held]:
    """Return the parts of ``model`` that can be held; none lies in another."""
    found = [module for module in model.modules() if isinstance(module, Held)]
    return [part for part in found if part.draws_own_start]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Return the optimizer of ``config`` over the trainable weights of ``model``.

    Weights of convolutions and dense layers decay; biases and norms (one dimension) do not. What
    started with trained weights has groups of its own, with ``backbone_lr_factor``.

    Raises:
        UserError: when the settings speak of such weights and the model has none.
    """
    parts = held_parts(model)
    if not parts and (config.backbone_lr_factor != 1.0 or config.unfreeze_after):
        raise UserError(
            "backbone_lr_factor and unfreeze_after are for models with a backbone",
            f"{type(model).__name__} has none",
            "leave them out, or take a model on a backbone (`vidclass models`)",
        )
    backbone = {id(weight) for part in parts for weight in part.parameters()}
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = []
    for inside, factor in ((False, 1.0), (True, config.backbone_lr_factor)):
        weights = [weight for weight in trainable if (id(weight) in backbone) == inside]
        for decay, of in (
            (config.weight_decay, [weight for weight in weights if weight.ndim > 1]),
            (0.0, [weight for weight in weights if weight.ndim <= 1]),
        ):
            groups.append({"params": of, "weight_decay": decay, "lr_factor": factor})
    groups = [group for group in groups if group["params"]]
    lr, momentum, epsilon = config.lr, config.momentum, config.epsilon
    # Fused: one call for all weights, where a loop over them costs a tenth of a small model's step.
    match config.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr, (momentum, 0.999), epsilon, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr, (momentum, 0.999), epsilon, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr, momentum, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(groups, lr, eps=epsilon, momentum=momentum)


def initialise(model: nn.Module, init: str) -> None:
    """Draw all weights anew from torch's global generator and reset running statistics.

    What lies in a module with a true ``draws_own_start`` is left to its ``reset_parameters``, which
    may as well read a file: a backbone with trained weights.

    Args:
        model: changed in place, so that a model that was trained before starts like a fresh one.
        init: ``default`` is each layer's own start; ``glorot`` (Glorot and Bengio, 2010) replaces
            it in convolutions and dense layers by Glorot uniform weights and zero biases.
    """
    left = {
        inner
        for module in model.modules()
        if getattr(module, "draws_own_start", False)
        for inner in module.modules()
        if inner is not module
    }
    for module in model.modules():
        if module in left:
            continue
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
        if init == "glorot" and isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class WeightAverage:
    """Exponential moving average of a model's weights.

    The decay of step n is at most (1 + n) / (10 + n), so that the average of a short training is
    not that of its random start. Running statistics of norms are copied, not averaged.

    Args:
        model: the model that is trained.
        decay: weight of the past in each update.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._decay = decay
        self._num_updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of ``model`` after an optimizer step."""
        self._num_updates += 1
        decay = min(self._decay, (1 + self._num_updates) / (10 + self._num_updates))
        for average, weight in zip(self.model.parameters(), model.parameters(), strict=True):
            average.lerp_(weight, 1.0 - decay)
        self.take_statistics(model)

    @torch.no_grad()
    def take_statistics(self, model: nn.Module) -> None:
        """Copy the running statistics of ``model``."""
        for kept, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)

    def restart(self, weights: dict[str, torch.Tensor]) -> None:
        """Go on from ``weights``; the updates so far still count."""
        self.model.load_state_dict(weights)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs."""
        return {"model": self.model.state_dict(), "num_updates": self._num_updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self._num_updates = state["num_updates"]
