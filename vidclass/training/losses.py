"""Loss of a batch of clips: cross-entropy or focal, with class weights and label smoothing.

Legend: B clips, K classes.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name

from vidclass.training.config import TrainConfig

__all__ = ["ClipLoss", "class_weights"]


def class_weights(label_N: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.float32]:
    """Return a weight a class, by inverse frequency, ``[K]``.

    The mean weight over the samples is 1; a class without samples has weight 0.
    """
    count_K = np.bincount(label_N, minlength=num_classes)
    num_present = np.count_nonzero(count_K)
    weight_K = len(label_N) / (num_present * np.maximum(count_K, 1))
    return np.where(count_K > 0, weight_K, 0.0).astype(np.float32)


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
        if config.class_balance == "weights":
            self._weight_K = torch.from_numpy(class_weights(label_N, num_classes)).to(device)

    def total_weight(self, y_B: torch.Tensor) -> torch.Tensor | float:
        """Return what the summed loss of the clips ``y_B`` is divided by to be their mean."""
        return float(len(y_B)) if self._weight_K is None else self._weight_K[y_B].sum()

    def summed(self, logits_BK: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the clips' losses, a scalar.

        A sum, since the parts of an accumulated batch are divided by the weight of the whole.

        Args:
            logits_BK: ``[B, K]`` of any float type; the loss is computed in float32.
            y_B: int64 ``[B]``.
        """
        logits_BK = logits_BK.float()
        loss_B = F.cross_entropy(logits_BK, y_B, reduction="none", label_smoothing=self._smoothing)
        if self._gamma:
            log_prob_B = logits_BK.log_softmax(dim=1).gather(1, y_B[:, None])[:, 0]
            # -expm1(log p) is 1 - p without the rounding that makes its gradient infinite at p = 1.
            loss_B = loss_B * (-torch.expm1(log_prob_B)).clamp_min(1e-6) ** self._gamma
        if self._weight_K is not None:
            loss_B = loss_B * self._weight_K[y_B]
        return loss_B.sum()
