"""A part of a data set for a study: some of its classes, a share of its groups."""

import difflib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from vidclass.data.subset import share_of_groups
from vidclass.errors import UserError, raise_collected

__all__ = ["chosen_classes", "select_videos"]


def select_videos(
    manifest: pd.DataFrame,
    *,
    classes: Sequence[str] | int | None = None,
    share: float | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the rows of some classes, and of a share of the groups of each; labelled rows only.

    The whole manifest is returned where nothing is selected.

    Args:
        manifest: one row a video.
        classes: names, or how many classes to draw.
        share: of the groups of each class, above 0 and at most 1; whole groups. A smaller share
            is part of a larger one.
        seed: of both draws.

    Raises:
        UserErrors: for classes that the data set does not have, a number of classes outside 2 and
            that of the data set, or a share outside (0, 1].
    """
    if classes is None and share is None:
        return manifest
    kept = manifest[manifest["label"].notna()]
    if classes is not None:
        kept = kept[
            kept["label"].isin(chosen_classes(sorted(kept["label"].unique()), classes, seed))
        ]
    if share is not None:
        ids = pd.factorize(kept["label"], sort=True)[0]
        kept = share_of_groups(kept.assign(label_id=ids), share, seed=seed)
        kept = kept.drop(columns="label_id")
    return kept.reset_index(drop=True)


def chosen_classes(known: list[str], classes: Sequence[str] | int, seed: int) -> list[str]:
    """Return the classes of that name, or so many of those ``known``, drawn.

    Raises:
        UserError: for a number outside 2 and that of the data set.
        UserErrors: for names that the data set does not have, or fewer than two.
    """
    if isinstance(classes, int):
        if not 2 <= classes <= len(known):
            raise UserError(
                f"a number of classes lies between 2 and the {len(known)} of the data set",
                classes,
                f"classes: {min(4, len(known))}, or their names",
            )
        key = np.random.SeedSequence(seed, spawn_key=(len(known),))
        drawn = np.random.Generator(np.random.Philox(key)).permutation(len(known))[:classes]
        return [known[place] for place in sorted(drawn)]
    errors = []
    for name in classes:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"one of: {', '.join(known[:20])}"
            errors.append(UserError("a selected class is one of the data set", name, hint))
    if len(set(classes)) < 2:
        errors.append(UserError("a study has two classes or more", list(classes), "name another"))
    raise_collected(errors)
    return list(classes)
