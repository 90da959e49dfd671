"""Figures of the second page: how trainings went, and what the searched values did."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure

from vidclass.report.collect import StudyTables
from vidclass.report.drawing import ACCENT, FLOOR_COLOUR, INK, arm_colours, blank, strip
from vidclass.sweep.points import finished_study

__all__ = [
    "Curve",
    "Slice",
    "draw_curves",
    "draw_importance",
    "draw_slices",
    "importances",
    "learning_curves",
    "slices",
]

WIDTH = 7.2
FEWEST_FOR_IMPORTANCE = 10
LONGEST_CHOICE = 24
MOST_VECTOR_LINES = 60


@dataclass(frozen=True)
class Curve:
    """The validation figure of one training, epoch by epoch; ``bold`` marks finals."""

    arm: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    bold: bool


@dataclass(frozen=True)
class Slice:
    """One searched value of an arm against the best validation figure of its trials.

    ``values`` of a choice are positions in ``choices``.
    """

    arm: str
    name: str
    log: bool
    choices: tuple[str, ...]
    values: tuple[float, ...]
    scores: tuple[float, ...]


def learning_curves(tables: StudyTables) -> list[Curve]:
    """Return the curves of all trainings of the comparison, finals last so that they lie on top."""
    metric = f"valid_{tables.spec.primary.metric}"
    epochs = tables.epochs
    if metric not in epochs:
        return []
    epochs = epochs[(epochs["fold"] >= 0) & epochs["kind"].isin(["search", "rerun", "final"])]
    curves = [
        Curve(
            arm=str(rows["arm"].iloc[0]),
            epochs=tuple(int(epoch) for epoch in rows["epoch"]),
            values=tuple(float(value) for value in rows[metric]),
            bold=bool(rows["kind"].iloc[0] == "final"),
        )
        for _, rows in epochs.groupby("trial", sort=False)
    ]
    return sorted(curves, key=lambda curve: curve.bold)


def draw_curves(curves: list[Curve], arms: list[str], chance: float, metric: str) -> Figure:
    """Draw the curves, one panel an arm: search faint, finals strong."""
    columns = min(len(arms), 3)
    rows = -(-len(arms) // columns)
    figure, axes = blank(WIDTH, 0.3 + 2.0 * rows, rows, columns)
    faint = [curve for curve in curves if not curve.bold]
    for ax, (arm, colour) in zip(axes, arm_colours(arms).items(), strict=False):
        for curve in curves:
            if curve.arm == arm:
                ax.plot(
                    curve.epochs,
                    100 * np.asarray(curve.values),
                    color=colour if curve.bold else FLOOR_COLOUR,
                    alpha=0.95 if curve.bold else 0.45,
                    linewidth=1.7 if curve.bold else 0.8,
                    marker="." if len(curve.epochs) == 1 else None,
                    rasterized=not curve.bold and len(faint) > MOST_VECTOR_LINES,
                )
        ax.axhline(100 * chance, color=INK, linestyle=(0, (3, 3)), linewidth=0.8, alpha=0.5)
        ax.set_title(arm.replace("_", " "), fontsize=9)
        ax.set_ylim(0, 102)
        ax.set_xlabel("epoch", fontsize=8)
        ax.grid(axis="y", color=FLOOR_COLOUR, alpha=0.2, linewidth=0.6)
    for ax in axes[len(arms) :]:
        ax.set_axis_off()
    for first in axes[::columns]:
        first.set_ylabel(f"validation {metric}, %", fontsize=8)
    return figure


def slices(tables: StudyTables) -> list[Slice]:
    """Return every searched value of every arm against the scores of its search trials."""
    found = []
    for arm in tables.spec.arms:
        scored = [
            trial
            for trial in tables.state.select(kind="search", arm=arm.name)
            if trial.best_value is not None
        ]
        for name, searched in arm.search.items() if scored else ():
            listed = searched if isinstance(searched, list) else []
            choices = tuple(_choice_name(number, c) for number, c in enumerate(listed, start=1))
            values = [trial.params[name] for trial in scored]
            found.append(
                Slice(
                    arm=arm.name,
                    name=name,
                    log=not isinstance(searched, list) and searched.log,
                    choices=choices,
                    values=tuple(listed.index(v) if choices else v for v in values),
                    scores=tuple(trial.best_value or 0.0 for trial in scored),
                )
            )
    return found


def _choice_name(number: int, choice: object) -> str:
    """Return a choice as an axis has room for it; of rectangles and the like only its number."""
    told = str(choice)
    return told if len(told) <= LONGEST_CHOICE else f"choice {number}"


def draw_slices(parts: list[Slice], metric: str) -> Figure:
    """Draw one small scatter an arm and searched value."""
    columns = min(len(parts), 4)
    rows = -(-len(parts) // columns)
    figure, axes = blank(WIDTH, 0.3 + 1.65 * rows, rows, columns)
    colours = arm_colours(list(dict.fromkeys(part.arm for part in parts)))
    for ax, part in zip(axes, parts, strict=False):
        scores = [100 * score for score in part.scores]
        ax.plot(part.values, scores, "o", color=colours[part.arm], alpha=0.7, markersize=4)
        if part.log:
            ax.set_xscale("log")
        if part.choices:
            ax.set_xticks(range(len(part.choices)), part.choices)
            ax.set_xlim(-0.5, len(part.choices) - 0.5)
        ax.set_title(f"{part.arm}: {part.name}".replace("_", " "), fontsize=8)
        ax.tick_params(labelsize=7)
        ax.tick_params(axis="x", which="minor", labelbottom=False)
    for ax in axes[len(parts) :]:
        ax.set_axis_off()
    for first in axes[::columns]:
        first.set_ylabel(f"validation {metric}, %", fontsize=7)
    return figure


def importances(tables: StudyTables) -> dict[str, dict[str, float]]:
    """Return, arm by arm, the share of the score's variance that each searched value explains.

    fANOVA (Hutter et al. 2014) as Optuna computes it. Arms with under ``FEWEST_FOR_IMPORTANCE``
    whole trials, fewer than two searched values or no variance are left out.
    """
    found: dict[str, dict[str, float]] = {}
    for arm in tables.spec.arms:
        study = finished_study(tables.state, tables.spec, arm, 0)
        done = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
        scores = {trial.value for trial in done}
        if len(done) >= FEWEST_FOR_IMPORTANCE and len(arm.search) > 1 and len(scores) > 1:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            found[arm.name] = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return found


def draw_importance(shares: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the importances as bars, one panel an arm."""
    most = max(len(values) for values in shares.values())
    figure, axes = blank(WIDTH, 0.7 + 0.28 * most, 1, len(shares))
    for ax, (arm, values) in zip(axes, shares.items(), strict=True):
        names = pd.Series(dict(values)).sort_values()
        ax.barh([n.replace("_", " ") for n in names.index], 100 * names.to_numpy(), color=ACCENT)
        ax.set_title(arm.replace("_", " "), fontsize=9)
        ax.set_xlim(0, 100)
        ax.set_xlabel("% of variance", fontsize=8)
        ax.tick_params(labelsize=7.5)
        strip(ax, "left")
    return figure
