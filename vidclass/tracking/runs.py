"""What MLflow should show of a study: a pure function of its state, one ``RunPicture`` a run.

Keys of runs: ``study``, a trial's name (``t0007``), ``floor-FOLD-NAME``. A picture only ever grows:
parameters are write-once in MLflow, so those that a retry may change wait for the trial's end.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vidclass.sweep.ledger import Event
from vidclass.sweep.state import Final, State, Trial, apply

__all__ = [
    "STUDY",
    "Cost",
    "Fold",
    "Point",
    "RunPicture",
    "floor_key",
    "floor_of",
    "picture",
    "study_tags",
]

STUDY = "study"
"""Key of a study's parent run."""

# policy.decide proposes no further attempt after one of these.
NEVER_RETRIED = frozenset({"completed", "stopped", "diverged", "collapsed"})
RUN_STATUS = {
    "completed": "FINISHED",
    "stopped": "FINISHED",
    "diverged": "FAILED",
    "collapsed": "FAILED",
    "failed": "FAILED",
    "out_of_memory": "FAILED",
    "lost": "KILLED",
}
_STUDY_STATUS = {
    "study_started": "RUNNING",
    "study_resumed": "RUNNING",
    "interrupted": "KILLED",
    "study_ended": "FINISHED",
}
_TRIAL_EVENTS = frozenset(
    {"trial_proposed", "trial_started", "trial_ended", "epoch", "final_scored", "winner"}
)
_LONGEST_VALUE = 500


class Cost(NamedTuple):
    """What a model costs, whatever it has learned."""

    parameters: int
    gmacs: float


class Point(NamedTuple):
    """One value of a metric; ``ms`` is the ledger's time in milliseconds."""

    name: str
    value: float
    ms: int
    step: int


@dataclass(frozen=True)
class RunPicture:
    """All that MLflow should hold of one run; ``points`` only those that were asked for."""

    key: str
    parent: str | None
    name: str
    start_ms: int
    tags: dict[str, str]
    params: dict[str, str]
    points: list[Point]
    status: str
    end_ms: int | None


@dataclass
class Fold:
    """The state of a study, and which runs the events since the last push have touched.

    ``name`` is that of the study's folder; ``touched`` maps the key of a run to its new epochs.
    """

    name: str
    state: State = field(default_factory=State)
    status: str = "RUNNING"
    status_ms: int = 0
    touched: dict[str, set[int]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Fold one event in."""
        apply(self.state, event)
        name = event["event"]
        # interrupted after its end, a study is finished all the same: only its report is missing
        if name in _STUDY_STATUS and not (name == "interrupted" and self.state.ended_at):
            self.status, self.status_ms = _STUDY_STATUS[name], _ms(event["time"])
        if name == "floor_scored":
            self._touch(floor_key(event["fold"], event["floor"]))
        elif name in _TRIAL_EVENTS:
            if event["trial"] is not None:
                self._touch(event["trial"])
        else:
            self._touch(STUDY)
        if name == "epoch":
            known = self.state.trials[event["trial"]].epochs[event["epoch"]]
            if known.time == event["time"]:  # else a repetition: the first report stands
                self.touched[event["trial"]].add(event["epoch"])

    def _touch(self, key: str) -> None:
        self.touched.setdefault(key, set())


def floor_key(fold: int, floor: str) -> str:
    """Return the key of a floor's run."""
    return f"floor-{fold}-{floor}"


def picture(fold: Fold, key: str, epochs: set[int], cost: Cost | None = None) -> RunPicture:
    """Return what MLflow should hold of the run ``key``.

    Args:
        fold: the study.
        key: of the run.
        epochs: whose metrics to include.
        cost: of a trial's model, where it is known.
    """
    if key == STUDY:
        return _study(fold)
    if key.startswith("floor-"):
        return _floor(fold, key)
    return _trial(fold, fold.state.trials[key], epochs, cost)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """Return ``values`` as MLflow's texts, those that are None or not finite left out."""
    return {
        name: str(value)[:_LONGEST_VALUE]
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }


def _points(prefix: str, metrics: dict[str, Any], ms: int, step: int) -> list[Point]:
    return [
        Point(f"{prefix}{name}", float(value), ms, step)
        for name, value in metrics.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]


def _common_tags(fold: Fold, key: str) -> dict[str, str]:
    """Return the tags by which a run is found again."""
    return {**study_tags(fold), "vidclass.run": key}


def study_tags(fold: Fold) -> dict[str, str]:
    """Return the tags that all runs of a study have, and no run of another study has.

    A study that was removed and begun again has the same spec, but another start.
    """
    return {
        "vidclass.study": fold.name,
        "vidclass.spec_hash": fold.state.started["spec_hash"],
        "vidclass.started_ms": str(_ms(fold.state.started["time"])),
    }


def _trial(fold: Fold, trial: Trial, epochs: set[int], cost: Cost | None) -> RunPicture:
    state = fold.state
    final = state.finals.get(trial.trial)
    what = trial.variant if trial.variant != "kept" else trial.kind
    points: list[Point] = []
    for number in sorted(epochs):
        reported = trial.epochs[number]
        points += _points("", reported.metrics, _ms(reported.time), number)
    settled = trial.status in NEVER_RETRIED
    if settled and trial.best_value is not None and trial.best_epoch is not None:
        best = trial.epochs[trial.best_epoch]
        name = f"best_valid_{state.spec['primary']['metric']}"
        points += _points("", {name: trial.best_value}, _ms(best.time), trial.best_epoch)
    if final is not None:
        points += _final_points(final, max(trial.epochs, default=0))
    won = [w for w in state.winners.values() if w["trial"] == trial.trial]
    tags = {
        **_common_tags(fold, trial.trial),
        "vidclass.trial": trial.trial,
        "vidclass.kind": trial.kind,
        "vidclass.arm": trial.arm,
        "vidclass.attempts": str(len(trial.attempts)),
        # Always there, so that a retry takes back what its last attempt had left.
        "vidclass.status": trial.status or "running",
        "vidclass.reason": (trial.reason if trial.status else "")[:_LONGEST_VALUE] or "-",
        **({"vidclass.winner": "true"} if won else {}),
    }
    return RunPicture(
        key=trial.trial,
        parent=trial.parent or STUDY,
        name=f"{trial.arm} {trial.trial} {what} f{trial.fold}",
        start_ms=_ms(trial.proposed_at),
        tags=tags,
        params=_trial_params(trial, cost),
        points=points,
        status=RUN_STATUS[trial.status] if trial.status else "RUNNING",
        end_ms=_ms(trial.ended_at) if trial.status and trial.ended_at else None,
    )


def _trial_params(trial: Trial, cost: Cost | None) -> dict[str, str]:
    train = trial.config["train"]
    params: dict[str, Any] = {
        "arm": trial.arm,
        "kind": trial.kind,
        "fold": trial.fold,
        "seed": trial.seed,
        "number": trial.number,
        "variant": trial.variant,
        "model": trial.config["model"],
        "lr": train.get("lr"),
        **{f"search.{name}": value for name, value in trial.params.items()},
    }
    if cost is not None:
        params |= {"parameters": cost.parameters, "gmacs": f"{cost.gmacs:.6g}"}
    if trial.status in NEVER_RETRIED and trial.kind != "floors":
        last = trial.epochs[max(trial.epochs)].metrics if trial.epochs else {}
        params |= {
            "batch_size": train.get("batch_size"),
            "accumulate": train.get("accumulate"),
            "epochs_run": len(trial.epochs),
            "frames_seen": int(last.get("frames_seen") or 0),
        }
    return _texts(params)


def _final_points(final: Final, step: int) -> list[Point]:
    ms = _ms(final.time)
    points = _points("test_", final.metrics, ms, step)
    points += _points("test_clip_", final.clip_metrics, ms, step)
    for name, scores in final.perturbations.items():
        points += _points(f"test_{name}_", scores, ms, step)
    return points


def floor_of(state: State, key: str) -> Event:
    """Return the event of the floor whose run has ``key``."""
    return next(e for (f, n), e in state.floors.items() if floor_key(f, n) == key)


def _floor(fold: Fold, key: str) -> RunPicture:
    event = floor_of(fold.state, key)
    floor = event["floor"]
    # An older form of the event has the accuracy alone.
    metrics = event.get("metrics") or {"accuracy": event["accuracy"]}
    ms = _ms(event["time"])
    tags = {"vidclass.kind": "floor", "vidclass.arm": floor}
    return RunPicture(
        key=key,
        parent=STUDY,
        name=f"floor {floor} f{event['fold']}",
        start_ms=ms,
        tags={**_common_tags(fold, key), **tags},
        params=_texts({"arm": floor, "kind": "floor", "fold": event["fold"]}),
        points=_points("test_", metrics, ms, 0),
        status="FINISHED",
        end_ms=ms,
    )


def _study(fold: Fold) -> RunPicture:
    state, spec, data = fold.state, fold.state.spec, fold.state.data
    champion = state.champion["arm"] if state.champion else None
    params = {
        "profile": spec["profile"],
        "primary": spec["primary"]["metric"],
        "comparisons": spec["comparisons"],
        "arms": ", ".join(arm["name"] for arm in spec["arms"]),
        "version": state.started["version"],
        "source": spec["data"]["source"],
        **{name: data.get(name) for name in ("folds", "num_videos", "num_groups", "store_key")},
        "classes": ", ".join(data["classes"]) if data else None,
    }
    tags = {
        **_common_tags(fold, STUDY),
        "mlflow.note.content": spec.get("title") or f"The study {fold.name}.",
        **({"vidclass.champion": champion} if champion else {}),
        **({"vidclass.end_reason": state.end_reason} if state.end_reason else {}),
    }
    return RunPicture(
        key=STUDY,
        parent=None,
        name=fold.name,
        start_ms=_ms(state.started["time"]),
        tags=tags,
        params=_texts(params),
        points=_verdict_points(state),
        status=fold.status,
        end_ms=None if fold.status == "RUNNING" else fold.status_ms,
    )


def _verdict_points(state: State) -> list[Point]:
    """Return the figures of the whole study: means over seeds and folds, once it has ended."""
    if state.ended_at is None:
        return []
    scores: dict[str, list[float]] = defaultdict(list)
    metric = state.spec["primary"]["metric"]
    shuffled = {
        (f.arm, f.fold, f.seed): f for f in state.finals.values() if f.variant == "shuffled"
    }
    for final in state.finals.values():
        if final.variant != "kept":
            continue
        for point in _points("test_", final.metrics, 0, 0):
            scores[f"{point.name}/{final.arm}"].append(point.value)
        control = shuffled.get((final.arm, final.fold, final.seed))
        if control is not None:
            value = final.metrics[metric] - control.metrics[metric]
            scores[f"value_of_time/{final.arm}"].append(value)
    for (_, floor), event in state.floors.items():
        metrics = event.get("metrics") or {"accuracy": event["accuracy"]}
        scores[f"test_{metric}/floor {floor}"].append(metrics[metric])
    means: dict[str, Any] = {name: sum(values) / len(values) for name, values in scores.items()}
    means |= {"num_trials": len(state.trials), "seconds": state.seconds}
    if state.champion is not None:
        means["valid_mean_of_champion"] = state.champion.get("valid_mean")
    return _points("", means, _ms(state.ended_at), 0)
