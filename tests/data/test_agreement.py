"""Agreement of annotators, checked against scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from vidclass.data.agreement import agreement, kappa
from vidclass.data.annotations import new_annotations

VIDEOS = pd.DataFrame({"video_id": ["v", "w"], "num_frames": [10, 4], "fps": [1.0, 2.0]})


def annotations(*rows):
    return new_annotations(
        pd.DataFrame(rows, columns=["video_id", "start_s", "end_s", "label", "annotator"])
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_kappa_is_scikit_learns(judgements):
    one, other = (np.array(x) for x in zip(*judgements, strict=True))
    found = kappa(one, other)
    if len(set(one) | set(other)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(cohen_kappa_score(one, other, labels=[False, True]))


def test_a_row_for_each_pair_and_class():
    rows = annotations(
        ("v", 0, 5, "groom", "ann"), ("v", 0, 4, "groom", "bob"), ("v", 6, 7, "rear", "bob"),
        ("w", 0, 2, "groom", "ann"), ("w", 0, 2, "groom", "bob"), ("w", 0, 1, "rear", "eve"),
    )  # fmt: skip
    table = agreement(rows, VIDEOS).set_index(["annotator_a", "annotator_b", "label"])
    assert len(table) == 6 and table.loc[("ann", "bob", "groom"), "frames"] == 14
    groom = table.loc[("ann", "bob", "groom")]
    assert groom["share_a"] == pytest.approx(9 / 14) and groom["agree"] == pytest.approx(13 / 14)
    one = np.r_[np.ones(5), np.zeros(5), np.ones(4)]
    other = np.r_[np.ones(4), np.zeros(6), np.ones(4)]
    assert groom["kappa"] == pytest.approx(cohen_kappa_score(one, other))
    assert table.loc[("ann", "eve", "rear"), "frames"] == 4


def test_frames_that_one_did_not_look_at_are_left_out():
    rows = annotations(
        ("v", 0, 5, "groom", "ann"), ("v", 5, 10, None, "ann"), ("v", 0, 10, "groom", "bob"),
    )  # fmt: skip
    table = agreement(rows, VIDEOS)
    assert table["frames"].tolist() == [5] and table["agree"].tolist() == [1.0]
    assert math.isnan(table["kappa"].iloc[0])  # both say yes to all: chance alone agrees


def test_one_annotator_gives_an_empty_table():
    table = agreement(annotations(("v", 0, 5, "groom", "ann")), VIDEOS)
    assert table.empty and "kappa" in table
