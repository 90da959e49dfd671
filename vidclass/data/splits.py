"""Grouped, stratified, seeded splits, and the check that nothing leaks between them.

The unit of independence is the group (an animal, a recording, a source film): a group is never in
two splits of one fold. A *fold* is one division of all videos; a *split* is a part of it, named
``train``, ``valid`` or ``test``. Pure functions of (manifest, arguments, seed).
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.manifest import usable
from vidclass.errors import UserError, raise_collected

__all__ = [
    "FEW_GROUPS",
    "SPLITS",
    "check_leakage",
    "deployment_split",
    "make_splits",
    "split_hash",
]

SPLITS = ("train", "valid", "test")
FEW_GROUPS = 30  # below, one test split is too small to be significant (measurement.md 3)
AUTO_FOLDS = 5
_OUTER, _INNER, _DEPLOYMENT = range(3)


def make_splits(
    manifest: pd.DataFrame,
    *,
    valid_share: float,
    test_share: float,
    folds: int | Literal["auto"] | None,
    seed: int,
) -> pd.DataFrame:
    """Divide the usable videos of ``manifest``.

    A manifest whose every row has a split keeps it (one fold; where it fixes no validation videos,
    groups are taken from its training videos).

    Args:
        manifest: see :mod:`vidclass.data.manifest`; quarantined and unlabelled rows are left out.
        valid_share: share of the videos that are not test, for validation.
        test_share: share of all videos for test; only where there is one fold.
        folds: outer folds, in which every video is test exactly once; None for one split;
            ``auto`` for 5 folds under 30 groups, else one split.
        seed: the same seed gives the same splits.

    Returns:
        Rows of ``video_id``, ``fold`` (0..F-1) and ``split``, sorted by fold and id.

    Raises:
        UserErrors: for shares outside (0, 1), wrong fold counts, split names or split columns, and
            classes with fewer groups than the splits need.
    """
    videos = usable(manifest)
    _check_arguments(videos, valid_share, test_share, folds)
    if videos["split"].notna().all():
        return _given_splits(videos, valid_share, seed)
    num_folds = folds
    if folds == "auto":
        num_folds = AUTO_FOLDS if videos["group"].nunique() < FEW_GROUPS else None
    if num_folds is None:
        # Shares are of all videos for test, and of the rest for validation, as in a fold.
        rest = 1 - test_share
        shares = [rest * (1 - valid_share), rest * valid_share, test_share]
        _check_groups(videos, 3, "train, valid and test each need one")
        part = _divide(videos, shares, _generator(seed, _OUTER, 0))
        splits = [_fold(videos, np.array(SPLITS, dtype=object)[part], 0)]
    else:
        num_folds = int(num_folds)
        # Outside the test fold, train and valid need a group each: of two folds, each needs two.
        least = 2 if num_folds == 2 else 1
        _check_groups(
            videos, num_folds * least, f"{num_folds} folds need {least} each, for train and valid"
        )
        shares = [1 / num_folds] * num_folds
        part = _divide(videos, shares, _generator(seed, _OUTER, 0), least)
        splits = []
        for fold in range(num_folds):
            names = np.full(len(videos), "test", dtype=object)
            names[part != fold] = _train_valid(videos[part != fold], valid_share, seed, fold)
            splits.append(_fold(videos, names, fold))
    result = pd.concat(splits, ignore_index=True)
    _check_classes(result, videos)
    return result


def deployment_split(manifest: pd.DataFrame, valid_share: float, seed: int) -> pd.DataFrame:
    """Divide all usable videos into train and valid, with no test: for the model that is shipped.

    Raises:
        UserErrors: when a class has fewer than 2 groups, or ``valid_share`` is not in (0, 1).
    """
    videos = usable(manifest)
    raise_collected(_share_errors(valid_share=valid_share))
    _check_groups(videos, 2, "train and valid each need one")
    part = _divide(videos, [1 - valid_share, valid_share], _generator(seed, _DEPLOYMENT, 0))
    return _fold(videos, np.array(["train", "valid"], dtype=object)[part], 0)


def check_leakage(splits: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Check that no group and no file content is in two splits of one fold.

    Raises:
        UserErrors: naming each group, and each set of files with equal content.
    """
    columns = manifest[["video_id", "group", "content_hash"]]
    joined = splits.merge(columns, on="video_id", how="left", validate="many_to_one")
    errors = []
    for key, told, remedy in (
        ("group", "group", "give these videos one split, or correct their group"),
        ("content_hash", "content", "remove the copies, or give the copies one group"),
    ):
        known = joined[joined[key].notna()]
        shared = known.groupby(["fold", key])["split"].nunique()
        leaks: dict[object, set[object]] = {}
        for fold, value in shared[shared > 1].index:
            leaks.setdefault(value, set()).add(fold)
        for value, leak_folds in sorted(leaks.items(), key=lambda leak: str(leak[0])):
            fold = min(leak_folds, key=str)
            rows = known[(known["fold"] == fold) & (known[key] == value)]
            files = [f"{row.video_id} ({row.split})" for row in rows.itertuples()]
            shown = ", ".join(files[:4]) + (", ..." if len(files) > 4 else "")
            name = f"group {value}" if key == "group" else f"content {str(value)[:12]}"
            rule = (
                f"a {told} is in one split of a fold"
                if key == "group"
                else ("files with equal content are in one split of a fold")
            )
            errors.append(UserError(rule, f"{name} in fold {fold}: {shown}", remedy))
    raise_collected(errors)


def split_hash(splits: pd.DataFrame) -> str:
    """Return a hash of who is where; independent of the order of rows."""
    lines = sorted(f"{row.fold}\0{row.video_id}\0{row.split}" for row in splits.itertuples())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:20]


def _fold(videos: pd.DataFrame, names: npt.NDArray[np.object_], fold: int) -> pd.DataFrame:
    table = pd.DataFrame({"video_id": videos["video_id"].to_numpy(), "fold": fold, "split": names})
    return table.sort_values("video_id", ignore_index=True)


def _generator(seed: int, *purpose: int) -> np.random.Generator:
    key = np.random.SeedSequence(seed, spawn_key=purpose)
    return np.random.Generator(np.random.Philox(key))


def _train_valid(
    videos: pd.DataFrame, valid_share: float, seed: int, fold: int
) -> npt.NDArray[np.object_]:
    part = _divide(videos, [1 - valid_share, valid_share], _generator(seed, _INNER, fold))
    return np.array(["train", "valid"], dtype=object)[part]


def _divide(
    videos: pd.DataFrame,
    shares: Sequence[float],
    generator: np.random.Generator,
    least: int = 1,
) -> npt.NDArray[np.int64]:
    """Give each group one part, so that each class fills each part by its share.

    Greedy: the largest group first (ties at random), into the part that most lacks its classes:
    where it lowers the squared distance to the wished counts most. Where the groups left of a
    class are only just enough to give each part ``least`` of them, the group goes to a part that
    still lacks some.

    Returns:
        The part of each row of ``videos``, ``[N]``.
    """
    classes, class_N = np.unique(videos["label"].astype(str), return_inverse=True)
    groups, group_N = np.unique(videos["group"].astype(str), return_inverse=True)
    counts_GK = np.zeros((len(groups), len(classes)))
    np.add.at(counts_GK, (group_N, class_N), 1)
    target_PK = np.outer(shares, counts_GK.sum(axis=0))
    filled_PK = np.zeros_like(target_PK)
    held_PK = np.zeros_like(target_PK)  # groups
    left_K = (counts_GK > 0).sum(axis=0)
    part_G = np.zeros(len(groups), dtype=np.int64)
    shuffled = generator.permutation(len(groups))
    for group in shuffled[np.argsort(-counts_GK[shuffled].sum(axis=1), kind="stable")]:
        count_K = counts_GK[group]
        has_K = count_K > 0
        lacks_PK = np.maximum(least - held_PK, 0)
        tight_K = has_K & (left_K <= lacks_PK.sum(axis=0))
        needed_P = ((lacks_PK > 0) & tight_K).sum(axis=1)
        rise_PK = (2 * (filled_PK - target_PK) + count_K) * count_K / counts_GK.sum(axis=0)
        candidates = np.flatnonzero(needed_P == needed_P.max())
        rise_C = rise_PK.sum(axis=1)[candidates]
        best = candidates[rise_C <= rise_C.min() + 1e-9]
        part = int(best[generator.integers(len(best))])
        part_G[group] = part
        filled_PK[part] += count_K
        held_PK[part] += has_K
        left_K = left_K - has_K
    result: npt.NDArray[np.int64] = part_G[group_N]
    return result


def _given_splits(videos: pd.DataFrame, valid_share: float, seed: int) -> pd.DataFrame:
    names = videos["split"].to_numpy(dtype=object).copy()
    if "valid" not in names:
        is_train = names == "train"
        _check_groups(videos[is_train], 2, "valid is taken from train, and each needs one")
        names[is_train] = _train_valid(videos[is_train], valid_share, seed, 0)
    result = _fold(videos, names, 0)
    _check_classes(result, videos)
    return result


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
    folds: int | Literal["auto"] | None,
) -> None:
    errors = _share_errors(valid_share=valid_share, test_share=test_share)
    if folds not in ("auto", None) and (not isinstance(folds, int) or folds < 2):
        errors.append(
            UserError("folds is auto, none or a whole number from 2 up", folds, "folds: auto")
        )
    if not len(videos):
        errors.append(
            UserError("a split needs labelled videos that decode", "none", "check the manifest")
        )
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
    raise_collected(errors)


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


def _check_classes(splits: pd.DataFrame, videos: pd.DataFrame) -> None:
    """Raise where a fold cannot be learned or tuned: a class is missing from its train or valid."""
    labelled = splits.merge(videos[["video_id", "label"]], on="video_id")
    classes = set(videos["label"])
    errors = []
    for fold, rows in labelled.groupby("fold"):
        for name in ("train", "valid"):
            for label in sorted(classes - set(rows.loc[rows["split"] == name, "label"])):
                errors.append(
                    UserError(
                        "each class is in train and in valid of every fold",
                        f"class {label} is not in {name} of fold {fold}",
                        "more groups of that class, fewer folds, or another seed",
                    )
                )
    raise_collected(errors)
