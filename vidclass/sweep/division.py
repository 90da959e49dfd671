"""What a study takes of a data set, and how it divides it: from the fields of `data` to splits."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from vidclass.data.groups import hold_out_by
from vidclass.data.leakage import check_leakage
from vidclass.data.manifest import Dataset
from vidclass.data.published_splits import divide_videos
from vidclass.data.sample_table import select_labelled
from vidclass.data.selection import select_videos
from vidclass.data.split_file import completed, read_split_file
from vidclass.data.splits import DEPLOY_FOLD, deployment_split
from vidclass.sweep.spec import DataSpec

__all__ = ["chosen_videos", "divide", "given_splits"]


def chosen_videos(dataset: Dataset, data: DataSpec) -> Dataset:
    """Return the part of ``dataset`` that the study takes, its groups being what is held out by.

    Raises:
        UserError: when there is no such column, class or share.
        UserErrors: with all classes that the data set does not have.
    """
    by, classes, share, seed = data.split.hold_out_by, data.classes, data.share, data.split.seed
    known = dataset.groups_known or by is not None
    held = replace(dataset, manifest=hold_out_by(dataset.manifest, by), groups_known=known)
    if classes is None and share is None:
        return held
    if data.labelling.several:
        return select_labelled(held, data.labelling, classes=classes, share=share, seed=seed)
    manifest = select_videos(held.manifest, classes=classes, share=share, seed=seed)
    return replace(held, manifest=manifest)


def given_splits(dataset: Dataset, data: DataSpec) -> pd.DataFrame | None:
    """Return the rows of the split file that the study names; None where it names none.

    A relative path is looked for in the data set's folder, then from here.

    Args:
        dataset: with all videos, also those that the study does not take.
        data: of the study.

    Raises:
        UserError: when there is no such file, or it is no table.
        UserErrors: with the mistakes of its rows.
    """
    if data.split.file is None:
        return None
    name = Path(data.split.file).expanduser()
    beside = dataset.root / name
    return read_split_file(beside if beside.is_file() else name, dataset.manifest)


def divide(
    videos: pd.DataFrame,
    data: DataSpec,
    given: pd.DataFrame | None = None,
    copies: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return the splits of all folds, the deployment fold included where there are outer folds.

    Args:
        videos: the manifest's usable rows; a video that shows several classes once for each.
        data: of the study.
        given: what `given_splits` returned.
        copies: pairs of videos that show the same footage, see
            :func:`vidclass.data.leakage.find_leaks`; None where nobody looked.

    Raises:
        UserErrors: when the videos can't be divided so, or something leaks.
    """
    split = data.split
    if given is not None:
        splits = completed(
            given,
            videos,
            valid_share=split.valid_share,
            seed=split.seed,
            balance=split.balance,
        )
    else:
        splits = divide_videos(
            videos,
            published=split.published,
            valid_share=split.valid_share,
            test_share=split.test_share,
            folds=split.folds,
            seed=split.seed,
            balance=split.balance,
        )
    splits = splits.drop_duplicates(["fold", "video_id"], ignore_index=True)
    check_leakage(splits, videos.drop_duplicates("video_id"), copies)
    folds = set(splits["fold"]) - {DEPLOY_FOLD}
    if len(folds) > 1 and DEPLOY_FOLD not in set(splits["fold"]):
        taken = videos[videos["video_id"].isin(splits["video_id"])]
        everything = deployment_split(taken, split.valid_share, split.seed, split.balance)
        everything = everything.drop_duplicates("video_id").assign(fold=DEPLOY_FOLD)
        splits = pd.concat([splits, everything], ignore_index=True)
    return splits
