"""The n-th point of an arm's search, as a function of the state: quasi-random or Optuna's TPE."""

import warnings
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from vidclass.sweep.policy import search_kind, seed_of, worst_value
from vidclass.sweep.spec import ArmSpec, RangeSpec, StudySpec
from vidclass.sweep.state import State, Trial

__all__ = ["distributions", "finished_study", "known_point", "next_point", "sampler_name"]

QUASI_RANDOM_UP_TO = 10
"""TPE's first 10 points are random anyway, so up to here nothing should be called a TPE search."""


def sampler_name(spec: StudySpec) -> str:
    """Return the sampler that `auto` stands for under the study's number of trials."""
    if spec.search.sampler != "auto":
        return spec.search.sampler
    return "quasi_random" if spec.resolved.trials <= QUASI_RANDOM_UP_TO else "tpe"


def next_point(
    state: State, spec: StudySpec, arm: ArmSpec, fold: int, number: int
) -> dict[str, Any]:
    """Return the searched values of trial ``number`` (from 1) of ``arm`` in ``fold``.

    The first point is the arm's known-good `start` where it has one. A study that is resumed gets
    the same points again, and never its first ones twice, since the seed is made from (arm, fold,
    number).
    """
    space = distributions(arm)
    if not space:
        return {}
    if number == 1 and arm.start:
        return known_point(arm)
    name = sampler_name(spec)
    if name == "quasi_random":
        from scipy.stats import qmc  # takes a second, which `status` and `logs` need not wait for

        engine = qmc.Halton(
            d=len(space), scramble=True, rng=seed_of(spec.search.seed, arm.name, fold, "halton")
        )
        engine.fast_forward(number - 1)
        return _unit_to_params(space, engine.random(1)[0].tolist())
    study = finished_study(state, spec, arm, fold)
    seed = seed_of(spec.search.seed, arm.name, fold, "sampler", number)
    study.sampler = (
        optuna.samplers.RandomSampler(seed=seed)
        if name == "random"
        else optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    )
    return dict(study.ask(space).params)


def known_point(arm: ArmSpec) -> dict[str, Any]:
    """Return the arm's known-good `start`, and the middle of the ranges that it does not name."""
    space = distributions(arm)
    return {**_unit_to_params(space, [0.5] * len(space)), **arm.start}


def finished_study(state: State, spec: StudySpec, arm: ArmSpec, fold: int) -> optuna.Study:
    """Return the Optuna study of ``arm`` in ``fold`` as the ledger tells it.

    Stopped trials are PRUNED with their intermediate values. Diverged, collapsed and failed ones
    are complete with the worst value: as FAIL the sampler would ignore and propose them again.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    space = distributions(arm)
    for trial in state.select(kind=search_kind(fold), arm=arm.name, fold=fold):
        study.add_trial(_told(trial, space, f"valid_{spec.primary.metric}"))
    return study


def _told(
    trial: Trial, space: dict[str, BaseDistribution], metric: str
) -> optuna.trial.FrozenTrial:
    reported = {
        number: value
        for number, epoch in trial.epochs.items()
        if (value := epoch.metrics.get(metric)) is not None
    }
    if trial.status == "stopped" and reported:
        told, value = TrialState.PRUNED, None
    elif trial.status == "completed" and trial.best_value is not None:
        told, value = TrialState.COMPLETE, trial.best_value
    elif trial.ended:
        told, value = TrialState.COMPLETE, worst_value()
    else:
        told, value = TrialState.RUNNING, None
    return create_trial(
        state=told,
        value=value,
        params={key: trial.params[key] for key in space},
        distributions=space,
        intermediate_values=reported,
        user_attrs={"trial": trial.trial},
    )


def distributions(arm: ArmSpec) -> dict[str, BaseDistribution]:
    """Return the searched dimensions of ``arm`` in Optuna's terms."""
    return {name: _distribution(range_) for name, range_ in arm.search.items()}


def _distribution(range_: RangeSpec | list[Any]) -> BaseDistribution:
    if isinstance(range_, list):
        with warnings.catch_warnings():
            # Optuna warns that a database could not hold a list (masks); ours is in memory.
            warnings.simplefilter("ignore", UserWarning)
            return CategoricalDistribution(range_)
    if range_.type == "int":
        return IntDistribution(int(range_.low), int(range_.high), log=range_.log)
    return FloatDistribution(range_.low, range_.high, log=range_.log)


def _unit_to_params(space: dict[str, BaseDistribution], unit: list[float]) -> dict[str, Any]:
    return {name: _scaled(space[name], u) for name, u in zip(space, unit, strict=True)}


def _scaled(distribution: BaseDistribution, unit: float) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[
            min(int(unit * len(distribution.choices)), len(distribution.choices) - 1)
        ]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    whole = isinstance(distribution, IntDistribution)
    if whole:
        high += 1
    value = low * (high / low) ** unit if distribution.log else low + unit * (high - low)
    return min(int(value), distribution.high) if whole else float(value)
