"""Floors: what is reached without any architecture.

No arm is called good unless it beats the best of these on the same videos. Each floor fits a small
model of scikit-learn on the training rows and gives probabilities for the scored rows. Where
several classes may hold, it fits one for each class, against all that does not show it.

Legend: N scored samples, K classes, D features.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vidclass.data.samples import Labels
from vidclass.errors import UserError
from vidclass.training.floor_features import FloorFeatures

__all__ = ["FLOOR_NAMES", "FLOORS", "run_floor"]

Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Inputs = npt.NDArray[np.floating]

# Fixed, not searched: with standardised features 1 and 0.01 differ by less than the intervals of
# the sets looked at, and a search inside each fold would cost more than the floor.
INVERSE_PENALTY = 0.1
MAX_ITERATIONS = 300
LEAF_SAMPLES = 5  # the usual 20 leaves a set of 100 videos with hardly a split


def _middle_frame(features: FloorFeatures) -> Inputs:
    return features.middle_ND


def _bag_of_frames(features: FloorFeatures) -> Inputs:
    return np.hstack([features.mean_ND, features.deviation_ND])


def _bag_with_differences(features: FloorFeatures) -> Inputs:
    return np.hstack([features.mean_ND, features.deviation_ND, features.difference_ND])


_PROBES: dict[str, Callable[[FloorFeatures], Inputs]] = {
    "middle_frame": _middle_frame,
    "bag_of_frames": _bag_of_frames,
    "bag_with_differences": _bag_with_differences,
}

FLOORS = {
    "majority": "class shares of the training samples",
    "metadata": "size, duration, frames, rate and bitrate of the file; gradient boosting",
    "middle_frame": "fixed features of the window's middle frame; logistic regression",
    "bag_of_frames": "mean and deviation of fixed features over the window; knows no order",
    "bag_with_differences": "the same and mean absolute differences; knows speed, not direction",
}
FLOOR_NAMES = tuple(FLOORS)


def run_floor(
    name: str,
    features: FloorFeatures,
    train_rows: Int64,
    eval_rows: Int64,
    labels: Labels,
    num_classes: int,
    seed: int = 0,
) -> Float32:
    """Fit a floor on some samples and return its probabilities for others, ``[N, K]``.

    A class that the training rows lack gets probability 0.

    Args:
        name: one of ``FLOOR_NAMES``.
        features: of all samples.
        train_rows: rows of ``features`` to fit on.
        eval_rows: rows of ``features`` to score.
        labels: of every row of ``features``: its class ``[.]``, or 1 where one holds ``[., K]``.
        num_classes: K.
        seed: of the gradient boosting.

    Raises:
        UserError: when the name is not known.
    """
    if name not in FLOORS:
        raise UserError("a floor has one of the known names", name, ", ".join(FLOOR_NAMES))
    if labels.ndim == 2:
        of_class = [
            run_floor(name, features, train_rows, eval_rows, labels[:, k].astype(np.int64), 2, seed)
            for k in range(num_classes)
        ]
        return np.stack([prob_N2[:, 1] for prob_N2 in of_class], axis=1)
    label_T = labels[train_rows].astype(np.int64)
    present = np.unique(label_T)
    prob_NK = np.zeros((len(eval_rows), num_classes), dtype=np.float32)
    if name == "majority" or len(present) == 1:
        prob_NK[:] = np.bincount(label_T, minlength=num_classes) / len(label_T)
        return prob_NK
    if name == "metadata":
        inputs: Inputs = features.metadata_NM
        model = HistGradientBoostingClassifier(
            learning_rate=0.05, min_samples_leaf=LEAF_SAMPLES, random_state=seed
        )
    else:
        inputs = _PROBES[name](features)
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_ITERATIONS, tol=1e-3),
        )
    model.fit(inputs[train_rows], label_T)
    prob_NK[:, present] = model.predict_proba(inputs[eval_rows])
    return prob_NK
