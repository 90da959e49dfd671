"""Loss of a batch of clips: cross-entropy or focal, with class weights and label smoothing.

Where one class holds, the classes compete (softmax); where any number may, each is a question of
its own (sigmoid).

Legend: B clips, N samples, K classes.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name

from vidclass.data.samples import Labels
from vidclass.training.balance import class_weights, positive_weights
from vidclass.training.config import TrainConfig

__all__ = ["ClipLoss", "Loss", "MultilabelLoss", "make_loss"]


class Loss(Protocol):
    """What the loop asks of a loss; the parts of an accumulated batch add up to the whole."""

    def total_weight(self, y: torch.Tensor) -> torch.Tensor | float:
        """Return what the summed loss of the clips of a batch is divided by."""

    def summed(self, logits_BK: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the clips' losses, a scalar."""


def make_loss(config: TrainConfig, labels: Labels, num_classes: int, device: torch.device) -> Loss:
    """Return the loss of samples of one class each (``[N]``), or of any number (``[N, K]``)."""
    if labels.ndim == 2:
        return MultilabelLoss(config, labels, device)
    return ClipLoss(config, labels.astype(np.int64), num_classes, device)


class ClipLoss:
    """The loss that a :class:`TrainConfig` asks for.

    Args:
        config: loss, focal_gamma, label_smoothing and class_balance are used.
        label_N: labels of the training videos, for the class weights.
        num_classes: K.
        device: where the logits are.
    """

    def __init__(
        self,
        config: TrainConfig,
        label_N: npt.NDArray[np.int64],
        num_classes: int,
        device: torch.device,
    ) -> None:
        self._gamma = config.focal_gamma if config.loss == "focal" else 0.0
        self._smoothing = config.label_smoothing
        self._weight_K: torch.Tensor | None = None
        if config.class_balance in ("weights", "effective_number"):
            by_number = config.class_balance == "effective_number"
            weight_K = class_weights(
                label_N,
                num_classes,
                effective_beta=config.effective_beta if by_number else None,
                exponent=config.balance_exponent,
            )
            self._weight_K = torch.from_numpy(weight_K).to(device)

    def total_weight(self, y: torch.Tensor) -> torch.Tensor | float:
        """Return what the summed loss of the clips is divided by to be their mean.

        Args:
            y: as :meth:`summed` takes it.
        """
        if self._weight_K is None:
            return float(len(y))
        return (self._weight_K[y] if y.dim() == 1 else y @ self._weight_K).sum()

    def summed(self, logits_BK: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the clips' losses, a scalar.

        A sum, since the parts of an accumulated batch are divided by the weight of the whole. The
        loss of a clip with shares of several classes is the sum of their losses by those shares.

        Args:
            logits_BK: ``[B, K]`` of any float type; the loss is computed in float32.
            y: classes, int64 ``[B]``, or the share of each class, ``[B, K]``.
        """
        logits_BK = logits_BK.float()
        if y.dim() == 2:
            return self._summed_shares(logits_BK, y)
        loss_B = F.cross_entropy(logits_BK, y, reduction="none", label_smoothing=self._smoothing)
        if self._gamma:
            log_prob_B = logits_BK.log_softmax(dim=1).gather(1, y[:, None])[:, 0]
            loss_B = loss_B * _focus(log_prob_B, self._gamma)
        if self._weight_K is not None:
            loss_B = loss_B * self._weight_K[y]
        return loss_B.sum()

    def _summed_shares(self, logits_BK: torch.Tensor, share_BK: torch.Tensor) -> torch.Tensor:
        log_prob_BK = logits_BK.log_softmax(dim=1)
        spread_B1 = log_prob_BK.mean(dim=1, keepdim=True)
        loss_BK = -(1 - self._smoothing) * log_prob_BK - self._smoothing * spread_B1
        if self._gamma:
            loss_BK = loss_BK * _focus(log_prob_BK, self._gamma)
        if self._weight_K is not None:
            loss_BK = loss_BK * self._weight_K
        return (share_BK * loss_BK).sum()


class MultilabelLoss:
    """The loss where any number of classes may hold: the mean over classes of a binary one.

    Label smoothing moves each answer towards 1/2. The focal loss is that of Lin et al. (2017) for
    sigmoids, without its alpha. Class weights multiply the loss of a class where it holds.

    Args:
        config: loss, focal_gamma, label_smoothing and class_balance are used.
        label_NK: labels of the training samples, for the class weights.
        device: where the logits are.
    """

    def __init__(self, config: TrainConfig, label_NK: Labels, device: torch.device) -> None:
        self._gamma = config.focal_gamma if config.loss == "focal" else 0.0
        self._smoothing = config.label_smoothing
        self._num_classes = label_NK.shape[1]
        self._positive_K: torch.Tensor | None = None
        if config.class_balance in ("weights", "effective_number"):
            by_number = config.class_balance == "effective_number"
            positive_K = positive_weights(
                label_NK,
                effective_beta=config.effective_beta if by_number else None,
                exponent=config.balance_exponent,
            )
            self._positive_K = torch.from_numpy(positive_K).to(device)

    def total_weight(self, y: torch.Tensor) -> float:
        """Return the number of answers that the loss is summed over."""
        return float(len(y) * self._num_classes)

    def summed(self, logits_BK: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the sum of the losses of all answers, a scalar.

        Args:
            logits_BK: ``[B, K]`` of any float type; the loss is computed in float32.
            y: how much each class holds, 0 to 1, float ``[B, K]``.
        """
        logits_BK = logits_BK.float()
        y = y * (1 - self._smoothing) + self._smoothing / 2
        yes_BK, no_BK = F.logsigmoid(logits_BK), F.logsigmoid(-logits_BK)
        loss_yes_BK, loss_no_BK = -y * yes_BK, -(1 - y) * no_BK
        if self._gamma:
            loss_yes_BK = loss_yes_BK * _focus(yes_BK, self._gamma)
            loss_no_BK = loss_no_BK * _focus(no_BK, self._gamma)
        if self._positive_K is not None:
            loss_yes_BK = loss_yes_BK * self._positive_K
        return (loss_yes_BK + loss_no_BK).sum()


def _focus(log_prob: torch.Tensor, gamma: float) -> torch.Tensor:
    """Return what the focal loss multiplies the loss of a class of this log-probability with."""
    # -expm1(log p) is 1 - p without the rounding that makes its gradient infinite at p = 1.
    return (-torch.expm1(log_prob)).clamp_min(1e-6) ** gamma
