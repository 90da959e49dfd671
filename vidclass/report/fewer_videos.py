"""What more labelled videos would bring: the champion's test score against its training videos."""

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from vidclass.data.subset import share_of_groups
from vidclass.report.collect import StudyTables
from vidclass.report.drawing import ACCENT, FLOOR_COLOUR, INK, blank
from vidclass.report.resampling import score_interval
from vidclass.report.runs import pooled_seed_variance, read_runs
from vidclass.sweep.policy import FEWER_VIDEOS, share_of
from vidclass.training.scoring import Metric

__all__ = ["VideosPoint", "draw_videos_curve", "last_doubling", "videos_curve"]

WIDTH = 7.2


@dataclass(frozen=True)
class VideosPoint:
    """The champion trained on ``num_videos`` videos a fold: score in 0..1 and its interval."""

    num_videos: float
    estimate: float
    low: float | None
    high: float | None


def videos_curve(tables: StudyTables) -> list[VideosPoint]:
    """Return the champion's scores, fewest training videos first; its finals are the last point.

    Empty before all folds of a share were scored.
    """
    if tables.state.champion is None:
        return []
    arm = str(tables.state.champion["arm"])
    metric: Metric = tables.spec.primary.metric
    finals = tables.finals[tables.finals["kind"] == "final"]
    runs = read_runs(finals) if len(finals) else {}
    if arm not in runs:
        return []
    pooled = pooled_seed_variance(runs, metric)
    shared = tables.finals[(tables.finals["kind"] == FEWER_VIDEOS) & (tables.finals["arm"] == arm)]
    points = []
    for variant, rows in [*shared.groupby("variant"), ("kept", finals)]:
        if rows["fold"].nunique() == tables.num_folds:
            interval = score_interval(read_runs(rows)[arm], metric, pooled)
            points.append(
                VideosPoint(
                    _num_videos(tables, str(variant), rows[rows["arm"] == arm]),
                    interval.estimate,
                    interval.low,
                    interval.high,
                )
            )
    return sorted(points, key=lambda point: point.num_videos) if len(points) > 1 else []


def _num_videos(tables: StudyTables, variant: str, rows: pd.DataFrame) -> float:
    """Return the training samples of ``variant``, mean over folds."""
    train = tables.samples_of("train")
    seeds = rows.groupby("fold")["seed"].first()
    counts = [
        len(share_of_groups(train[train["fold"] == fold], share_of(variant), seed=int(seed)))
        for fold, seed in seeds.items()
    ]
    return sum(counts) / len(counts)


def last_doubling(points: list[VideosPoint]) -> float | None:
    """Return what the last doubling of the training videos brought, 0..1; None without a curve.

    Between the two largest numbers of videos, scaled to one doubling.
    """
    if len(points) < 2:
        return None
    fewer, all_ = points[-2:]
    return (all_.estimate - fewer.estimate) / math.log2(all_.num_videos / fewer.num_videos)


def draw_videos_curve(
    points: list[VideosPoint], arm: str, chance: float, metric: str, unit: str = "video"
) -> Figure:
    """Draw the score against the number of training videos (or windows), one tick a point."""
    figure, (ax,) = blank(WIDTH, 2.7)
    numbers = [point.num_videos for point in points]
    ax.plot(numbers, [100 * point.estimate for point in points], "o-", color=ACCENT, linewidth=1.6)
    for point in points:
        if point.low is not None and point.high is not None:
            ends = [100 * point.low, 100 * point.high]
            ax.plot([point.num_videos] * 2, ends, "-", color=ACCENT, linewidth=2.2, alpha=0.6)
    ax.axhline(100 * chance, color=INK, linestyle=(0, (3, 3)), linewidth=0.8, alpha=0.5)
    ax.set_xscale("log", base=2)
    ax.set_xticks(numbers, [f"{number:,.0f}" for number in numbers])
    ax.minorticks_off()
    ax.set_ylim(0, 102)
    ax.grid(color=FLOOR_COLOUR, alpha=0.2, linewidth=0.6)
    ax.set_xlabel(f"training {unit}s")
    ax.set_ylabel(f"{arm.replace('_', ' ')}:\ntest {metric}, per cent")
    return figure
