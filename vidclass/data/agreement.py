"""How far several annotators of the same videos agree, frame by frame."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.annotations import UNLABELLED, Present, class_names_of, intervals_to_frames
from vidclass.data.convert import Labels, num_labelled_frames
from vidclass.errors import UserError

__all__ = ["agreement", "agreement_of", "kappa"]

Bool = npt.NDArray[np.bool_]


def agreement_of(labels: Labels) -> pd.DataFrame:
    """Return what :func:`agreement` finds in the labels of a source.

    Raises:
        UserError: when no video has two annotators, or nothing says the rate of one.
    """
    rows = labels.annotations
    several = rows.groupby("video_id")["annotator"].nunique() > 1
    shared = rows[rows["video_id"].isin(several.index[several])]
    if shared.empty:
        names = sorted(rows["annotator"].dropna().unique())
        raise UserError(
            "annotators are compared on videos that two of them labelled",
            f"annotators: {', '.join(names) or 'none named'}; no video of two",
            "a column annotator in the table",
        )
    lacking = [video_id for video_id in shared["video_id"].unique() if video_id not in labels.facts]
    if lacking:
        raise UserError(
            "annotators are compared frame by frame, by a rate",
            f"none given for {lacking[0]}",
            "--fps 25, or --videos FOLDER",
        )
    facts = [
        (
            video_id,
            num_labelled_frames(own, labels.facts[str(video_id)]),
            labels.facts[str(video_id)].fps,
        )
        for video_id, own in shared.groupby("video_id")
    ]
    videos = pd.DataFrame(facts, columns=["video_id", "num_frames", "fps"])
    return agreement(shared, videos)


def agreement(annotations: pd.DataFrame, videos: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each pair of annotators and class: how often they agree, and Cohen's kappa.

    Counted are the frames of all videos that both labelled; where a row says that nobody looked,
    its frames are left out. ``share_a`` and ``share_b`` are how much of them each one gave the
    class. ``kappa`` is empty where both gave it to all of them or to none.

    Args:
        annotations: interval table with ``annotator``.
        videos: ``video_id``, ``num_frames``, ``fps``.
    """
    classes = class_names_of(annotations)
    num_frames = dict(zip(videos["video_id"], videos["num_frames"].tolist(), strict=True))
    fps = dict(zip(videos["video_id"], videos["fps"].tolist(), strict=True))
    known = annotations[annotations["video_id"].isin(list(fps))]
    pairs: dict[tuple[str, str], list[tuple[Present, Present]]] = {}
    for video_id, rows in known.groupby("video_id", sort=True):
        by_annotator = {
            str(name): intervals_to_frames(
                own, int(num_frames[video_id]), fps[video_id], classes, "multilabel"
            )
            for name, own in rows.groupby("annotator", sort=True)
        }
        for a, b in combinations(by_annotator, 2):
            pairs.setdefault((a, b), []).append((by_annotator[a], by_annotator[b]))
    rows_out = [
        row for (a, b), shown in sorted(pairs.items()) for row in _compared(a, b, shown, classes)
    ]
    columns = ["annotator_a", "annotator_b", "label", "frames", "share_a", "share_b", "agree"]
    return pd.DataFrame(rows_out, columns=[*columns, "kappa"])


def _compared(
    a: str, b: str, shown: Sequence[tuple[Present, Present]], classes: Sequence[str]
) -> list[tuple[str, str, str, int, float, float, float, float]]:
    first_TK = np.concatenate([first for first, _ in shown])
    second_TK = np.concatenate([second for _, second in shown])
    both_T = ((first_TK != UNLABELLED) & (second_TK != UNLABELLED)).all(axis=1)
    first_TK, second_TK = first_TK[both_T] == 1, second_TK[both_T] == 1
    rows = []
    for column, name in enumerate(classes):
        one_T, other_T = first_TK[:, column], second_TK[:, column]
        shares = [float(x.mean()) if len(x) else float("nan") for x in (one_T, other_T)]
        agree = float((one_T == other_T).mean()) if len(one_T) else float("nan")
        rows.append((a, b, name, len(one_T), shares[0], shares[1], agree, kappa(one_T, other_T)))
    return rows


def kappa(one_T: Bool, other_T: Bool) -> float:
    """Return Cohen's kappa of two yes-no judgements; not a number where chance alone agrees."""
    if len(one_T) == 0:
        return float("nan")
    observed = float((one_T == other_T).mean())
    share_one, share_other = float(one_T.mean()), float(other_T.mean())
    by_chance = share_one * share_other + (1 - share_one) * (1 - share_other)
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")
