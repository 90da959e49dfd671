"""Agreement of annotators, checked against scikit-learn."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from vidclass.data.agreement import agreement, agreement_of, kappa
from vidclass.data.annotations import new_annotations
from vidclass.data.label_sources import read_labels
from vidclass.errors import UserError

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


TABLE = (
    "video,time_start,time_end,label,annotator\n"
    "a,0,4,groom,ann\na,4,8,rear,ann\na,0,6,groom,bob\na,6,8,rear,bob\nb,0,4,groom,ann\n"
)


def test_the_command_tells_and_writes_the_table(tmp_path):
    from typer.testing import CliRunner

    from vidclass.data.__main__ import app

    (tmp_path / "t.csv").write_text(TABLE)
    out = tmp_path / "agreement.csv"
    done = CliRunner().invoke(
        app, ["agreement", str(tmp_path / "t.csv"), "--fps", "10", "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    written = pd.read_csv(out)
    assert written["frames"].tolist() == [80, 80] and written["agree"].tolist() == [0.75, 0.75]
    assert written["kappa"].tolist() == pytest.approx([0.5, 0.5])
    assert "groom" in done.output and "0.75" in done.output


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (TABLE, {}, "frame by frame, by a rate.*none given for a"),
        (TABLE.replace("bob", "ann"), {"fps": 10.0}, "videos that two of them labelled.*ann"),
        ("video,time_start,time_end,label\na,0,1,x\n", {"fps": 10.0}, "none named"),
    ],
)
def test_what_cannot_be_compared(tmp_path, text, options, told):
    (tmp_path / "t.csv").write_text(text)
    labels = read_labels(
        str(tmp_path / "t.csv"), tmp_path, videos=None, fps=options.get("fps"), probe=lambda _: None
    )
    with pytest.raises(UserError, match=told):
        agreement_of(labels)
