"""Splits that were published with a data set, so that figures compare with the literature.

A manifest holds them as columns ``split_1``, ``split_2``, ...; a video without a value in one is
unused there. UCF101 and HMDB51 publish no validation list: three train groups a class are drawn
(measurement.md 3).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from vidclass.data.manifest import chosen_from, published_columns, usable
from vidclass.data.splits import SPLITS, Folds, check_classes, make_splits
from vidclass.errors import UserError, raise_collected

__all__ = ["VALID_GROUPS", "Published", "divide_videos", "published_folds", "published_splits"]

Published = int | Literal["all"] | None
"""Which published split is taken: its number, all of them as folds, or none."""

VALID_GROUPS = 3
"""Train groups of each class that validate."""
_PURPOSE = 3  # of random numbers, beside those that vidclass.data.splits has


def divide_videos(
    manifest: pd.DataFrame,
    *,
    published: Published,
    valid_share: float,
    test_share: float,
    folds: Folds,
    seed: int,
    balance: Sequence[str] = (),
) -> pd.DataFrame:
    """Return the published split where the data set has one and it is asked for, else our own.

    Args:
        manifest: one row a video.
        published: see :func:`published_splits`; None, or a data set without any: own splits.
        valid_share: of own splits, see :func:`vidclass.data.splits.make_splits`.
        test_share: of own splits.
        folds: of own splits.
        seed: of own splits, and of the validation groups of published ones.
        balance: of own splits.

    Raises:
        UserErrors: when the videos can't be divided so, or both kinds are asked for.
    """
    if published is None or not chosen_from(manifest):
        return make_splits(
            manifest,
            valid_share=valid_share,
            test_share=test_share,
            folds=folds,
            seed=seed,
            balance=balance,
        )
    if folds not in ("auto", None):
        error = UserError(
            "videos are divided by published splits or by folds of our own",
            f"folds {folds} and published {published}",
            "published: null for own folds, or folds: auto and published: all",
        )
        raise_collected([error])
    return published_splits(manifest, published, seed=seed)


def published_splits(
    manifest: pd.DataFrame,
    number: int | Literal["all"],
    *,
    seed: int,
    valid_groups: int = VALID_GROUPS,
) -> pd.DataFrame:
    """Return a published split as fold 0, or all of them, each as a fold.

    Args:
        manifest: with published splits; quarantined and unlabelled videos are left out.
        number: of the split, from 1; ``all`` for every one.
        seed: of the draw of validation groups; the same groups at any order of rows.
        valid_groups: train groups of each class that become valid where a split names none; of a
            class with fewer, all but one.

    Returns:
        Rows of ``video_id``, ``fold`` (0..F-1) and ``split``, sorted by fold and id; unused videos
        are in no row.

    Raises:
        UserErrors: for a split that the data set does not have, unknown names in it, and classes
            with a single train group.
    """
    columns = published_columns(manifest)
    if number != "all" and number not in columns:
        known = ", ".join(map(str, sorted(columns))) or "none"
        error = UserError(
            "a published split is one that the data set has", number, f"one of: {known}, or all"
        )
        raise_collected([error])
    videos = usable(manifest)
    numbers = sorted(columns) if number == "all" else [int(number)]
    parts = []
    for fold, chosen in enumerate(numbers):
        rows = videos[videos[columns[chosen]].notna()].reset_index(drop=True)
        names = rows[columns[chosen]].astype(object)
        raise_collected(_mistakes(names, columns[chosen]))
        if "valid" not in set(names):
            key = np.random.SeedSequence(seed, spawn_key=(_PURPOSE, chosen))
            is_train = names == "train"
            drawn = _draw_groups(rows[is_train], valid_groups, np.random.default_rng(key))
            names = names.mask(is_train & rows["group"].isin(drawn), "valid")
        table = pd.DataFrame({"video_id": rows["video_id"], "fold": fold, "split": names})
        parts.append(table.sort_values("video_id"))
    result = pd.concat(parts, ignore_index=True)
    check_classes(result, videos)
    return result


def published_folds(splits: pd.DataFrame, manifest: pd.DataFrame) -> set[int]:
    """Return the folds whose train and test videos are those of one split of the publishers.

    A fold may leave videos of it out, and take its validation from the publishers' train.

    Args:
        splits: ``video_id``, ``fold``, ``split``.
        manifest: of the data set, with its published splits where it has any.
    """
    columns = list(published_columns(manifest).values())
    known = manifest[["video_id", *columns]].drop_duplicates("video_id")
    table = splits[["video_id", "fold", "split"]].merge(known, on="video_id", how="left")
    followed: set[int] = set()
    for column in columns:
        same = (table[column] == table["split"]) | (
            (table[column] == "train") & (table["split"] == "valid")
        )
        whole = same.groupby(table["fold"]).all()
        followed |= {int(fold) for fold in whole.index[whole]}
    return followed


def _mistakes(names: pd.Series, column: str) -> list[UserError]:
    unknown = sorted(set(names) - set(SPLITS))
    if unknown:
        return [UserError(f"{column} says train, valid, test or nothing", unknown, "rename these")]
    if not {"train", "test"} <= set(names):
        received = ", ".join(sorted(set(names))) or "nothing"
        return [UserError(f"{column} holds train and test", received, "add the missing videos")]
    return []


def _draw_groups(
    train: pd.DataFrame, valid_groups: int, generator: np.random.Generator
) -> Sequence[str]:
    drawn: list[str] = []
    errors = []
    for label, groups in train.groupby("label", sort=True)["group"]:
        names = sorted(groups.unique())
        if len(names) < 2:
            errors.append(
                UserError(
                    "each class has two train groups, one of which validates",
                    f"class {label} has {len(names)}",
                    "add videos of the class, or drop it",
                )
            )
            continue
        order = generator.permutation(len(names))
        drawn += [names[place] for place in order[: min(valid_groups, len(names) - 1)]]
    raise_collected(errors)
    return drawn
