"""Predictions of one arm as arrays, and the parts of its score's variance: groups and seeds.

A score is linearised: each video gets a small value whose sum over a group, fold or seed says how
much that group, fold or seed moved the score (Taylor linearisation of a ratio, Woodruff 1971). For
accuracy it is exact: (right - mean) / N. Group and seed variance, of one arm and of a paired
difference, are then sums of squares of such sums, for all scores alike.

Legend: S seeds, N samples (videos, or windows of them), G groups, F folds, K classes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.report import several
from vidclass.sweep.predictions import class_columns
from vidclass.training import multilabel
from vidclass.training.scoring import Metric

__all__ = [
    "ArmRuns",
    "MEANS",
    "SeedVariance",
    "group_variance",
    "pooled_seed_variance",
    "read_runs",
    "satterthwaite",
    "seed_variance",
]

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
MEANS: frozenset[Metric] = frozenset({"accuracy", "exact_match"})
"""Scores that are the mean of a right or wrong of every sample."""

MIN_OWN_SEEDS = 3
"""From so many seeds on an arm's own seed variance is used; below it is pooled over arms."""

PRIOR_CORRELATION = 0.3
"""Correlation within groups where the data can't tell it (their usual range is 0.1 to 0.3)."""
PRIOR_GROUPS = 2.0
"""So many groups with errors outweigh it (benchmarks/statistics_acceptance.py)."""


@dataclass(frozen=True)
class ArmRuns:
    """All test predictions of one arm, every sample once a seed index.

    Attributes:
        arm: name.
        sample_id_N: sorted ids.
        labels: true class ``[N]``; or 1 where a class holds ``[N, K]``.
        said: predicted class ``[S, N]``; or 1 where one is said to hold ``[S, N, K]``.
        group_N: whole numbers; samples with the same one are not independent.
        fold_N: whole numbers; samples with the same one were scored by the same trained model.
        deterministic: another run would give the same predictions (floors), so that one run has no
            seed variance.
        prob_SNK: class probabilities, where given.
    """

    arm: str
    sample_id_N: npt.NDArray[np.object_]
    labels: Int64
    said: Int64
    group_N: Int64
    fold_N: Int64
    deterministic: bool = False
    prob_SNK: Float64 | None = None

    @property
    def several(self) -> bool:
        """Whether several classes may hold at a time."""
        return self.labels.ndim == 2

    @property
    def num_seeds(self) -> int:
        """Runs of every sample."""
        return len(self.said)

    @property
    def num_samples(self) -> int:
        """Samples scored."""
        return len(self.labels)

    @property
    def num_groups(self) -> int:
        """Independent groups of samples."""
        return len(np.unique(self.group_N))

    def only(self, kept_N: npt.NDArray[np.bool_]) -> "ArmRuns":
        """Return the runs of the samples where ``kept_N`` is true."""
        return replace(
            self,
            sample_id_N=self.sample_id_N[kept_N],
            labels=self.labels[kept_N],
            said=self.said[:, kept_N],
            group_N=self.group_N[kept_N],
            fold_N=self.fold_N[kept_N],
            prob_SNK=None if self.prob_SNK is None else self.prob_SNK[:, kept_N],
        )

    def right_SN(self) -> Float64:
        """Return 1 where the prediction is the label (of several classes, all are), else 0."""
        right = self.said == self.labels
        return np.asarray(right.all(axis=2) if self.several else right, dtype=np.float64)

    def score_S(self, metric: Metric) -> Float64:
        """Return the score of each seed over all samples (out of fold where there are folds)."""
        if metric in MEANS:
            return np.asarray(self.right_SN().mean(axis=1), dtype=np.float64)
        if metric == "mean_average_precision":
            assert self.prob_SNK is not None, "average precision needs probabilities"
            found = [multilabel.mean_average_precision(self.labels, p) for p in self.prob_SNK]
        elif self.several:
            found = [multilabel.macro_f1(self.labels, said_NK > 0) for said_NK in self.said]
        else:
            found = [_macro_f1(*_counts(self.labels, pred_N)) for pred_N in self.said]
        return np.array(found, dtype=np.float64)

    def score(self, metric: Metric) -> float:
        """Return the mean over seeds of the score."""
        return float(self.score_S(metric).mean())

    def linear_SN(self, metric: Metric) -> Float64:
        """Return what each sample of each seed adds to the score; all of them sum to 0."""
        if metric in MEANS:
            right_SN = self.right_SN()
            return np.asarray((right_SN - right_SN.mean()) / self.num_samples, dtype=np.float64)
        if metric == "mean_average_precision":
            assert self.prob_SNK is not None, "average precision needs probabilities"
            return several.linear_average_precision(self.labels > 0, self.prob_SNK)
        if self.several:
            return several.linear_macro_f1(self.labels > 0, self.said > 0)
        return _linear_macro_f1(self.labels, self.said)


def _counts(label_N: Int64, pred_N: Int64) -> tuple[Int64, Int64]:
    """Return true positives and label + prediction counts, each ``[K]``."""
    num_classes = int(max(label_N.max(), pred_N.max())) + 1
    right_K = np.bincount(label_N[label_N == pred_N], minlength=num_classes)
    occurs_K = np.bincount(label_N, minlength=num_classes)
    occurs_K = occurs_K + np.bincount(pred_N, minlength=num_classes)
    return right_K.astype(np.int64), occurs_K.astype(np.int64)


def _macro_f1(right_K: Int64, occurs_K: Int64) -> float:
    there = occurs_K > 0
    return float((2 * right_K[there] / occurs_K[there]).mean())


def _linear_macro_f1(label_N: Int64, pred_SN: Int64) -> Float64:
    num_seeds = len(pred_SN)
    right_K, occurs_K = _counts(np.tile(label_N, num_seeds), pred_SN.ravel())
    there = occurs_K > 0
    share = 1.0 / there.sum()
    each_K = np.where(there, share * num_seeds / np.maximum(occurs_K, 1), 0.0)
    f1_K = np.where(there, 2 * right_K / np.maximum(occurs_K, 1), 0.0)
    # d F1_k = (2 right - F1_k (label + predicted)) / (labels + predictions of k)
    miss_K = -f1_K * each_K
    hit_SN = np.where(pred_SN == label_N, 2 * each_K[label_N], 0.0)
    return np.asarray(hit_SN + miss_K[label_N] + miss_K[pred_SN], dtype=np.float64)


def read_runs(table: pd.DataFrame, deterministic: Iterable[str] = ()) -> dict[str, ArmRuns]:
    """Return the arms of a tidy table of predictions.

    Seeds may differ from fold to fold: they are ranked within an arm and fold (by ``seed_index``
    where that column exists). Of an unfinished study the seeds that every fold has are used.

    Args:
        table: columns arm, seed, fold, sample_id (or video_id), group; label_id, pred_id and maybe
            p0, p1, ..., or y0 ..., d0 ..., p0 ... where several classes may hold; of one variant
            (kept, shuffled), since an arm's name stands for all its rows.
        deterministic: arms (floors) whose single run has no seed variance.

    Raises:
        ValueError: when a sample has two predictions of the same arm and seed.
    """
    fixed = set(deterministic)
    groups = {name: code for code, name in enumerate(sorted(table["group"].astype(str).unique()))}
    coded = table.assign(group=table["group"].astype(str).map(groups))
    if "sample_id" not in coded:
        coded["sample_id"] = coded["video_id"]
    tested = coded[["fold", "sample_id"]].drop_duplicates()
    if tested["sample_id"].duplicated().any():  # published splits may test one in several folds
        coded["sample_id"] = coded["sample_id"] + " in fold " + coded["fold"].astype(str)
    return {
        str(arm): _read_arm(str(arm), rows, arm in fixed)
        for arm, rows in coded.groupby("arm", sort=False)
    }


def _read_arm(arm: str, rows: pd.DataFrame, deterministic: bool) -> ArmRuns:
    by = "seed_index" if "seed_index" in rows.columns else "seed"
    rank = rows.groupby("fold")[by].rank(method="dense").astype(int) - 1
    num_seeds = int(rank.groupby(rows["fold"]).max().min()) + 1
    rows = rows.assign(rank=rank).loc[rank < num_seeds].sort_values(["rank", "sample_id"])
    if rows.duplicated(["rank", "sample_id"]).any():
        twice = rows.loc[rows.duplicated(["rank", "sample_id"]), "sample_id"].iloc[0]
        raise ValueError(f"arm {arm}: {twice} has two predictions of one seed")
    num_rows = rows.groupby("sample_id")["rank"].transform("size")
    rows = rows.loc[num_rows == num_seeds]
    first = rows.loc[rows["rank"] == 0]
    columns = [name for name in class_columns(rows, "p") if rows[name].notna().all()]
    prob_SNK = rows[columns].to_numpy(np.float64).reshape(num_seeds, len(first), len(columns))
    there = class_columns(rows, "y")
    labels: Int64 = first[there or "label_id"].to_numpy(np.int64)
    answers: Int64 = rows[class_columns(rows, "d") or "pred_id"].to_numpy(np.int64)
    said: Int64 = answers.reshape(num_seeds, *labels.shape)
    return ArmRuns(
        arm=arm,
        sample_id_N=first["sample_id"].to_numpy(object),
        labels=labels,
        said=said,
        group_N=first["group"].to_numpy(np.int64),
        fold_N=first["fold"].to_numpy(np.int64),
        deterministic=deterministic,
        prob_SNK=prob_SNK if columns else None,
    )


@dataclass(frozen=True)
class SeedVariance:
    """Variance of a single run's score over seeds, and its degrees of freedom."""

    variance: float
    df: int


def group_variance(linear_N: Float64, group_N: Int64, pseudo: float = 1.0) -> tuple[float, float]:
    """Return the variance of a score over groups (leave one group out), and its df.

    Degrees of freedom are G - 1 where groups are equally large, and fewer where a few large ones
    carry the score (Satterthwaite's rule on the groups' own variances; as the effective number of
    clusters of Carter, Schnepel and Steigerwald, 2017).

    The variance is never taken below that of videos that are correlated within groups as
    `_least_correlation` says, with ``pseudo`` disagreements added (after Agresti and Min, 2005): a
    few groups that happen to agree prove no certainty.

    Args:
        linear_N: a video's share in the score, or in a difference of two scores.
        group_N: its group.
        pseudo: videos of full disagreement that are added.
    """
    codes_N = np.unique(group_N, return_inverse=True)[1]
    size_G = np.bincount(codes_N).astype(np.float64)
    num_groups, num_samples = len(size_G), len(linear_N)
    if num_groups < 2:
        return float("nan"), 0.0
    left_out_G = np.bincount(codes_N, weights=linear_N) / (1 - size_G / num_samples)
    between = (num_groups - 1) / num_groups * float(left_out_G @ left_out_G)
    square_G = np.bincount(codes_N, weights=linear_N**2).astype(np.float64)
    typical_size = float(size_G @ size_G) / num_samples
    inflation = 1 + (typical_size - 1) * _least_correlation(square_G)
    least = (float(square_G.sum()) + pseudo / num_samples**2) * inflation
    expected_G = size_G * (1 + (size_G - 1) * PRIOR_CORRELATION)
    effective = float(expected_G.sum()) ** 2 / float(expected_G @ expected_G)
    return max(between, least), max(effective - 1, 1.0)


def _least_correlation(square_G: Float64) -> float:
    """Return the correlation within groups that has to be reckoned with.

    It can be estimated only from videos that differ from the rest (errors, disagreements). Where
    they lie in few groups, the next group may hold as many again, and the estimate is worthless:
    ``PRIOR_CORRELATION`` is put in its place, the less of it the more groups show them.
    """
    total = float(square_G.sum())
    spread = total**2 / float(square_G @ square_G) if total > 0 else 0.0
    return PRIOR_CORRELATION * min(1.0, PRIOR_GROUPS / spread) if spread else PRIOR_CORRELATION


def _single_run(runs: ArmRuns, metric: Metric) -> SeedVariance:
    linear_SN = runs.linear_SN(metric)
    folds = np.unique(runs.fold_N)
    sum_SF = np.stack([linear_SN[:, runs.fold_N == fold].sum(axis=1) for fold in folds], axis=1)
    # every fold has models of its own, so that their seeds' variances add up
    variance = float(sum_SF.var(axis=0, ddof=1).sum())
    return SeedVariance(variance, len(folds) * (runs.num_seeds - 1))


def pooled_seed_variance(
    arms: Mapping[str, ArmRuns] | Iterable[ArmRuns], metric: Metric
) -> SeedVariance | None:
    """Return the seed variance pooled over arms and folds; None when no arm ran twice."""
    all_runs = arms.values() if isinstance(arms, Mapping) else arms
    parts = [_single_run(r, metric) for r in all_runs if r.num_seeds > 1 and not r.deterministic]
    df = sum(part.df for part in parts)
    if not df:
        return None
    return SeedVariance(sum(part.variance * part.df for part in parts) / df, df)


def seed_variance(
    runs: ArmRuns, metric: Metric, pooled: SeedVariance | None
) -> SeedVariance | None:
    """Return the seed variance of the arm's *mean* score; None when nothing tells it.

    Own seeds from ``MIN_OWN_SEEDS`` on, else pooled: two seeds have one degree of freedom.
    """
    if runs.deterministic:
        return SeedVariance(0.0, 0)
    single = pooled
    if runs.num_seeds >= MIN_OWN_SEEDS or (pooled is None and runs.num_seeds > 1):
        single = _single_run(runs, metric)
    return SeedVariance(single.variance / runs.num_seeds, single.df) if single else None


def satterthwaite(parts: Iterable[tuple[float, float]]) -> float:
    """Return the degrees of freedom of a sum of variances (Satterthwaite, 1946).

    Args:
        parts: (variance, degrees of freedom) of each.
    """
    known = [(variance, df) for variance, df in parts if variance > 0 and df > 0]
    if not known:
        return float("nan")
    total = sum(variance for variance, _ in known)
    return total**2 / sum(variance**2 / df for variance, df in known)
