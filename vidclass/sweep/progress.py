"""What a study's screen shows, as plain figures: pure functions of the state."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from vidclass.sweep.leak_controls import LEAK_CONTROL, possible_controls
from vidclass.sweep.policy import DEPLOY_FOLD, FEWER_VIDEOS
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial

__all__ = ["ArmRow", "Overview", "overview", "planned_trials", "seconds_left"]


@dataclass(frozen=True)
class ArmRow:
    """One arm on the screen; counts are trials of all kinds and folds."""

    arm: str
    planned: int
    running: int
    stopped: int
    ended: int
    failed: int
    best_valid: float | None


@dataclass(frozen=True)
class Overview:
    """The whole screen."""

    rows: list[ArmRow]
    stage: str
    done: int
    planned: int
    seconds: float
    seconds_left: float | None


def planned_trials(spec: StudySpec, num_folds: int, uses_order: dict[str, bool]) -> dict[str, int]:
    """Return the trainings of each arm: search, re-runs, finals, controls; deployment apart.

    The deployment model's search and the trainings on fewer videos belong to one arm that is not
    known beforehand; they are counted under ``deployment``, ``fewer_videos`` and ``leak_control``.
    """
    profile = spec.resolved
    reruns = min(profile.rerun_top, profile.trials) * (profile.rerun_seeds - 1)
    search = profile.trials + reruns
    counts = {}
    for arm in spec.arms:
        controls = profile.time_seeds if uses_order[arm.name] else 0
        counts[arm.name] = num_folds * (search + profile.final_seeds + controls)
    counts[FEWER_VIDEOS] = num_folds * len(spec.finals.fewer_videos)
    counts[LEAK_CONTROL] = num_folds * len(spec.finals.leak_controls)
    counts["deployment"] = search + 1 if num_folds > 1 else 0
    return counts


def overview(state: State, spec: StudySpec, slots: int, uses_order: dict[str, bool]) -> Overview:
    """Return the figures of the screen."""
    num_folds = state.data.get("folds", 1)
    planned = planned_trials(spec, num_folds, uses_order)
    planned[LEAK_CONTROL] = num_folds * len(possible_controls(state, spec))
    for name, count in _never_coming(state, spec, uses_order).items():
        planned[name] -= min(count, planned[name])
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in state.trials.values():
        if trial.kind != "floors":
            groups[_counted_under(trial)].append(trial)
    metric = f"valid_{spec.primary.metric}"
    rows = [_row(arm, count, groups[arm], metric) for arm, count in planned.items() if count]
    return Overview(
        rows=rows,
        stage=_stage(state),
        done=sum(row.ended for row in rows),
        planned=sum(row.planned for row in rows),
        seconds=state.seconds,
        seconds_left=seconds_left(state, spec, planned, slots),
    )


def _counted_under(trial: Trial) -> str:
    if trial.kind in (FEWER_VIDEOS, LEAK_CONTROL):
        return trial.kind
    return "deployment" if trial.fold == DEPLOY_FOLD else trial.arm


def _never_coming(state: State, spec: StudySpec, uses_order: dict[str, bool]) -> Counter[str]:
    """Return the planned trainings that will not be, as the winners decided so far tell.

    An arm of which no trial was ever scored has no winner to train again, one with few such trials
    has fewer to re-run, and without a champion nothing is trained that is the champion's.
    """
    profile, folds = spec.resolved, range(state.data.get("folds", 1))
    reruns = min(profile.rerun_top, profile.trials) * (profile.rerun_seeds - 1)
    counts: Counter[str] = Counter()
    for (arm, fold), winner in state.winners.items():
        under = "deployment" if fold == DEPLOY_FOLD else arm
        counts[under] += reruns - len(state.select(kind="rerun", arm=arm, fold=fold))
        if winner["trial"] is None:
            controls = profile.time_seeds if uses_order[arm] else 0
            counts[under] += 1 if fold == DEPLOY_FOLD else profile.final_seeds + controls
    decided = all((arm.name, fold) in state.winners for arm in spec.arms for fold in folds)
    if decided and not any(_has_winners(state, arm.name, folds) for arm in spec.arms):
        whole = planned_trials(spec, len(folds), uses_order)
        counts.update({name: whole[name] for name in (FEWER_VIDEOS, LEAK_CONTROL, "deployment")})
    return counts


def _has_winners(state: State, arm: str, folds: Iterable[int]) -> bool:
    """Say whether an arm has a winner in every fold, so that it may become the champion."""
    return all(state.winners[arm, fold]["mean"] is not None for fold in folds)


def _row(arm: str, planned: int, trials: list[Trial], metric: str) -> ArmRow:
    values = [e.metrics.get(metric) for t in trials for e in t.epochs.values()]
    known = [value for value in values if value is not None]
    return ArmRow(
        arm=arm,
        planned=planned,
        running=sum(not trial.ended for trial in trials),
        stopped=sum(trial.status == "stopped" for trial in trials),
        ended=sum(trial.ended for trial in trials),
        failed=sum(trial.status in ("failed", "diverged", "collapsed") for trial in trials),
        best_valid=max(known, default=None),
    )


def _stage(state: State) -> str:
    if not state.data:
        return "data"
    kinds = {trial.kind for trial in state.running}
    names = {
        "floors": "floors",
        "search": "search",
        "rerun": "re-runs",
        "final": "finals",
        "control": "value of time",
        FEWER_VIDEOS: "fewer videos",
        LEAK_CONTROL: "leak controls",
        "deploy_search": "deployment model",
        "deploy": "deployment model",
    }
    return ", ".join(dict.fromkeys(name for kind, name in names.items() if kind in kinds)) or "-"


def seconds_left(
    state: State, spec: StudySpec, planned: dict[str, int], slots: int
) -> float | None:
    """Return remaining epochs an arm x that arm's median epoch time / slots, seconds.

    None until every arm has reported an epoch. Stopped trials leave fewer epochs than planned, so
    this is an upper bound while the search goes on.
    """
    total = 0.0
    everyone: list[float] = []
    for arm, count in planned.items():
        trials = [t for t in state.trials.values() if _counted_under(t) == arm]
        times = [
            sum(
                e.metrics.get(key) or 0.0
                for key in ("seconds_data", "seconds_step", "seconds_eval")
            )
            for trial in trials
            for e in trial.epochs.values()
        ]
        left = max(0, count * spec.budget.epochs - _epochs_done(trials))
        if not times and arm not in ("deployment", FEWER_VIDEOS, LEAK_CONTROL) and left:
            return None
        everyone += times
        if left and (times or everyone):
            total += left * median(times or everyone)
    return total / slots


def _epochs_done(trials: list[Trial]) -> int:
    return sum(trial.epochs_planned if trial.ended else len(trial.epochs) for trial in trials)
