"""What an arm cost, and how its best figure grew with the hours spent on it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from vidclass.report.collect import StudyTables
from vidclass.sweep.leak_controls import LEAK_CONTROL
from vidclass.sweep.policy import FEWER_VIDEOS

__all__ = ["EqualHours", "arm_costs", "best_so_far", "compute_unit", "equal_hours"]

SECONDS = ["seconds_data", "seconds_step", "seconds_eval"]
GRID_POINTS = 120


@dataclass(frozen=True)
class EqualHours:
    """Who leads on validation at the end, and who leads when each arm had the same hours.

    Attributes:
        hours: what the cheapest arm spent on its search.
        at_full: the leading arm with all hours spent.
        at_equal: the leading arm at ``hours``.
    """

    hours: float
    at_full: str
    at_equal: str

    @property
    def differs(self) -> bool:
        """Whether equal hours would have chosen another arm than equal trials."""
        return self.at_full != self.at_equal


def compute_unit(tables: StudyTables) -> str:
    """Return what an hour of a slot is: ``GPU-hours``, or ``core-hours`` without a GPU."""
    hardware = tables.state.started.get("hardware") or {}
    return "GPU-hours" if hardware.get("gpus") else "core-hours"


def arm_costs(tables: StudyTables) -> pd.DataFrame:
    """Return one row an arm, the search, re-runs, finals and controls of all folds together.

    Columns: trials, epochs, hours (wall hours of a slot), ms_per_clip (evaluation, median over
    epochs), data_wait (share of the time in which a step waited for data), searched, collapsed,
    failed, diverged, collapse_rate (of search trials that ended).
    """
    rows = {arm: _cost(tables, arm) for arm in tables.arms}
    return pd.DataFrame.from_dict(rows, orient="index")


def _cost(tables: StudyTables, arm: str) -> dict[str, float]:
    trials = _compared(tables.trials, arm)
    epochs = _compared(tables.epochs, arm)
    searched = trials[trials["kind"] == "search"]
    ended = searched[searched["status"] != "running"]
    status = searched["status"].value_counts()
    spent = epochs.reindex(columns=SECONDS).sum()
    total = float(spent.sum())
    return {
        "trials": len(trials),
        "epochs": len(epochs),
        "hours": float(trials["seconds"].sum()) / 3600,
        "ms_per_clip": _ms_per_clip(tables, epochs),
        "data_wait": float(spent["seconds_data"]) / total if total else float("nan"),
        "searched": len(searched),
        "collapsed": int(status.get("collapsed", 0)),
        "diverged": int(status.get("diverged", 0)),
        "failed": int(status.get("failed", 0) + status.get("out_of_memory", 0)),
        "collapse_rate": status.get("collapsed", 0) / len(ended) if len(ended) else float("nan"),
    }


def _compared(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    """Return the rows of ``arm`` that belong to the comparison.

    The deployment model, leak controls and trainings on fewer videos are of the champion alone.
    """
    compared = (table["fold"] >= 0) & ~table["kind"].isin([FEWER_VIDEOS, LEAK_CONTROL])
    return table[(table["arm"] == arm) & compared]


def _ms_per_clip(tables: StudyTables, epochs: pd.DataFrame) -> float:
    if epochs.empty or "seconds_eval" not in epochs:
        return float("nan")
    clips = tables.samples_of("valid").groupby("fold").size() * tables.spec.data.clips_per_video
    return float((1000 * epochs["seconds_eval"] / epochs["fold"].map(clips)).median())


def best_so_far(tables: StudyTables) -> pd.DataFrame:
    """Return ``arm, hours, value``: the best validation figure after so many hours of search.

    Hours are the sum over the arm's epochs in the order of the ledger's timestamps. With several
    folds the value is the mean over folds, each after the same share of the hours.
    """
    metric = f"valid_{tables.spec.primary.metric}"
    parts = [_arm_curve(_search_epochs(tables, arm), metric, arm) for arm in tables.arms]
    kept = [part for part in parts if not part.empty]
    return pd.concat(kept, ignore_index=True) if kept else _empty_curve()


def _empty_curve() -> pd.DataFrame:
    return pd.DataFrame(columns=["arm", "hours", "value"])


def _search_epochs(tables: StudyTables, arm: str) -> pd.DataFrame:
    epochs = _compared(tables.epochs, arm)
    return epochs[epochs["kind"] == "search"]


def _arm_curve(epochs: pd.DataFrame, metric: str, arm: str) -> pd.DataFrame:
    if epochs.empty or metric not in epochs:
        return _empty_curve()
    folds = [_fold_curve(part, metric) for _, part in epochs.groupby("fold")]
    # up to the shortest fold, so that every point is a mean over the same folds
    end = min(float(hours[-1]) for hours, _ in folds)
    start = max(float(hours[0]) for hours, _ in folds)
    if start > end:
        return _empty_curve()
    grid = np.linspace(start, end, GRID_POINTS) if end > start else np.array([end])
    values = [best[np.searchsorted(hours, grid, side="right") - 1] for hours, best in folds]
    return pd.DataFrame({"arm": arm, "hours": grid * len(folds), "value": np.mean(values, axis=0)})


def _fold_curve(epochs: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    ordered = epochs.sort_values(["time", "epoch"], kind="stable")
    hours = ordered.reindex(columns=SECONDS).sum(axis=1).cumsum().to_numpy() / 3600
    best = ordered[metric].fillna(-np.inf).cummax().to_numpy()
    return hours, best


def equal_hours(curve: pd.DataFrame) -> EqualHours | None:
    """Return who leads with all hours and with equal hours; None below two arms."""
    if curve["arm"].nunique() < 2:
        return None
    last = curve.groupby("arm", sort=False).last()
    hours = float(last["hours"].min())
    within = curve[curve["hours"] <= hours + 1e-12].groupby("arm", sort=False)["value"].last()
    return EqualHours(hours, str(last["value"].idxmax()), str(within.idxmax()))
