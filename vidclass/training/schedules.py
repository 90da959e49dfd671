"""Learning rate (and momentum) as a function of the optimizer step."""

import math
from typing import Any

import torch

from vidclass.training.config import TrainConfig

__all__ = ["Schedule", "lr_share", "one_cycle_momentum"]

START_SHARE = 1 / 25  # one-cycle starts at lr / 25 and ends at its start / 10,000 (Smith, 2018)
END_SHARE = START_SHARE * 1e-4
MOMENTUM_HIGH, MOMENTUM_LOW = 0.95, 0.85


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))


def _one_cycle(step: int, num_steps: int, warmup_share: float, ends: tuple[float, ...]) -> float:
    """Go from the first to the second of ``ends`` during warm-up, then to the third."""
    peak = warmup_share * num_steps - 1
    if step <= peak:
        return _cosine(ends[0], ends[1], step / peak if peak > 0 else 1.0)
    return _cosine(ends[1], ends[2], (step - peak) / max(num_steps - 1 - peak, 1e-9))


def lr_share(config: TrainConfig, step: int, num_steps: int) -> float:
    """Return the share of ``config.lr`` that step ``step`` (from 0) of ``num_steps`` uses.

    The drops of plateau and rounds come on top of it.
    """
    if config.schedule == "rounds":
        return 1.0
    if config.schedule == "one_cycle":
        return _one_cycle(step, num_steps, config.warmup_share, (START_SHARE, 1.0, END_SHARE))
    num_warmup = round(config.warmup_share * num_steps)
    if step < num_warmup:
        return (step + 1) / num_warmup
    if config.schedule == "cosine":
        return _cosine(1.0, 0.0, (step - num_warmup) / max(num_steps - num_warmup, 1))
    return 1.0


def one_cycle_momentum(config: TrainConfig, step: int, num_steps: int) -> float:
    """Return the momentum of step ``step``: low where the learning rate is high."""
    ends = (MOMENTUM_HIGH, MOMENTUM_LOW, MOMENTUM_HIGH)
    return _one_cycle(step, num_steps, config.warmup_share, ends)


class Schedule:
    """Sets the learning rate of an optimizer before each of its steps.

    All but the drops is a pure function of the step, so a training that is stopped early or resumed
    has had the very rates of one that was not.

    Args:
        optimizer: a group gets the rate times its ``lr_factor``, where it has one.
        config: schedule, lr, warmup_share and the fields of plateau and rounds are used.
        num_steps: optimizer steps of the whole training.

    Attributes:
        lr: of the last step, without a group's factor.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, config: TrainConfig, num_steps: int
    ) -> None:
        self._optimizer = optimizer
        self._config = config
        self._num_steps = num_steps
        self._step = 0
        self._drop = 1.0
        self._epochs_without_gain = 0
        self._epochs_in_round = 0
        self._round = 1
        self.lr = 0.0

    def before_step(self) -> None:
        """Set rate and momentum for the coming optimizer step."""
        config = self._config
        self.lr = config.lr * self._drop * lr_share(config, self._step, self._num_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr * group.get("lr_factor", 1.0)
            if config.schedule == "one_cycle":
                self._set_momentum(group)
        self._step += 1

    def _set_momentum(self, group: dict[str, Any]) -> None:
        momentum = one_cycle_momentum(self._config, self._step, self._num_steps)
        if "betas" in group:
            group["betas"] = (momentum, *group["betas"][1:])
        elif self._config.optimizer == "sgd":
            group["momentum"] = momentum

    @property
    def ended(self) -> bool:
        """Whether the last round is over."""
        return self._config.schedule == "rounds" and self._round > self._config.num_rounds

    def after_epoch(self, improved: bool) -> bool:
        """Drop the rate where plateau or rounds have waited long enough; return whether it fell."""
        config = self._config
        self._epochs_without_gain = 0 if improved else self._epochs_without_gain + 1
        self._epochs_in_round += 1
        falls = self._epochs_without_gain >= config.plateau_patience
        if config.schedule == "rounds":
            # Ceiled, so that all rounds together may take all epochs.
            falls |= self._epochs_in_round >= -(-config.epochs // config.num_rounds)
        elif config.schedule != "plateau":
            return False
        if falls:
            self._drop *= config.plateau_factor
            self._epochs_without_gain = self._epochs_in_round = 0
            self._round += 1
        return falls

    def state_dict(self) -> dict[str, float | int]:
        """Return what a resumed training needs."""
        return {
            "step": self._step,
            "drop": self._drop,
            "epochs_without_gain": self._epochs_without_gain,
            "epochs_in_round": self._epochs_in_round,
            "round": self._round,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state_dict` returned."""
        self._step = state["step"]
        self._drop = state["drop"]
        self._epochs_without_gain = state["epochs_without_gain"]
        self._epochs_in_round = state.get("epochs_in_round", 0)  # absent from older checkpoints
        self._round = state.get("round", 1)
