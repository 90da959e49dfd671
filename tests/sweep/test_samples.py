"""What the ledger keeps of samples, and clips that do not fit into them."""

import pandas as pd
import pytest

from vidclass.errors import UserError
from vidclass.sweep.samples import check_clips_fit, sample_facts
from vidclass.sweep.spec import DataSpec

SPLITS = pd.DataFrame(
    {
        "video_id": list("abc") * 2,
        "fold": [0] * 3 + [-1] * 3,
        "split": ["train", "valid", "test"] * 2,
    }
)
STORED = pd.DataFrame({"video_id": list("abc"), "fps": 10.0})


@pytest.mark.parametrize(
    ("labels", "train"),
    [
        ({"label_ids": [(0, 1), (), (1,), (0,)]}, {"run": 1, "turn": 1}),
        ({"label_id": [1, 1, 0, 0]}, {"run": 0, "turn": 2}),
    ],
)
def test_samples_are_counted_by_split_and_class(
    labels: dict[str, list[object]], train: dict[str, int]
) -> None:
    samples = pd.DataFrame({"video_id": list("aabc"), **labels})
    facts = sample_facts(samples, SPLITS, ["run", "turn"])
    assert facts["num_samples"] == 4
    assert facts["samples_per_split"] == {"0": {"train": 2, "valid": 1, "test": 1}}
    assert facts["samples_per_class"]["0"]["train"] == train


@pytest.mark.parametrize(("span_s", "fits"), [(0.5, True), (0.6, False)])
def test_a_clip_lies_inside_its_window(span_s: float, fits: bool) -> None:
    samples = pd.DataFrame({"video_id": ["a"], "first_frame": [3], "last_frame": [7]})
    frames = round(10 * span_s)
    data = DataSpec.model_validate({"window": {"span_s": span_s, "num_frames": frames}})
    if fits:
        check_clips_fit(samples, STORED, data)
        return
    with pytest.raises(UserError, match=r"shows 6 stored frames of a, data.windows has 5.*0\.5"):
        check_clips_fit(samples, STORED, data)


def test_whole_videos_always_fit() -> None:
    check_clips_fit(None, STORED, DataSpec())
