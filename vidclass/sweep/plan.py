"""What a study would do: trials, folds, time, bytes and what its test could resolve at best."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from vidclass.data.manifest import Dataset, chosen_from
from vidclass.data.published_splits import VALID_GROUPS
from vidclass.data.readers import is_made, read_dataset
from vidclass.data.sample_table import labelled
from vidclass.data.synthetic import PRESETS, planned_moving_shapes
from vidclass.data.video_frames import NUM_CHANNELS
from vidclass.models import model_entry
from vidclass.models.profile import Profile, profile
from vidclass.report.comparisons import resolvable_difference, smallest_attainable_p
from vidclass.report.prices import estimate_line, read_prices
from vidclass.sweep.arm_data import footage_lines
from vidclass.sweep.division import chosen_videos, divide, given_splits
from vidclass.sweep.leak_controls import LEAK_CONTROL
from vidclass.sweep.load import LoadedStudy, trial_config
from vidclass.sweep.points import sampler_name
from vidclass.sweep.policy import DEPLOY_FOLD, FEWER_VIDEOS
from vidclass.sweep.progress import planned_trials
from vidclass.sweep.resolution import resolution_line, resolution_of
from vidclass.sweep.screen import duration
from vidclass.sweep.spec import ArmSpec, RangeSpec, StudySpec
from vidclass.sweep.state import replay
from vidclass.sweep.stores import store_lines

__all__ = ["Plan", "plan_lines", "plan_of"]

COARSE_POINTS = 10.0
"""A study that may not resolve this many points is told so before it starts (measurement.md 3)."""
ASSUMED_GMACS_PER_S = 35.0
"""Training speed of one core (forward and backward, float32), for a first guess of the time."""
UNKNOWN_ARM = ("deployment", FEWER_VIDEOS, LEAK_CONTROL)
"""Trainings of an arm that is chosen later; the largest arm stands for it in a plan."""
BYTES_PER_STORED, BYTES_PER_TRAINED = 8, 8
"""Each trial keeps its last weights and its best, and two moments of what is trained: float32."""


@dataclass(frozen=True)
class Plan:
    """A study before it starts."""

    trials: dict[str, int]
    num_folds: int
    num_videos: int
    num_groups: int
    num_test_groups: int
    classes: list[str]
    sampler: str
    num_comparisons: int
    smallest_p: float
    resolvable_points: tuple[float, float]
    seconds_one_slot: float
    checkpoint_bytes: int

    @property
    def num_trials(self) -> int:
        """All trainings."""
        return sum(self.trials.values())


def plan_of(spec: StudySpec, dataset: Dataset, given: pd.DataFrame | None = None) -> Plan:
    """Return the plan of ``spec``.

    Args:
        spec: the study.
        dataset: what the study takes; its manifest need not be probed.
        given: rows of its split file, where it names one.

    Raises:
        UserErrors: when the videos can't be divided as the study asks.
    """
    found = labelled(dataset.manifest, dataset, spec.data.labelling)
    videos = found.videos
    splits = divide(found.rows_to_divide(), spec.data, given)
    outer = splits[splits["fold"] != DEPLOY_FOLD]
    tested = outer[outer["split"] == "test"].merge(videos, on="video_id", suffixes=("", "_own"))
    num_folds, num_groups = int(outer["fold"].nunique()), int(tested["group"].nunique())
    uses_order = {arm.name: model_entry(arm.model).uses_order for arm in spec.arms}
    trials = planned_trials(spec, num_folds, uses_order)
    costs = _profiles(spec)
    num_train = int((outer["split"] == "train").sum() / num_folds)
    return Plan(
        trials=trials,
        num_folds=num_folds,
        num_videos=len(videos),
        num_groups=int(videos["group"].nunique()),
        num_test_groups=num_groups,
        classes=found.classes,
        sampler=sampler_name(spec),
        num_comparisons=_num_comparisons(spec),
        smallest_p=smallest_attainable_p(num_groups),
        resolvable_points=(
            100 * resolvable_difference(num_groups, discordance=0.05),
            100 * resolvable_difference(num_groups, discordance=0.30),
        ),
        seconds_one_slot=_seconds(spec, trials, num_train, costs),
        checkpoint_bytes=sum(
            count * _checkpoint_bytes(costs[arm]) for arm, count in trials.items()
        ),
    )


def _checkpoint_bytes(costs: Profile) -> int:
    stored = costs.stored_parameters * BYTES_PER_STORED
    return stored + costs.trained_parameters * BYTES_PER_TRAINED


def _num_comparisons(spec: StudySpec) -> int:
    arms = len(spec.arms)
    return {"all_pairs": arms * (arms - 1) // 2, "vs_control": arms - 1, "vs_best_floor": arms}[
        spec.comparisons
    ]


def _profiles(spec: StudySpec) -> dict[str, Profile]:
    """Return what each arm costs amid its ranges and at its first choices; the unknown one most."""
    own = {arm.name: _profile(spec, arm) for arm in spec.arms}
    largest = max(own.values(), key=lambda costs: costs.parameters)
    return {**dict.fromkeys(UNKNOWN_ARM, largest), **own}


def _profile(spec: StudySpec, arm: ArmSpec) -> Profile:
    params = {name: _middle(range_) for name, range_ in arm.search.items()}
    config = trial_config(spec, arm, params)
    return profile(config["model"], 10, **config["options"])


def _middle(range_: RangeSpec | list[object]) -> object:
    if isinstance(range_, list):
        return range_[0]
    middle = (range_.low + range_.high) / 2
    if range_.log:
        middle = math.sqrt(range_.low * range_.high)
    return round(middle) if range_.type == "int" else middle


def _seconds(
    spec: StudySpec, trials: dict[str, int], num_train: int, costs: dict[str, Profile]
) -> float:
    """Return a first guess of the training time on one slot: 3 x forward for a step."""
    gmacs = sum(
        count * spec.budget.epochs * num_train * 3 * costs[arm].step_gmacs
        for arm, count in trials.items()
    )
    return gmacs / ASSUMED_GMACS_PER_S


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-6 else "below 1e-6"


def _folds_told(num_folds: int) -> str:
    if num_folds > 1:
        return f"{num_folds} outer folds, every video tested once"
    return "one split into train, validation and test"


def _split_told(spec: StudySpec, manifest: pd.DataFrame, num_folds: int) -> str:
    if spec.data.split.file is not None:
        return f"{_folds_told(num_folds)}, as {Path(spec.data.split.file).name} says"
    published = spec.data.split.published
    if published is not None and chosen_from(manifest):
        which = f"split {published}" if published != "all" else f"splits, {num_folds} folds"
        return f"the published {which}; validation on {VALID_GROUPS} train groups a class"
    by = f"; held out by {spec.data.split.hold_out_by}" if spec.data.split.hold_out_by else ""
    return _folds_told(num_folds) + by


def _worker_lines(spec: StudySpec) -> Iterator[str]:
    """Say how many processes train a trial, where there is more than one."""
    for workers in sorted({spec.workers_of(arm.name) for arm in spec.arms} - {1}):
        names = ", ".join(arm.name for arm in spec.arms if spec.workers_of(arm.name) == workers)
        at_once = "" if spec.slots is None else f": {spec.slots // workers} of {spec.slots} slots"
        yield (
            f"workers    {workers} a trial of {names}; at most slots // {workers} such trials at "
            f"once{at_once}; each batch is divided over them"
        )


def _frame_lines(loaded: LoadedStudy, manifest: pd.DataFrame) -> Iterator[str]:
    if not is_made(loaded.videos) or Path(manifest["path"].iloc[0]).exists():
        yield from store_lines(loaded.spec, manifest)
        return
    preset = PRESETS[loaded.spec.data.preset]
    frames_bytes = len(manifest) * preset.num_frames * preset.size**2 * NUM_CHANNELS
    yield (
        f"frames     {len(manifest):,} videos are made first; about {frames_bytes / 2**20:.0f} MiB "
        "as decoded"
    )


def plan_lines(loaded: LoadedStudy, home: Path) -> Iterator[str]:
    """Yield the lines of ``--dry-run``; nothing is made or started."""
    spec = loaded.spec
    data = spec.data
    if is_made(loaded.videos):
        dataset = planned_moving_shapes(home, preset=data.preset, seed=data.seed)
    else:
        dataset = read_dataset(loaded.videos, home=home, group_pattern=data.group_pattern)
    given = given_splits(dataset, data)
    dataset = chosen_videos(dataset, data)
    plan = plan_of(spec, dataset, given)
    yield f"study      {loaded.name} ({loaded.source}), profile {spec.profile}"
    yield (
        f"data       {loaded.videos}: {plan.num_videos} videos, {len(plan.classes)} classes, "
        f"{plan.num_groups} groups"
        + ("" if dataset.groups_known else " (unknown: each file is taken as its own group)")
    )
    for warning in dataset.warnings:
        yield f"warning    {warning}"
    yield f"split      {_split_told(spec, dataset.manifest, plan.num_folds)}"
    window = data.window
    yield f"window     {window.span_s:g} s, {window.num_frames} frames, {data.views} views"
    yield from _frame_lines(loaded, dataset.manifest)
    for line in footage_lines(spec):
        yield f"footage    {line}"
    yield from _training_lines(spec, plan)
    yield (
        f"time       about {duration(plan.seconds_one_slot)} of training on one core, by "
        "operations alone; after the first epochs the run itself says what is left"
    )
    if (prices := read_prices()) is not None:
        gmacs = plan.seconds_one_slot * ASSUMED_GMACS_PER_S
        yield f"cost       {estimate_line(gmacs, prices)}"
    free = shutil.disk_usage(home).free if home.exists() else shutil.disk_usage(Path.home()).free
    yield (
        f"disk       up to {plan.checkpoint_bytes / 2**30:.2f} GiB of checkpoints; "
        f"{free / 2**30:.0f} GiB are free"
    )
    low, high = plan.resolvable_points
    yield (
        f"test       {plan.num_test_groups} groups, {plan.num_comparisons} comparisons "
        f"({spec.comparisons}); smallest attainable p {_p(plan.smallest_p)}; resolves "
        f"{low:.1f} to {high:.1f} points"
    )
    begun = home / "studies" / loaded.name
    found = resolution_of(replay(begun / "ledger.jsonl"), spec, begun)
    if found is not None:
        yield f"validation {resolution_line(found)}"
        high = 100 * found.difference[1]
    if high > COARSE_POINTS:
        yield f"warning    less than {high:.0f} points may stay unresolved: more groups help"


def _training_lines(spec: StudySpec, plan: Plan) -> Iterator[str]:
    for arm in spec.arms:
        searched = ", ".join(arm.search) or "nothing"
        yield (
            f"arm        {arm.name}: {arm.model}, searched {searched}; "
            f"{plan.trials[arm.name]} trainings of up to {spec.budget.epochs} epochs"
        )
    yield from _worker_lines(spec)
    if plan.trials[FEWER_VIDEOS]:
        shares = ", ".join(f"{100 * share:g} %" for share in spec.finals.fewer_videos)
        count = plan.trials[FEWER_VIDEOS]
        yield f"fewer      {count} trainings of the champion on {shares} of its training groups"
    if plan.trials[LEAK_CONTROL]:
        controls = ", ".join(spec.finals.leak_controls).replace("_", " ")
        yield f"controls   {plan.trials[LEAK_CONTROL]} trainings of the champion on {controls}"
    if plan.trials["deployment"]:
        yield f"deployment {plan.trials['deployment']} trainings of the champion on all data"
    refit = ", trained on validation too" if spec.finals.refit else ""
    yield (
        f"search     {plan.sampler}, {spec.resolved.trials} trials an arm and fold; winner: top "
        f"{spec.resolved.rerun_top} x {spec.resolved.rerun_seeds} seeds; finals: "
        f"{spec.resolved.final_seeds} seeds{refit}; value of time: {spec.resolved.time_seeds} seeds"
    )
    yield f"all        {plan.num_trials} trainings"
