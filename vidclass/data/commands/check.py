"""``vidclass data check``: find what is wrong with a data set before a study does."""

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from vidclass.data.commands.scanned import (
    ANNOTATOR,
    GROUP_PATTERN,
    HOLD_OUT_BY,
    SOURCE,
    SUBJECT,
    Scanned,
    rows_to_divide,
    scanned,
)

if TYPE_CHECKING:
    import pandas as pd

    from vidclass.data.annotations import Task
    from vidclass.data.check import Checked
    from vidclass.data.manifest import Dataset

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data check FOLDER --group-pattern '(seq[0-9]+)'"
EXIT_FOUND = 1
SHARE = 0.2
"""Of validation and test, as a study has it by default."""
MOST_TOLD = 50


def command(
    source: str = SOURCE,
    group_pattern: str | None = GROUP_PATTERN,
    hold_out_by: str | None = HOLD_OUT_BY,
    splits: Path | None = typer.Option(
        None, help="A split file to hold the videos against; else they are divided by groups."
    ),
    seed: int = typer.Option(0, help="Seed of that division."),
    annotator: str | None = ANNOTATOR,
    subject: str | None = SUBJECT,
    task: str | None = typer.Option(
        None,
        help="multiclass: intervals of different labels that share time are to be mended; "
        "multilabel: they are not looked for. By default they are told.",
    ),
    out: Path | None = typer.Option(None, help="Write all findings as JSON."),
) -> None:
    """Decode every frame of every file, count frames against labels, look for copies and leaks.

    Ends with 1 when something has to be mended. A second call decodes only what is new.
    """
    from vidclass.data.check import describe_classes, examine
    from vidclass.data.frame_label_check import dataset_mismatches

    wanted = _task(task)
    seen = scanned(source, group_pattern, hold_out_by, annotator=annotator, subject=subject)
    mismatches = dataset_mismatches(seen.dataset, seen.manifest)
    intervals, shared = _intervals(seen, wanted)
    division, undivided = _division(seen, splits, seed)
    found = examine(
        seen.manifest,
        seen.copies,
        division,
        undivided=undivided,
        mismatches=mismatches,
        intervals=intervals,
        warnings=[*seen.dataset.warnings, *shared],
    )
    groups = "groups given" if seen.dataset.groups_known else "no groups given: each is its own"
    typer.echo(f"{len(found.manifest)} videos in {seen.dataset.root}; {groups}")
    classes = describe_classes(found.manifest)
    if len(classes):
        typer.echo(classes.to_string())
    for line in _lines(found, seen.scans.facts):
        typer.echo(line)
    if out is not None:
        _write(out, found)
    if not found.clean:
        raise typer.Exit(EXIT_FOUND)


def _division(seen: Scanned, file: Path | None, seed: int) -> tuple["pd.DataFrame | None", str]:
    """Return the splits to check, or None and why there are none."""
    from vidclass.data.published_splits import divide_videos
    from vidclass.data.split_file import completed, read_split_file
    from vidclass.errors import UserErrors

    if file is not None:
        given = read_split_file(file, seen.manifest)
        videos = rows_to_divide(seen.manifest, seen.dataset)
        return completed(given, videos, valid_share=SHARE, seed=seed), ""
    if not _any_label(seen.dataset):
        return None, ""
    try:
        videos = rows_to_divide(seen.manifest, seen.dataset)
        found = divide_videos(
            videos, published="all", valid_share=SHARE, test_share=SHARE, folds="auto", seed=seed
        )
    except UserErrors as errors:
        return None, "; ".join(f"{error.rule}: {error.received}" for error in errors.errors)
    return found, ""


def _task(word: str | None) -> "Task | None":
    from typing import get_args

    from vidclass.data.annotations import Task
    from vidclass.errors import UserError

    if word not in (None, *get_args(Task)):
        raise UserError("--task is a task", word, " or ".join(get_args(Task)))
    return word  # type: ignore[return-value]


def _intervals(seen: Scanned, task: "Task | None") -> tuple["pd.DataFrame", list[str]]:
    """Return the intervals to mend, and what is told of others."""
    from vidclass.data.interval_check import described_interval, interval_problems

    found = interval_problems(seen.dataset, seen.manifest, task or "multiclass")
    shares = found["problem"] == "overlapping"
    if task is not None or not shares.any():
        return found, []
    first = described_interval(found[shares].to_dict("records")[0])
    told = f"{shares.sum()} intervals share time with another label, which is for data.task: "
    told += f"multilabel (--task multiclass names all), first {first}"
    return found[~shares], [told]


def _any_label(dataset: "Dataset") -> bool:
    parts = dataset.annotations
    of_parts = parts is not None and parts["label"].notna().any()
    return bool(of_parts or dataset.manifest["label"].notna().any())


def _lines(found: "Checked", facts: "pd.DataFrame") -> Iterator[str]:
    """Yield what was found, a line each, what has to be mended marked as such."""
    from vidclass.data.check import describe_splits, families
    from vidclass.data.frame_label_check import described_mismatch
    from vidclass.data.interval_check import described_interval
    from vidclass.data.leakage import published_told

    decoded = facts[facts["status"] == "ok"]
    readers = ", ".join(f"{name} {n}" for name, n in decoded["reader"].value_counts().items())
    different = "" if len(facts) == len(found.manifest) else " different"
    told = f"{len(decoded)} of {len(facts)}{different} files, every frame"
    yield f"decoded    {told} ({readers or 'none'})"
    unreadable = found.unreadable[["video_id", "reason"]].itertuples(index=False)
    yield from _some("unreadable", [f"{video}: {reason}" for video, reason in unreadable])
    mismatches = found.mismatches.itertuples(index=False, name=None)
    yield from _some("mismatch", [described_mismatch(*row) for row in mismatches])
    wrong = found.intervals.to_dict("records")
    for problem in ("outside", "overlapping"):
        rows = [described_interval(row) for row in wrong if row["problem"] == problem]
        yield from _some(problem, rows)
    copies = found.contents.groupby("content_hash", sort=False)["video_id"].agg(" = ".join)
    yield from _some("same file", copies.tolist())
    named = found.conflicts["video_id"] + " (" + found.conflicts["label"] + ")"
    conflicts = named.groupby(found.conflicts["content_hash"], sort=False).agg(" = ".join)
    yield from _some("conflict", [f"one file, several labels: {told}" for told in conflicts])
    alike = [
        f"{len(ids)} videos, correlation from {least:.2f}: {', '.join(ids)}"
        for ids, least in families(found.copies)
    ]
    yield from _some("same look", alike)
    pairs = found.look_conflicts.to_dict("records")
    yield from _some("conflict", [_footage_conflict(pair) for pair in pairs])
    if found.splits is not None:
        yield f"divided    {describe_splits(found.splits)}"
    elif found.undivided:
        yield f"undivided  {found.undivided}"
    else:
        yield "undivided  no video is labelled"
    yield from _some("LEAK", [leak.told for leak in found.leaks])
    yield from _some("official", published_told(found.official))
    yield from _some("warning", list(found.warnings))
    yield "clean      nothing has to be mended" if found.clean else "mend       what is named above"


def _footage_conflict(pair: dict[Hashable, Any]) -> str:
    videos = f"{pair['video_a']} ({pair['label_a']}) = {pair['video_b']} ({pair['label_b']})"
    return f"the same footage, two labels: {videos}, correlation {pair['correlation']:.2f}"


def _some(what: str, lines: list[str]) -> Iterator[str]:
    for line in lines[:MOST_TOLD]:
        yield f"{what:<10} {line}"
    if len(lines) > MOST_TOLD:
        yield f"{what:<10} and {len(lines) - MOST_TOLD} more; --out FILE writes them all"


def _write(out: Path, found: "Checked") -> None:
    import json

    from vidclass.home import write_aside

    with write_aside(out) as aside:
        aside.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    typer.echo(f"written: {out}")
