"""``vidclass data split``: divide the videos of a data set by groups, and publish who is where."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from vidclass.data.commands.scanned import (
    ANNOTATOR,
    GROUP_PATTERN,
    HOLD_OUT_BY,
    SOURCE,
    SUBJECT,
    labels_by,
    rows_to_divide,
    tell_files,
    together,
)
from vidclass.home import home

if TYPE_CHECKING:
    import pandas as pd

    from vidclass.data.manifest import Dataset
    from vidclass.data.published_splits import Published
    from vidclass.data.splits import Folds

__all__ = ["EXAMPLE", "command"]

EXAMPLE = "vidclass data split FOLDER --hold-out-by animal --folds 5 --out splits.csv"
TEST_SHARE = 0.2
FORMS = "auto, none, leave_one_group_out or a whole number from 2 up"


def command(
    source: str = SOURCE,
    out: Path | None = typer.Option(
        None, help="Where the split file goes, .csv or .parquet; a study takes it as split.file."
    ),
    group_pattern: str | None = GROUP_PATTERN,
    hold_out_by: str | None = HOLD_OUT_BY,
    folds: str = typer.Option(
        "auto", help="Outer folds: a number, leave_one_group_out, none (one split), or auto."
    ),
    valid_share: float = typer.Option(0.2, help="Share of what is not test, for validation."),
    test_share: float | None = typer.Option(
        None, help="Share of all for test, where there are no folds; 0.2 where it is left out."
    ),
    balance: list[str] = typer.Option([], help="Further column that is balanced; may be repeated."),
    classes: str | None = typer.Option(
        None, help="Classes to take: names with commas between, or how many to draw."
    ),
    share: float | None = typer.Option(None, help="Share of the groups of each class to take."),
    train: Path | None = typer.Option(None, help="List of training videos, a name a line."),
    valid: Path | None = typer.Option(None, help="List of validation videos."),
    test: Path | None = typer.Option(None, help="List of test videos."),
    published: str | None = typer.Option(
        None, help="A split published with the data set: its number, or all (each a fold)."
    ),
    seed: int = typer.Option(0, help="The same seed gives the same splits."),
    annotator: str | None = ANNOTATOR,
    subject: str | None = SUBJECT,
) -> None:
    """Divide by groups, stratified by class: shares, k folds, one group out, or lists of names.

    Nothing is written when something leaks. Footage that two files share is looked for among those
    that vidclass data check has decoded.
    """
    from vidclass.data.groups import hold_out_by as held_out_by
    from vidclass.data.leakage import check_leakage
    from vidclass.data.near_duplicates import near_duplicates
    from vidclass.data.published_splits import divide_videos
    from vidclass.data.readers import read_dataset
    from vidclass.data.scan import known_scans
    from vidclass.data.split_file import split_by_lists, write_split_file

    chosen = _published(published)
    lists = {name: path for name, path in _named(train=train, valid=valid, test=test)}
    _check_options(lists, published, folds, test_share)
    dataset = read_dataset(source, home=home(), group_pattern=group_pattern)
    dataset = labels_by(dataset, annotator, subject)
    _check_published(chosen, dataset)
    manifest, scans = known_scans(dataset, home(), tell_files)
    dataset = replace(dataset, manifest=held_out_by(manifest, hold_out_by))
    dataset = _selected(dataset, _classes(classes), share, seed)
    manifest = dataset.manifest
    if lists:
        manifest = split_by_lists(manifest, lists)
    videos = rows_to_divide(manifest, dataset)
    splits = divide_videos(
        videos,
        published=chosen,
        valid_share=valid_share,
        test_share=TEST_SHARE if test_share is None else test_share,
        folds=_folds(folds),
        seed=seed,
        balance=balance,
    )
    signatures = scans.signatures(manifest)
    warnings = check_leakage(splits, manifest, near_duplicates(signatures))
    splits = _with_deployment(splits, videos, valid_share, seed, balance)
    for line in _lines(splits, videos, warnings, looked_at=set(signatures)):
        typer.echo(line)
    if out is not None:
        write_split_file(out, splits, manifest)
        typer.echo(f"written: {out}; a study takes it with --set data.split.file={out}")


def _selected(
    dataset: "Dataset", classes: tuple[str, ...] | int | None, share: float | None, seed: int
) -> "Dataset":
    """Return some classes of the data set, a share of its groups, as a study takes them."""
    from vidclass.data.sample_table import Labelling, select_labelled
    from vidclass.data.selection import select_videos

    if dataset.annotations is None or (classes is None and share is None):
        videos = select_videos(dataset.manifest, classes=classes, share=share, seed=seed)
        return replace(dataset, manifest=videos)
    labelling = Labelling("multilabel")
    return select_labelled(together(dataset), labelling, classes=classes, share=share, seed=seed)


def _with_deployment(
    splits: "pd.DataFrame",
    videos: "pd.DataFrame",
    valid_share: float,
    seed: int,
    balance: list[str],
) -> "pd.DataFrame":
    """Return ``splits`` with the fold of all data beside outer folds, as a study has it."""
    import pandas as pd

    from vidclass.data.splits import DEPLOY_FOLD, deployment_split

    if splits["fold"].nunique() == 1:
        return splits
    taken = videos[videos["video_id"].isin(splits["video_id"])]
    everything = deployment_split(taken, valid_share, seed, balance).assign(fold=DEPLOY_FOLD)
    return pd.concat([splits, everything], ignore_index=True)


def _lines(
    splits: "pd.DataFrame", videos: "pd.DataFrame", warnings: list[str], *, looked_at: set[str]
) -> Iterator[str]:
    """Yield what the division is: counts of every fold, columns that cross it, its hash."""
    from vidclass.data.groups import nesting
    from vidclass.data.leakage import crossings
    from vidclass.data.manifest import group_columns
    from vidclass.data.splits import DEPLOY_FOLD, SPLITS, split_hash

    once = videos.drop_duplicates("video_id")
    joined = splits.merge(once[["video_id", "group"]], on="video_id")
    cells = joined.groupby(["fold", "split"])["group"].agg(["size", "nunique"])
    told = cells["size"].astype(str) + " (" + cells["nunique"].astype(str) + ")"
    table = told.unstack().reindex(columns=list(SPLITS)).fillna("-")
    table.index = ["all data" if fold == DEPLOY_FOLD else f"fold {fold}" for fold in table.index]
    outer = splits[splits["fold"] != DEPLOY_FOLD]
    yield f"{splits['video_id'].nunique()} videos in {joined['group'].nunique()} groups"
    yield table.rename_axis(columns="videos (groups)").to_string()
    counts = outer.merge(videos[["video_id", "label"]], on="video_id")
    counts = counts.groupby(["label", "split"]).size().unstack(fill_value=0)
    means = counts.reindex(columns=list(SPLITS), fill_value=0) / outer["fold"].nunique()
    yield means.round(1).rename_axis(columns="mean of folds").to_string()
    columns = group_columns(once)
    yield from nesting(once, columns)
    for column, values, shared, example in crossings(outer, once, columns).itertuples(index=False):
        if shared:
            yield f"{column}: {shared} of {values} values in train and in test, such as {example}"
        else:
            yield f"{column}: no value in train and in test"
    yield from (f"warning: {warning}" for warning in warnings)
    both = "no group" if warnings else "no group and no content of a file"
    yield f"{both} is in two splits; hash {split_hash(outer)}"
    divided = set(splits["video_id"])
    if divided <= looked_at:
        yield "no footage is in two splits"
    else:
        yield (
            f"footage that files share was looked for in {len(divided & looked_at)} of "
            f"{len(divided)} videos: vidclass data check decodes the others"
        )


def _named(**paths: Path | None) -> Iterator[tuple[str, Path]]:
    yield from ((name, path) for name, path in paths.items() if path is not None)


def _check_options(
    lists: dict[str, Path], published: str | None, folds: str, test_share: float | None
) -> None:
    """Refuse options that the way of dividing would take no notice of."""
    from vidclass.errors import UserError

    way = " ".join(f"--{name}" for name in lists) or ("--published" if published else "")
    idle = [] if test_share is None else [f"--test-share {test_share:g}"]
    if lists:
        idle += [] if folds == "auto" else [f"--folds {folds}"]
        idle += [] if published is None else [f"--published {published}"]
    if way and idle:
        raise UserError(
            f"{way} alone says which videos are test",
            " and ".join(idle),
            f"leave out {way} or the others",
        )


def _classes(text: str | None) -> tuple[str, ...] | int | None:
    if text is None:
        return None
    return int(text) if text.isdigit() else tuple(name.strip() for name in text.split(","))


def _folds(text: str) -> "Folds":
    from vidclass.data.splits import LEAVE_ONE_OUT
    from vidclass.errors import UserError

    if text == "none":
        return None
    if text in ("auto", LEAVE_ONE_OUT):
        return text  # type: ignore[return-value]
    if not text.isdigit():
        raise UserError(f"--folds is {FORMS}", text, "--folds auto")
    return int(text)


def _published(text: str | None) -> "Published":
    from vidclass.errors import UserError

    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdigit():
        raise UserError("--published is the number of a split, or all", text, "--published 1")
    return int(text)


def _check_published(chosen: "Published", dataset: "Dataset") -> None:
    """Refuse to take a published split of a data set that has none."""
    from vidclass.data.manifest import published_columns
    from vidclass.errors import UserError

    if chosen is not None and not published_columns(dataset.manifest):
        raise UserError(
            "a published split is one that the data set has",
            f"--published {chosen}; {dataset.root} has none",
            "leave --published out",
        )
