"""The loss of models that answer at every step of a stretch, of which some steps have no label.

Legend: R stages of a model, B stretches, S steps, N labelled steps, K classes, D features.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name
from torch import nn

from vidclass.training.losses import Loss

__all__ = ["Forward", "Staged", "StepLoss", "labelled_steps", "stages_of"]

Forward = Callable[[torch.Tensor], torch.Tensor]
LARGEST_JUMP = 4.0
"""Change of a log-probability from step to step beyond which the smoothing loss rises no more."""


@runtime_checkable
class Staged(Protocol):
    """A model of several stages, each of which is trained to answer."""

    smoothing: float
    """Weight of the loss that keeps neighbouring answers alike; 0 is off."""

    def stage_logits(self, f_BSD: torch.Tensor) -> torch.Tensor:
        """Return the answers of all stages, ``logits_RBSK``; the last one's are the model's."""


def stages_of(model: nn.Module) -> Forward:
    """Return the model as one of stages: ``f_BSD -> logits_RBSK``."""
    if isinstance(model, Staged):
        return model.stage_logits
    return lambda f_BSD: model(f_BSD)[None]


def labelled_steps(logits_BSK: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the answers and labels of the steps that have one: ``[N, K]`` and ``[N]`` or more.

    Args:
        logits_BSK: answers.
        y: classes ``[B, S]`` or what holds ``[B, S, K]``, below 0 where there is no label.
    """
    known_BS = (y if y.ndim == 2 else y[..., 0]) >= 0
    return logits_BSK[known_BS], y[known_BS]


class StepLoss:
    """A loss of clips, taken at the labelled steps of every stage; and the smoothing of MS-TCN.

    The smoothing loss is the truncated mean squared change of the log-probabilities from one step
    to the next (Farha and Gall, 2019), over all steps, labelled or not.

    Args:
        loss: of single answers.
        model: may say how much smoothing it wants (:class:`Staged`).
        several: whether several classes may hold.
    """

    def __init__(self, loss: Loss, model: nn.Module, *, several: bool) -> None:
        self._loss = loss
        self._smoothing = model.smoothing if isinstance(model, Staged) else 0.0
        self._several = several

    def total_weight(self, y: torch.Tensor) -> torch.Tensor | float:
        """Return what the summed loss is divided by; a batch without labels weighs 1."""
        known = y[(y if y.ndim == 2 else y[..., 0]) >= 0]
        return self._loss.total_weight(known) if len(known) else 1.0

    def summed(self, logits_BK: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the sum over stages and labelled steps, a scalar.

        Args:
            logits_BK: ``logits_RBSK`` of all stages.
            y: classes ``[B, S]`` or what holds ``[B, S, K]``, below 0 where there is no label.
        """
        total = logits_BK.new_zeros((), dtype=torch.float32)
        for logits_BSK in logits_BK.float():
            logits_NK, y_N = labelled_steps(logits_BSK, y)
            total = total + self._loss.summed(logits_NK, y_N)
            if self._smoothing:
                weight = float(torch.as_tensor(self.total_weight(y)))
                total = total + self._smoothing * weight * self._roughness(logits_BSK)
        return total

    def _roughness(self, logits_BSK: torch.Tensor) -> torch.Tensor:
        log_prob_BSK = F.logsigmoid(logits_BSK) if self._several else logits_BSK.log_softmax(dim=2)
        # The step before is what is to be followed, not what is to be moved.
        change = log_prob_BSK[:, 1:] - log_prob_BSK[:, :-1].detach()
        return change.clamp(-LARGEST_JUMP, LARGEST_JUMP).square().mean()
