"""Grouped, stratified, seeded splits.

The unit of independence is the group (an animal, a recording, a source film): a group is never in
two splits of one fold, and no split is ever made by frame. A *fold* is one division of all videos;
a *split* is a part of it, named ``train``, ``valid`` or ``test``. Pure functions of (manifest,
arguments, seed).
"""

import difflib
import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.allocation import divide_groups
from vidclass.data.manifest import group_columns, usable
from vidclass.errors import UserError, raise_collected

__all__ = [
    "DEPLOY_FOLD",
    "FEW_GROUPS",
    "LEAVE_ONE_OUT",
    "SPLITS",
    "Folds",
    "check_classes",
    "deployment_split",
    "make_splits",
    "split_hash",
    "valid_from_train",
]

SPLITS = ("train", "valid", "test")
FEW_GROUPS = 30  # below, one test split is too small to be significant (measurement.md 3)
AUTO_FOLDS = 5
LEAVE_ONE_OUT = "leave_one_group_out"
DEPLOY_FOLD = -1
"""The fold that holds all data and no test: only the deployment model is trained there."""
_OUTER, _INNER, _DEPLOYMENT = range(3)

Folds = int | Literal["auto", "leave_one_group_out"] | None


def make_splits(
    manifest: pd.DataFrame,
    *,
    valid_share: float,
    test_share: float,
    folds: Folds,
    seed: int,
    balance: Sequence[str] = (),
) -> pd.DataFrame:
    """Divide the usable videos of ``manifest``.

    A manifest whose every row has a split keeps it (one fold; where it fixes no validation videos,
    groups are taken from its training videos).

    Args:
        manifest: see :mod:`vidclass.data.manifest`; quarantined and unlabelled rows are left out.
        valid_share: share of the videos that are not test, for validation.
        test_share: share of all videos for test; only where there is one fold.
        folds: outer folds, in which every video is test exactly once; None for one split;
            ``auto`` for 5 folds under 30 groups, else one split; ``leave_one_group_out`` for one
            fold a group.
        seed: the same seed gives the same splits.
        balance: further columns that are balanced within classes.

    Returns:
        Rows of ``video_id``, ``fold`` (0..F-1) and ``split``, sorted by fold and id.

    Raises:
        UserErrors: for shares outside (0, 1), wrong fold counts, split names or split columns, and
            classes with fewer groups than the splits need.
    """
    videos = usable(manifest)
    _check_arguments(videos, valid_share, test_share, folds, balance)
    if videos["split"].notna().all():
        result = _given_splits(videos, valid_share, seed, balance)
        check_classes(result, videos)
        return result
    if folds == "auto":
        folds = AUTO_FOLDS if videos["group"].nunique() < FEW_GROUPS else None
    if folds is None:
        # Shares are of all videos for test, and of the rest for validation, as in a fold.
        rest = 1 - test_share
        shares = [rest * (1 - valid_share), rest * valid_share, test_share]
        _check_groups(videos, 3, "train, valid and test each need one")
        part = divide_groups(videos, shares, _generator(seed, _OUTER, 0), balance=balance)
        splits = [_fold(videos, np.array(SPLITS, dtype=object)[part], 0)]
    else:
        part = _test_fold(videos, folds, seed, balance)
        splits = []
        for fold in range(int(part.max()) + 1):
            names = np.full(len(videos), "test", dtype=object)
            rest_of = videos[part != fold]
            names[part != fold] = valid_from_train(rest_of, valid_share, seed, fold, balance)
            splits.append(_fold(videos, names, fold))
    result = pd.concat(splits, ignore_index=True)
    check_classes(result, videos)
    return result


def deployment_split(
    manifest: pd.DataFrame, valid_share: float, seed: int, balance: Sequence[str] = ()
) -> pd.DataFrame:
    """Divide all usable videos into train and valid, with no test: for the model that is shipped.

    Raises:
        UserErrors: when a class has fewer than 2 groups, or ``valid_share`` is not in (0, 1).
    """
    videos = usable(manifest)
    raise_collected(_share_errors(valid_share=valid_share))
    _check_groups(videos, 2, "train and valid each need one")
    shares = [1 - valid_share, valid_share]
    part = divide_groups(videos, shares, _generator(seed, _DEPLOYMENT, 0), balance=balance)
    return _fold(videos, np.array(["train", "valid"], dtype=object)[part], 0)


def valid_from_train(
    videos: pd.DataFrame, valid_share: float, seed: int, fold: int, balance: Sequence[str] = ()
) -> npt.NDArray[np.object_]:
    """Return ``train`` or ``valid`` for each of ``videos``, none of which is test in ``fold``."""
    shares = [1 - valid_share, valid_share]
    part = divide_groups(videos, shares, _generator(seed, _INNER, fold), balance=balance)
    names: npt.NDArray[np.object_] = np.array(["train", "valid"], dtype=object)[part]
    return names


def check_classes(splits: pd.DataFrame, videos: pd.DataFrame) -> None:
    """Check that each class can be learned and tuned: it is in train and valid of every fold.

    Raises:
        UserErrors: naming each class that is missing, with split and fold.
    """
    labelled = splits.merge(videos[["video_id", "label"]], on="video_id")
    classes = set(labelled["label"])
    present = labelled.groupby(["fold", "split"])["label"].agg(set)
    errors = []
    for fold in sorted(labelled["fold"].unique()):
        for name in ("train", "valid"):
            for label in sorted(classes - present.get((fold, name), set())):
                errors.append(
                    UserError(
                        "each class is in train and in valid of every fold",
                        f"class {label} is not in {name} of fold {fold}",
                        "more groups of that class, fewer folds, or another seed",
                    )
                )
    raise_collected(errors)


def split_hash(splits: pd.DataFrame) -> str:
    """Return a hash of who is where; independent of the order of rows."""
    lines = sorted(f"{row.fold}\0{row.video_id}\0{row.split}" for row in splits.itertuples())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:20]


def _test_fold(
    videos: pd.DataFrame,
    folds: int | Literal["leave_one_group_out"],
    seed: int,
    balance: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Return the fold in which each video is test."""
    if folds == LEAVE_ONE_OUT:
        _check_groups(videos, 3, "one is held out, and train and valid each need one")
        codes: npt.NDArray[np.int64] = pd.factorize(videos["group"].astype(str), sort=True)[0]
        return codes
    num_folds = int(folds)
    # Outside the test fold, train and valid need a group each: of two folds, each needs two.
    least = 2 if num_folds == 2 else 1
    _check_groups(
        videos, num_folds * least, f"{num_folds} folds need {least} each, for train and valid"
    )
    shares = [1 / num_folds] * num_folds
    generator = _generator(seed, _OUTER, 0)
    return divide_groups(videos, shares, generator, least=least, balance=balance)


def _fold(videos: pd.DataFrame, names: npt.NDArray[np.object_], fold: int) -> pd.DataFrame:
    # A video with several labels has a row for each; all are of one group, so in one split.
    table = pd.DataFrame({"video_id": videos["video_id"].to_numpy(), "fold": fold, "split": names})
    return table.drop_duplicates("video_id").sort_values("video_id", ignore_index=True)


def _generator(seed: int, *purpose: int) -> np.random.Generator:
    key = np.random.SeedSequence(seed, spawn_key=purpose)
    return np.random.Generator(np.random.Philox(key))


def _given_splits(
    videos: pd.DataFrame, valid_share: float, seed: int, balance: Sequence[str]
) -> pd.DataFrame:
    names = videos["split"].to_numpy(dtype=object).copy()
    if "valid" not in names:
        is_train = names == "train"
        _check_groups(videos[is_train], 2, "valid is taken from train, and each needs one")
        names[is_train] = valid_from_train(videos[is_train], valid_share, seed, 0, balance)
    return _fold(videos, names, 0)


def _share_errors(**shares: float) -> list[UserError]:
    return [
        UserError(f"{name} lies between 0 and 1, both excluded", share, f"{name}: 0.2")
        for name, share in shares.items()
        if not 0 < share < 1
    ]


def _check_arguments(
    videos: pd.DataFrame,
    valid_share: float,
    test_share: float,
    folds: Folds,
    balance: Sequence[str],
) -> None:
    errors = _share_errors(valid_share=valid_share, test_share=test_share)
    if folds not in ("auto", LEAVE_ONE_OUT, None) and (not isinstance(folds, int) or folds < 2):
        rule = f"folds is auto, {LEAVE_ONE_OUT}, none or a whole number from 2 up"
        errors.append(UserError(rule, folds, "folds: auto"))
    errors += [_unknown_column(name, videos) for name in balance if name not in videos.columns]
    if not len(videos):
        errors.append(
            UserError("a split needs labelled videos that decode", "none", "check the manifest")
        )
    raise_collected([*errors, *_given_errors(videos)])


def _unknown_column(name: str, videos: pd.DataFrame) -> UserError:
    own = group_columns(videos)
    close = difflib.get_close_matches(name, own, n=1)
    return UserError(
        "splits are balanced over columns of the data set",
        f"{name}; there are: {', '.join(own) or 'none beside label and group'}",
        f"did you mean {close[0]}?" if close else "add the column to the table of labels or groups",
    )


def _given_errors(videos: pd.DataFrame) -> list[UserError]:
    """Return the mistakes of a column ``split`` that the data set itself has."""
    errors = []
    given = videos["split"]
    if given.notna().any() and not given.notna().all():
        missing = videos.loc[given.isna(), "video_id"]
        errors.append(
            UserError(
                "either every labelled video has a split or none has",
                f"{len(missing)} of {len(videos)} have none, first {missing.iloc[0]}",
                "fill the split column of labels.csv, or remove it",
            )
        )
    unknown = sorted({str(name) for name in given.dropna()} - set(SPLITS))
    if unknown:
        errors.append(UserError("a split is train, valid or test", unknown, "rename these splits"))
    elif len(given) and given.notna().all() and not {"train", "test"} <= set(given):
        errors.append(
            UserError(
                "given splits hold train and test", sorted(set(given)), "add the missing split"
            )
        )
    return errors


def _check_groups(videos: pd.DataFrame, needed: int, why: str) -> None:
    """Raise for every class with fewer than ``needed`` groups."""
    num_groups = videos.groupby("label")["group"].nunique()
    raise_collected(
        [
            UserError(
                f"each class has at least {needed} groups ({why})",
                f"class {label} has {count}",
                "add videos of other groups, drop the class, or use fewer folds",
            )
            for label, count in num_groups.items()
            if count < needed
        ]
    )
