"""The protocol box, the sweep table and the fold table."""

import time
from collections.abc import Hashable
from typing import Any

from vidclass.data.store_options import StoreOptions
from vidclass.report.behaviour import PERTURBATIONS, perturbed, swap_rates
from vidclass.report.ceilings import ceiling_rows
from vidclass.report.collect import StudyTables
from vidclass.report.prices import cost_line, read_prices
from vidclass.report.runs import ArmRuns, read_runs
from vidclass.report.table import (
    Cell,
    Column,
    Table,
    amount,
    count,
    missing,
    percent,
    plural,
    text,
    without_paths,
)
from vidclass.sweep.arm_stores import told_store
from vidclass.sweep.points import sampler_name
from vidclass.sweep.resolution import resolution_line
from vidclass.sweep.spec import StudySpec
from vidclass.training.scoring import Metric

__all__ = [
    "REFIT_TOLD",
    "features_note",
    "fold_table",
    "perturbation_table",
    "protocol_rows",
    "reproduce_command",
    "swap_table",
    "trial_table",
]

HASH_LENGTH = 12
MOST_LEFT_OUT = 50

REFIT_TOLD = {
    False: "no: trained on train, validation chooses the checkpoint, test scored once",
    True: "yes: what is scored was trained on train and validation together for all its epochs, "
    "and its last weights scored once; validation figures of finals are of videos they learned",
}
FITTED_NOTE = "Floors are fitted on train and validation together, since nothing in them is tuned."


def features_note(spec: StudySpec) -> str:
    """Say which frozen features the floors took."""
    floors = spec.floors
    if floors.backbone is None:
        which = (
            "an 8 x 8 colour grid and gradient orientation histograms of a 32 x 32 frame; no "
            "trained weights are used"
        )
    else:
        weights = {"none": "random", "imagenet": "the published ImageNet"}.get(floors.weights)
        which = (
            f"those of {floors.backbone}, {floors.pooling} pooled, with "
            f"{weights or without_paths(floors.weights)} weights: what the arms on that net see too"
        )
    return f"Frozen features are {which}. {FITTED_NOTE}"


def reproduce_command(tables: StudyTables) -> str:
    """Return the one command that runs the study again."""
    told = tables.state.started.get("command")
    return without_paths(str(told)) if told else f"python -m vidclass.sweep {tables.name}"


def _store(tables: StudyTables) -> str:
    """Return the store's key, and which reader decoded how many videos where that is known."""
    readers = tables.state.data.get("readers") or {}
    counts = ", ".join(f"{plural(count, 'video')} by {name}" for name, count in readers.items())
    key = str(tables.state.data["store_key"])[:HASH_LENGTH]
    return f"{key}; decoded: {counts}" if counts else key


def _further_stores(tables: StudyTables) -> list[tuple[str, str]]:
    """Return the stores beside that of `data.store`, each with how it differs."""
    common, told = tables.spec.data.store, []
    for key, kept in tables.state.data.get("stores", {}).items():
        if key != tables.state.data["store_key"]:
            differs = told_store(StoreOptions.model_validate(kept), common)
            told.append(f"{key[:HASH_LENGTH]}: {differs}")
    return [("Further stores", without_paths("; ".join(told)))] if told else []


def _left_out(tables: StudyTables) -> list[tuple[str, str]]:
    """Return the quarantined videos, each with its reason."""
    bad = tables.manifest[tables.manifest["status"] != "ok"].sort_values("video_id")
    told = [f"{row.video_id}: {row.reason}" for row in bad.head(MOST_LEFT_OUT).itertuples()]
    if len(bad) > MOST_LEFT_OUT:
        told.append(f"{len(bad) - MOST_LEFT_OUT:,} more in the study's manifest.parquet")
    return [("Videos left out", without_paths("; ".join(told)))] if told else []


def _warned(tables: StudyTables) -> list[tuple[str, str]]:
    """Return what the data set's reader warned of."""
    told = tables.state.data.get("warnings", ())
    return [("Warnings of the data", without_paths("; ".join(told)))] if told else []


def protocol_rows(tables: StudyTables, held_out: str) -> list[tuple[str, str]]:
    """Return the protocol as (question, answer).

    Args:
        tables: a study whose data are ready.
        held_out: how the test videos were chosen, as a sentence part.
    """
    state, spec = tables.state, tables.spec
    data, budget, started = spec.data, spec.resolved, state.started
    return [
        ("Data", without_paths(_source(tables))),
        ("Content hash", str(state.data["content_hash"])[:HASH_LENGTH]),
        ("Split", f"{held_out}; hash {str(state.data['split_hash'])[:HASH_LENGTH]}"),
        ("Store", _store(tables)),
        *_further_stores(tables),
        *_left_out(tables),
        *_warned(tables),
        *ceiling_rows(tables),
        ("Study file", f"hash {str(started.get('spec_hash', ''))[:HASH_LENGTH]}"),
        ("Unit of independence", f"{spec.primary.unit} ({state.data['num_groups']:,} of them)"),
        ("Primary figure", f"{spec.primary.metric} at {tables.unit} level"),
        ("Comparisons", f"{spec.comparisons.replace('_', ' ')}; {_registered(tables)}"),
        *_foreseen(tables),
        (
            "Window",
            f"{data.window.span_s:g} s, {plural(data.window.num_frames, 'frame')}; "
            f"{data.input_size} x {data.input_size} px, geometry {data.geometry}",
        ),
        *_labels_told(tables),
        ("Views", f"{plural(data.clips_per_video, 'clip')} a test {tables.unit}"),
        (
            "Budget",
            f"{plural(budget.trials, 'trial')} x at most {plural(spec.budget.epochs, 'epoch')} an "
            f"arm{' and fold' if tables.num_folds > 1 else ''}; sampler "
            f"{sampler_name(spec).replace('_', ' ')}; halving {_halving(tables)}",
        ),
        (
            "Winner of an arm",
            f"best mean of the top {budget.rerun_top} x {plural(budget.rerun_seeds, 'seed')} on "
            "validation, the search run counted",
        ),
        (
            "Seeds",
            f"{plural(budget.final_seeds, 'fresh seed')} a final, {budget.time_seeds} a control; "
            f"all derived from {spec.search.seed}",
        ),
        ("Refit", REFIT_TOLD[spec.finals.refit]),
        ("Ran with", _ran_with(tables)),
        *_machines(tables),
        ("Again", reproduce_command(tables)),
    ]


def _foreseen(tables: StudyTables) -> list[tuple[str, str]]:
    """Return what could be told of the test before any final."""
    found = tables.resolution
    return [] if found is None else [("Told by validation", resolution_line(found))]


def _labels_told(tables: StudyTables) -> list[tuple[str, str]]:
    """Return what the labels are, where a video is not simply of one class."""
    data, windows = tables.spec.data, tables.spec.data.windows
    told = [("Task", "any number of classes at a time")] if tables.several else []
    if windows is not None:
        frames = windows.length_frames
        length = f"{windows.length_s:g} s" if frames is None else plural(frames, "stored frame")
        step = (
            f"{windows.stride_s:g} s"
            if windows.stride_s
            else plural(windows.stride_frames or 1, "stored frame")
        )
        count = tables.state.data["num_samples"]
        how = f"{count:,} windows of {length} every {step}, labelled by their {windows.label_from}"
        told.append(("Samples", f"{how}; never one across two recordings or two splits"))
    for name, value in (("Annotator", data.annotator), ("Subject", data.subject)):
        told += [(name, value)] if value else []
    return told


def _source(tables: StudyTables) -> str:
    data = tables.spec.data
    if data.source == "moving_shapes":
        return f"moving_shapes, preset {data.preset}, seed {data.seed}; made by vidclass"
    if data.source.startswith("--data"):
        return f"own videos {data.source.removeprefix('--data')}".rstrip()
    return f"{data.source.rstrip('/').rpartition('/')[2]} (own videos)"


def _registered(tables: StudyTables) -> str:
    declared = tables.state.declared
    if declared is None:
        return "not declared yet"
    finals = [final.time for final in tables.state.finals.values()]
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(declared["time"]))
    told = f"declared {when}, hash {declared['hash'][:HASH_LENGTH]}"
    if not finals:
        return f"{told}, before any final"
    before = min(finals) >= declared["time"]
    return f"{told}, {'before' if before else 'AFTER'} the first final was scored"


def _halving(tables: StudyTables) -> str:
    halving = tables.spec.search.halving
    if halving is None:
        return "off"
    return f"from epoch {halving.min_epochs}, the best 1/{halving.reduction} goes on"


def _machines(tables: StudyTables) -> list[tuple[str, str]]:
    told = cost_line(tables.state, read_prices())
    return [("Machines", told)] if told else []


def _ran_with(tables: StudyTables) -> str:
    started = tables.state.started
    hardware = started.get("hardware") or {}
    parts = [
        f"{key.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in hardware.items()
        if isinstance(value, str | int | float) and value not in ("", 0)
    ]
    slots = plural(int(started.get("slots") or 1), "slot")
    worked = f"{tables.state.seconds / 60:.1f} minutes of wall time"
    told = [f"vidclass {started.get('version', '')}", f"profile {tables.spec.profile}", *parts]
    return without_paths(", ".join([*told, slots, worked]))


def trial_table(tables: StudyTables) -> Table:
    """Return the sweep table: one row a trial in the order of proposal."""
    metric = tables.spec.primary.metric.replace("_", " ")
    columns = (
        Column("trial", "Trial", numeric=False),
        Column("kind", "Kind", numeric=False),
        Column("arm", "Arm", numeric=False),
        Column("fold", "Fold"),
        Column("status", "Status", numeric=False),
        Column("params", "Searched values", numeric=False),
        Column("epochs_run", "Epochs"),
        Column("best_value", f"Best validation {metric}"),
        Column("best_epoch", "at epoch"),
        Column("seconds", "Seconds"),
    )
    rows = [_trial_row(row) for row in tables.trials.to_dict("records")]
    return Table(columns, rows, "Fold -1 is the deployment model, trained on all data.")


def _trial_row(row: dict[Hashable, Any]) -> list[Cell]:
    params = {
        str(key).removeprefix("param."): value
        for key, value in row.items()
        if str(key).startswith("param.") and not _absent(value)
    }
    told = ", ".join(f"{key} {_shown(value)}" for key, value in params.items())
    variant = "" if row["variant"] == "kept" else f" ({row['variant']})"
    epoch = row["best_epoch"]
    return [
        text(row["trial"]),
        text(f"{row['kind']}{variant}"),
        text(row["arm"]),
        count(int(row["fold"])),
        text(row["status"], without_paths(str(row["reason"] or ""))),
        text(told),
        count(int(row["epochs_run"])),
        percent(row["best_value"], "never scored"),
        missing("never scored") if _absent(epoch) else count(int(epoch)),
        amount(row["seconds"], "s"),
    ]


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def perturbation_table(tables: StudyTables) -> Table:
    """Return the test score of each arm on disturbed frames; training was not disturbed."""
    name = tables.spec.primary.metric
    columns = (
        Column("arm", "Arm", numeric=False),
        Column("kept", "As filmed"),
        *(Column(order, f"Frames {order}") for order in PERTURBATIONS),
    )
    rows = []
    for arm in tables.arms:
        kept = [
            final.metrics[name]
            for final in tables.state.finals.values()
            if final.arm == arm and final.variant == "kept"
        ]
        scores = perturbed(tables, arm)
        if not kept:
            continue
        facts = tables.models.get(arm)
        reason = "left out of this study"
        if facts is not None and not facts.uses_order:
            reason = "order cannot change its answer"
        disturbed = [
            percent(scores[order]) if order in scores else Cell("not run", None, reason)
            for order in PERTURBATIONS
        ]
        rows.append([text(arm), percent(sum(kept) / len(kept)), *disturbed])
    note = "Batch norm's statistics were measured again on the disturbed training clips."
    return Table(columns, rows, note)


def swap_table(tables: StudyTables) -> Table:
    """Return which classes trade places when the clips run backwards."""
    columns = (
        Column("arm", "Arm", numeric=False),
        Column("pair", "Pair of classes", numeric=False),
        Column("swapped_reversed", "Called by the other's name, reversed"),
        Column("swapped_kept", "As filmed"),
    )
    rows = [
        [text(arm), text(pair), percent(turned), percent(kept)]
        for arm in tables.arms
        for pair, turned, kept in swap_rates(tables, arm)
    ]
    return Table(columns, rows, "An arm that uses direction reads a reversed clip as its opposite.")


def fold_table(tables: StudyTables) -> Table:
    """Return videos, groups and each arm's out-of-fold score, fold by fold, mean over seeds."""
    finals = tables.finals[tables.finals["kind"] == "final"]
    runs = read_runs(finals) if len(finals) else {}
    metric = tables.spec.primary.metric
    columns = (
        Column("fold", "Fold"),
        Column("videos", "Test videos"),
        Column("groups", "Test groups"),
        *(Column(arm, arm) for arm in tables.arms),
    )
    tested = tables.splits[tables.splits["split"] == "test"].merge(
        tables.manifest[["video_id", "group"]], on="video_id"
    )
    rows = []
    for fold, videos in tested[tested["fold"] >= 0].groupby("fold"):
        scores = [
            percent(_of_fold(runs.get(arm), int(str(fold)), metric), "no final yet")
            for arm in tables.arms
        ]
        groups = count(int(videos["group"].nunique()))
        rows.append([count(int(str(fold))), count(len(videos)), groups, *scores])
    note = f"{metric.replace('_', ' ').capitalize()}. "
    note += "Every video is scored out of fold exactly once by each seed."
    return Table(columns, rows, note)


def _of_fold(runs: ArmRuns | None, fold: int, metric: Metric) -> float | None:
    """Return the score in one fold; None where the arm has none there."""
    if runs is None or not (runs.fold_N == fold).any():
        return None
    return runs.only(runs.fold_N == fold).score(metric)
