"""Which epoch of a training is the best, and whether there is enough to choose it by."""

from vidclass.data.sampling import ClipDataset
from vidclass.errors import UserError
from vidclass.training.checkpoints import CheckpointFolder

__all__ = ["SELECTION_METRICS", "Metrics", "check_training", "is_better"]

Metrics = dict[str, float]

# Each with the sign that makes larger better. Which of them there are depends on the task.
SELECTION_METRICS = {
    "valid_accuracy": 1.0,
    "valid_macro_f1": 1.0,
    "valid_macro_recall": 1.0,
    "valid_mean_average_precision": 1.0,
    "valid_exact_match": 1.0,
    "valid_log_loss": -1.0,
    "valid_loss": -1.0,
}
_OF_ONE_TASK = {
    "multiclass": ("valid_accuracy", "valid_macro_recall"),
    "multilabel": ("valid_mean_average_precision", "valid_exact_match"),
}


def is_better(metrics: Metrics, best: Metrics, select: str) -> bool:
    """Say whether ``metrics`` beat ``best`` on ``select``; a lower validation loss breaks ties."""

    def rank(of: Metrics) -> tuple[float, float]:
        return SELECTION_METRICS[select] * of[select], -of["valid_loss"]

    return not best or rank(metrics) > rank(best)


def check_training(
    train: ClipDataset,
    valid: ClipDataset,
    select: str,
    checkpoints: CheckpointFolder | None,
    resume_from: str | None,
) -> None:
    """Refuse a training that could not choose its best epoch, or has nowhere to resume from.

    Raises:
        UserError: as ``fit`` says.
    """
    other = _OF_ONE_TASK["multiclass" if valid.labels.ndim == 2 else "multilabel"]
    known = [name for name in SELECTION_METRICS if name not in other]
    if select not in known:
        raise UserError(
            "the best epoch is chosen by a validation metric that fit computes",
            select,
            f"one of {', '.join(known)}",
        )
    if train.num_samples < 2 or valid.num_samples < 1:
        raise UserError(
            "a training needs two training samples or more and one validation sample",
            f"{train.num_samples} training, {valid.num_samples} validation",
            "more videos, or other shares of the split",
        )
    if resume_from and not checkpoints:
        raise UserError(
            "a training resumes from a folder of checkpoints",
            f"{resume_from} without a folder",
            "give checkpoints as well",
        )
