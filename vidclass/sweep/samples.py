"""What the ledger keeps of the samples of a study, and whether its clips fit into them."""

from typing import Any

import pandas as pd

from vidclass.data.splits import DEPLOY_FOLD
from vidclass.data.window import Window
from vidclass.errors import UserError
from vidclass.sweep.spec import DataSpec

__all__ = ["check_clips_fit", "sample_facts"]


def sample_facts(samples: pd.DataFrame, splits: pd.DataFrame, classes: list[str]) -> dict[str, Any]:
    """Return how many samples each split has, and in how many of them each class holds.

    Args:
        samples: a sample table.
        splits: of its videos.
        classes: in the order of their ids.
    """
    which = "label_ids" if "label_ids" in samples else "label_id"
    placed = splits[splits["fold"] != DEPLOY_FOLD].merge(samples[["video_id", which]])
    per_split: dict[str, dict[str, int]] = {}
    per_class: dict[str, dict[str, dict[str, int]]] = {}
    for place, rows in placed.groupby(["fold", "split"])[which]:
        fold, split = map(str, place)
        held = rows.explode().value_counts()
        per_split.setdefault(fold, {})[split] = len(rows)
        named = {name: int(held.get(k, 0)) for k, name in enumerate(classes)}
        per_class.setdefault(fold, {})[split] = named
    return {
        "num_samples": len(samples),
        "samples_per_split": per_split,
        "samples_per_class": per_class,
    }


def check_clips_fit(samples: pd.DataFrame | None, stored: pd.DataFrame, data: DataSpec) -> None:
    """Refuse a clip that is longer than the windows of which it is to show a part.

    Args:
        samples: a sample table; None where samples are whole videos.
        stored: ``video_id`` and ``fps`` of the stored videos.
        data: of the study.

    Raises:
        UserError: with the longest span that fits.
    """
    if samples is None or "first_frame" not in samples:
        return
    fps_N = samples["video_id"].map(stored.set_index("video_id")["fps"]).to_numpy()
    window = Window(data.window.span_s, data.window.num_frames)
    shown_N = window.frame_offsets(fps_N)[:, -1] + 1
    length_N = (samples["last_frame"] - samples["first_frame"] + 1).to_numpy()
    if (shown_N > length_N).any():
        row = int((shown_N - length_N).argmax())
        raise UserError(
            "the clip that a model sees lies inside its labelled window",
            f"data.window shows {shown_N[row]} stored frames of {samples['video_id'].iloc[row]}, "
            f"data.windows has {length_N[row]}",
            f"data.window.span_s: {length_N[row] / fps_N[row]:.3g}, or longer data.windows",
        )
