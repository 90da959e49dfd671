"""Positions of body parts as features."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.data.pose_files import Point, Poses
from vidclass.data.poses import PoseOptions, pose_features, read_pose
from vidclass.errors import UserError

NAN = float("nan")


def poses(xy, points=(("m1", "nose"), ("m1", "tail")), scores=None):
    """Return poses of positions [T][P] = (x, y)."""
    xy_TP2 = np.array(xy, dtype=float)
    score_TP = np.full(xy_TP2.shape[:2], NAN) if scores is None else np.array(scores, float)
    return Poses(tuple(Point(*point) for point in points), xy_TP2, score_TP)


def features(found, **options):
    return pose_features(found, PoseOptions(**options)).f_TD.round(4).tolist()


def test_plain_positions_and_their_names():
    found = pose_features(poses([[(1, 2), (3, 4)], [(5, 6), (7, 8)]]), PoseOptions())
    assert found.f_TD.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]] and found.f_TD.dtype == np.float32
    assert found.names == ("m1.nose.x", "m1.nose.y", "m1.tail.x", "m1.tail.y")


GAP = [[(NAN, NAN), (0, 0)], [(2, 4), (0, 0)], [(NAN, 1), (0, 0)], [(6, 8), (0, 0)],
       [(NAN, NAN), (0, 0)]]  # fmt: skip


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("interpolate", [(2, 4), (2, 4), (4, 6), (6, 8), (6, 8)]),
        ("hold", [(2, 4), (2, 4), (2, 4), (6, 8), (6, 8)]),
        ("zero", [(0, 0), (2, 4), (0, 0), (6, 8), (0, 0)]),
    ],
)
def test_missing_positions(missing, expected):
    assert [tuple(row[:2]) for row in features(poses(GAP), missing=missing)] == expected


def test_a_point_that_is_never_there_is_zero():
    never = [[(NAN, NAN), (3, 4)]] * 3
    for missing in ("interpolate", "hold", "zero"):
        assert features(poses(never), missing=missing) == [[0, 0, 3, 4]] * 3


def test_positions_that_the_tracker_is_unsure_of_are_missing():
    found = poses([[(0, 0), (0, 0)], [(99, 99), (1, 1)], [(4, 4), (2, 2)]],
                  scores=[[0.9, 0.9], [0.2, 0.9], [0.9, NAN]])  # fmt: skip
    assert features(found, min_score=0.5)[1] == [2, 2, 1, 1]
    scored = pose_features(found, PoseOptions(min_score=0.5, scores=True))
    assert scored.f_TD[:, 2].tolist() == pytest.approx([0.9, 0.0, 0.9])
    assert scored.f_TD[:, 5].tolist() == pytest.approx([0.9, 0.9, 1.0])
    assert scored.names[2] == "m1.nose.score"


def test_centre_and_scale():
    walk = [[(0, 0), (0, 10)], [(5, 5), (5, 15)], [(9, 9), (9, 39)]]
    assert features(poses(walk), centre="nose") == [[0, 0, 0, 10], [0, 0, 0, 10], [0, 0, 0, 30]]
    assert features(poses(walk), centre="nose", scale=("nose", "tail"))[2] == [0, 0, 0, 3]
    assert features(poses(walk), centre="mean")[0] == [0, -5, 0, 5]
    assert features(poses(walk), scale=10.0)[1] == [0.5, 0.5, 0.5, 1.5]


POINTS = (("m1", "nose"), ("m1", "tail"), ("m2", "nose"), ("m2", "tail"), ("single", "corner"))


def test_several_animals_keep_their_distance():
    found = poses([[(1, 1), (1, 3), (11, 1), (11, 5), (0, 0)]], POINTS)
    assert features(found, centre="nose") == [[0, 0, 0, 2, 10, 0, 0, 4, -1, -1]]
    scaled = features(found, centre="nose", scale=("nose", "tail"))[0]
    assert scaled[:8] == [0, 0, 0, 1, 2.5, 0, 0, 1]
    mean = pose_features(found, PoseOptions(centre="mean"))
    assert mean.names[-4:] == ("m2.mean.x", "m2.mean.y", "single.mean.x", "single.mean.y")
    assert mean.f_TD[0, -4:].tolist() == [10, 1, -1, -2]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"centre": "ear"}, "body part is in the file.*ear.*nose, tail"),
        ({"scale": ("nose", "ear")}, "body part is in the file.*ear"),
        ({"scale": 0.0}, "above 0 pixels"),
    ],
)
def test_options_that_do_not_fit(options, told):
    with pytest.raises(UserError, match=told):
        features(poses(GAP), **options)


def test_a_scale_needs_both_parts_in_some_frame():
    with pytest.raises(UserError, match="both body parts of the scale"):
        features(poses([[(NAN, NAN), (1, 1)]]), scale=("nose", "tail"))


SLEAP = "track,frame_idx,instance.score,nose.x,nose.y\nm1,0,1,1,2\nm1,1,1,3,4\nm1,5,1,5,6\n"


def test_reading_a_file(tmp_path):
    (tmp_path / "p.csv").write_text(SLEAP)
    found = read_pose(tmp_path / "p.csv", PoseOptions(missing="hold"), num_frames=8)
    assert found.f_TD.shape == (8, 2) and found.f_TD[-1].tolist() == [5, 6]
    assert len(read_pose(tmp_path / "p.csv", num_frames=5).f_TD) == 5  # trackers count one more
    with pytest.raises(UserError, match=r"as many frames as its video.*p\.csv: 6 frames.*has 3"):
        read_pose(tmp_path / "p.csv", num_frames=3)
    with pytest.raises(UserError, match=r"p\.csv: ear"):
        read_pose(tmp_path / "p.csv", PoseOptions(centre="ear"))


@given(
    data=st.lists(
        st.lists(st.sampled_from([0.0, 1.5, -3.0, NAN]), min_size=10, max_size=10),
        min_size=1,
        max_size=8,
    ),
    centre=st.sampled_from([None, "nose", "mean"]),
    scale=st.sampled_from([None, 2.0]),
    missing=st.sampled_from(["interpolate", "hold", "zero"]),
    scores=st.booleans(),
)
def test_features_are_always_numbers(data, centre, scale, missing, scores):
    found = poses(np.array(data).reshape(len(data), 5, 2), POINTS)
    made = pose_features(
        found, PoseOptions(centre=centre, scale=scale, missing=missing, scores=scores)
    )
    assert np.isfinite(made.f_TD).all() and made.f_TD.shape == (len(data), len(made.names))
    assert len(set(made.names)) == len(made.names)
