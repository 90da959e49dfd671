"""What a study does next: pure functions of its state and its spec.

``decide`` answers with one decision. A decision that is only written down (a winner, the
declaration of comparisons, the champion) is recorded by the engine, which then asks again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vidclass.data.splits import DEPLOY_FOLD
from vidclass.models import model_entry
from vidclass.sweep.leak_controls import LEAK_CONTROL, possible_controls
from vidclass.sweep.spec import StudySpec
from vidclass.sweep.state import State, Trial

__all__ = [
    "DEPLOY_FOLD",
    "FEWER_VIDEOS",
    "SCORED_KINDS",
    "Decision",
    "Finished",
    "Propose",
    "Record",
    "Retry",
    "Wait",
    "decide",
    "decide_winner",
    "folds",
    "retries",
    "search_kind",
    "seed_of",
    "share_of",
    "share_variant",
    "should_stop",
    "worst_value",
]

FEWER_VIDEOS = "fewer_videos"
"""Kind of the trainings of the champion on a part of the training groups."""
SHARE_PREFIX = "videos_"
SCORED_KINDS = frozenset({"final", "control", FEWER_VIDEOS, LEAK_CONTROL})
"""Kinds of trial that see the test set, once, at their end."""


@dataclass(frozen=True)
class Propose:
    """Start a new trial; ``params`` None leaves the point to the sampler of arm and fold."""

    kind: str
    arm: str
    fold: int
    number: int
    seed: int
    params: dict[str, Any] | None
    parent: str | None = None
    variant: str = "kept"


@dataclass(frozen=True)
class Retry:
    """Start the next attempt of a trial whose last one failed, ran out of memory or was lost."""

    trial: str
    halve_batch: bool = False


@dataclass(frozen=True)
class Record:
    """Append an event that follows from the state alone."""

    event: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wait:
    """Nothing can be proposed before a running trial ends."""


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do; ``reason`` is `complete` or the limit that was reached."""

    reason: str


Decision = Propose | Retry | Record | Wait | Finished


def seed_of(*parts: object) -> int:
    """Return a 31-bit seed that depends on ``parts`` only, on every machine and version."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big") >> 1


def decide(state: State, spec: StudySpec, *, worked_seconds: float = 0.0) -> Decision:
    """Return what to do next.

    Args:
        state: the study so far.
        spec: its file.
        worked_seconds: wall seconds of all sessions, for the limit in hours.
    """
    limit = _limit_reached(state, spec, worked_seconds)
    if limit:
        return Wait() if _alive(state) else Finished(limit)
    for decisions in (retries, _floors, _searches, _winners, _finals, _champion_and_after):
        for decision in decisions(state, spec):
            return decision
    return Wait() if _alive(state) else Finished("complete")


def folds(state: State) -> range:
    """Return the outer folds of the study; one split is fold 0."""
    return range(state.data["folds"])


def _alive(state: State) -> bool:
    return any(not trial.ended for trial in state.trials.values())


def _limit_reached(state: State, spec: StudySpec, worked_seconds: float) -> str:
    if spec.budget.hours is not None and worked_seconds > spec.budget.hours * 3600:
        return f"the limit of {spec.budget.hours:g} hours was reached"
    failed = sum(
        attempt.status in ("failed", "out_of_memory")
        for trial in state.trials.values()
        for attempt in trial.attempts
    )
    if failed > spec.budget.failures:
        return f"{failed} failures are more than budget.failures = {spec.budget.failures}"
    return ""


def retries(state: State, spec: StudySpec) -> Iterator[Decision]:
    """Yield the further attempts that are due: after a crash, a lost node, too little memory."""
    for trial in state.trials.values():
        if trial.status == "lost":
            yield Retry(trial.trial)
        elif trial.status in ("failed", "out_of_memory"):
            statuses = [attempt.status for attempt in trial.attempts]
            if trial.status == "out_of_memory":
                if statuses.count("out_of_memory") <= 1:
                    yield Retry(trial.trial, halve_batch=True)
            elif statuses.count("failed") <= spec.budget.retries:
                yield Retry(trial.trial)


def _floors(state: State, spec: StudySpec) -> Iterator[Decision]:
    for fold in folds(state):
        if not state.select(kind="floors", fold=fold):
            yield Propose(
                "floors", "floors", fold, 1, seed_of(spec.search.seed, "floors", fold), {}
            )


def search_kind(fold: int) -> str:
    """Return the kind of search trials in ``fold``."""
    return "deploy_search" if fold == DEPLOY_FOLD else "search"


def _search(state: State, spec: StudySpec, fold: int, arms: list[str]) -> Iterator[Propose]:
    kind = search_kind(fold)
    counts: dict[str, int] = defaultdict(int)
    for trial in state.trials.values():
        if trial.kind == kind and trial.fold == fold:
            counts[trial.arm] += 1
    for number in range(1, spec.resolved.trials + 1):
        for arm in arms:
            if counts[arm] < number:
                seed = seed_of(spec.search.seed, arm, fold, kind, number)
                yield Propose(kind, arm, fold, number, seed, None)


def _searches(state: State, spec: StudySpec) -> Iterator[Decision]:
    for fold in folds(state):
        yield from _search(state, spec, fold, [arm.name for arm in spec.arms])


def _ranked(trials: list[Trial]) -> list[Trial]:
    scored = [trial for trial in trials if trial.best_value is not None]
    return sorted(scored, key=lambda t: (-(t.best_value or 0.0), _log_loss(t), t.number))


def _log_loss(trial: Trial) -> float:
    epoch = trial.epochs.get(trial.best_epoch or 0)
    return epoch.metrics.get("valid_log_loss") or float("inf") if epoch else float("inf")


def _winners(state: State, spec: StudySpec) -> Iterator[Decision]:
    for fold in folds(state):
        for arm in spec.arms:
            if (arm.name, fold) not in state.winners:
                yield from _rerun_or_winner(state, spec, arm.name, fold)


def _rerun_or_winner(state: State, spec: StudySpec, arm: str, fold: int) -> Iterator[Decision]:
    searched = state.select(kind=search_kind(fold), arm=arm, fold=fold)
    if any(not trial.ended for trial in searched):
        return
    top = _ranked(searched)[: spec.resolved.rerun_top]
    reruns = state.select(kind="rerun", arm=arm, fold=fold)
    for place, trial in enumerate(top):
        for run in range(1, spec.resolved.rerun_seeds):
            number = place * (spec.resolved.rerun_seeds - 1) + run
            if not any(other.number == number for other in reruns):
                seed = seed_of(spec.search.seed, arm, fold, "rerun", number)
                yield Propose("rerun", arm, fold, number, seed, trial.params, trial.trial)
    if all(trial.ended for trial in reruns):
        yield Record("winner", decide_winner(arm, fold, top, reruns))


def decide_winner(arm: str, fold: int, top: list[Trial], reruns: list[Trial]) -> dict[str, Any]:
    """Return the fields of the winner event: best mean over runs, log-loss breaks ties.

    The maximum of many equal trials flatters itself (measurement.md 4), so the mean of a search
    run and its re-runs decides. An arm of which no trial was ever scored has winner None.
    """
    table: list[dict[str, Any]] = []
    for trial in top:
        runs = [trial, *(run for run in reruns if run.parent == trial.trial)]
        scored = [run for run in runs if run.best_value is not None]
        mean = sum(run.best_value or 0.0 for run in scored) / len(scored)
        log_loss = sum(_log_loss(run) for run in scored) / len(scored)
        table.append(
            {
                "trial": trial.trial,
                "mean": mean,
                "log_loss": log_loss,
                "runs": [run.trial for run in scored],
            }
        )
    table.sort(key=lambda row: (-row["mean"], row["log_loss"]))
    best = table[0] if table else {"trial": None, "mean": None}
    return {"arm": arm, "fold": fold, "trial": best["trial"], "mean": best["mean"], "runs": table}


def _finals(state: State, spec: StudySpec) -> Iterator[Decision]:
    for fold in folds(state):
        for arm in spec.arms:
            winner = state.winners.get((arm.name, fold))
            if winner is None or winner["trial"] is None:
                continue
            if state.declared is None:
                yield Record("comparisons_declared", _declaration(spec))
                return
            params = state.trials[winner["trial"]].params
            yield from _runs(
                state, spec, winner, "final", "kept", spec.resolved.final_seeds, params
            )
            if model_entry(arm.model).uses_order:
                yield from _runs(
                    state, spec, winner, "control", "shuffled", spec.resolved.time_seeds, params
                )


def _runs(
    state: State,
    spec: StudySpec,
    winner: dict[str, Any],
    kind: str,
    variant: str,
    count: int,
    params: dict[str, Any],
) -> Iterator[Propose]:
    arm, fold = winner["arm"], winner["fold"]
    there = {t.number for t in state.select(kind=kind, arm=arm, fold=fold, variant=variant)}
    for number in range(1, count + 1):
        if number not in there:
            # a control shares the seed of the final it is compared with
            seed = seed_of(spec.search.seed, arm, fold, "final", number)
            yield Propose(kind, arm, fold, number, seed, params, winner["trial"], variant)


def _declaration(spec: StudySpec) -> dict[str, Any]:
    content = {
        "primary": spec.primary.model_dump(mode="json"),
        "comparisons": spec.comparisons,
        "control": spec.control,
        "arms": [arm.name for arm in spec.arms],
    }
    digest = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()
    return {**content, "hash": digest}


def _champion_and_after(state: State, spec: StudySpec) -> Iterator[Decision]:
    wanted = len(spec.arms) * len(folds(state))
    if len(state.winners) < wanted:
        return
    if state.champion is None:
        yield from _champion(state, spec)
        return
    arm = state.champion["arm"]
    yield from _with_fewer_videos(state, spec, arm)
    for fold in folds(state):
        winner = state.winners[arm, fold]
        params = state.trials[winner["trial"]].params
        for control in possible_controls(state, spec):
            yield from _runs(state, spec, winner, LEAK_CONTROL, control, 1, params)
    if state.data["folds"] > 1:
        yield from _deploy_on_all(state, spec, arm)


def _with_fewer_videos(state: State, spec: StudySpec, arm: str) -> Iterator[Propose]:
    for fold in folds(state):
        winner = state.winners[arm, fold]
        params = state.trials[winner["trial"]].params
        for share in spec.finals.fewer_videos:
            yield from _runs(state, spec, winner, FEWER_VIDEOS, share_variant(share), 1, params)


def share_variant(share: float) -> str:
    """Return the variant of a training on ``share`` of the training groups, as ``videos_0.25``."""
    return f"{SHARE_PREFIX}{share:g}"


def share_of(variant: str) -> float:
    """Return the share of the training groups that ``variant`` is trained on; 1 is all."""
    return float(variant.removeprefix(SHARE_PREFIX)) if variant.startswith(SHARE_PREFIX) else 1.0


def _champion(state: State, spec: StudySpec) -> Iterator[Decision]:
    means: dict[str, list[float]] = defaultdict(list)
    for (arm, _), winner in state.winners.items():
        if winner["mean"] is not None:
            means[arm].append(winner["mean"])
    whole = {arm: m for arm, m in means.items() if len(m) == len(folds(state))}
    if whole:
        arm = max(whole, key=lambda name: sum(whole[name]) / len(whole[name]))
        mean = sum(whole[arm]) / len(whole[arm])
        yield Record("champion", {"arm": arm, "valid_mean": mean, "chosen_on": "validation"})


def _deploy_on_all(state: State, spec: StudySpec, arm: str) -> Iterator[Decision]:
    yield from _search(state, spec, DEPLOY_FOLD, [arm])
    if (arm, DEPLOY_FOLD) not in state.winners:
        yield from _rerun_or_winner(state, spec, arm, DEPLOY_FOLD)
        return
    winner = state.winners[arm, DEPLOY_FOLD]
    if winner["trial"] is not None:
        params = state.trials[winner["trial"]].params
        yield from _runs(state, spec, winner, "deploy", "kept", 1, params)


def should_stop(state: State, spec: StudySpec, trial: Trial, epoch: int) -> bool:
    """Return whether successive halving stops ``trial`` after ``epoch``.

    ASHA's rule (Li et al. 2020, arXiv 1810.05934) inside one arm and fold: at the rungs
    min_epochs * reduction^k a trial goes on when it is among the best 1/reduction of all that
    reached the rung so far. Only search trials are stopped; the figure compared is the best up to
    the rung.
    """
    halving = spec.search.halving
    if halving is None or trial.kind != search_kind(trial.fold) or epoch >= trial.epochs_planned:
        return False
    rung = halving.min_epochs
    while rung < epoch:
        rung *= halving.reduction
    if rung != epoch:
        return False
    rivals = state.select(kind=trial.kind, arm=trial.arm, fold=trial.fold)
    values = [_best_until(rival, epoch, spec) for rival in rivals if epoch in rival.epochs]
    values.sort(reverse=True)
    kept = max(1, len(values) // halving.reduction)
    return _best_until(trial, epoch, spec) < values[kept - 1]


def _best_until(trial: Trial, epoch: int, spec: StudySpec) -> float:
    name = f"valid_{spec.primary.metric}"
    values = [
        value
        for number, reported in trial.epochs.items()
        if number <= epoch and (value := reported.metrics.get(name)) is not None
    ]
    return max(values, default=worst_value())


def worst_value() -> float:
    """Return what a diverged or collapsed trial is worth: accuracy and F1 end at 0."""
    return 0.0
