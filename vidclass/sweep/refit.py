"""Refit: what is scored on test is trained on train and validation together (measurement.md 4).

It takes the configuration that the search found, and trains it for all of its epochs: with
validation among the training videos nothing is left to choose an epoch by, so the last one is kept.
"""

from collections.abc import Mapping
from typing import Any

from vidclass.errors import UserError
from vidclass.sweep.spec import ArmSpec, StudySpec
from vidclass.sweep.state import Epoch, Trial

__all__ = ["is_refit", "kept_epoch", "refit_mistakes", "refitted"]

NEED_VALIDATION = ("plateau", "rounds")


def refitted(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of a trial that is trained on validation too."""
    whole = {"patience": 0, "stop_at_train_accuracy": None}
    return {**config, "train": {**config["train"], **whole}, "refit": True}


def is_refit(config: Mapping[str, Any]) -> bool:
    """Say whether a trial of this configuration is trained on validation too."""
    return bool(config.get("refit"))


def kept_epoch(trial: Trial, metric: str) -> Epoch | None:
    """Return the epoch whose weights are kept: the best on validation, of a refit the last."""
    scored = [epoch for epoch in trial.epochs.values() if epoch.metrics.get(metric) is not None]

    def rank(epoch: Epoch) -> tuple[float, float, float]:
        if is_refit(trial.config):
            return epoch.epoch, 0.0, 0.0
        return epoch.metrics[metric], -(epoch.metrics.get("valid_loss") or 0.0), -epoch.epoch

    return max(scored, key=rank, default=None)


def refit_mistakes(spec: StudySpec, arm: ArmSpec, train: Mapping[str, Any]) -> list[UserError]:
    """Return what of an arm's training goes by validation, which a refit does not have."""
    schedule = train.get("schedule")
    if not spec.finals.refit or schedule not in NEED_VALIDATION:
        return []
    return [
        UserError(
            "finals.refit trains on validation too, so that no schedule can go by it",
            f"arm {arm.name}: schedule {schedule}",
            "schedule: one_cycle, cosine or constant; or leave finals.refit out",
        )
    ]
