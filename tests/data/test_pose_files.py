"""Pose files in the forms that DeepLabCut and SLEAP write."""

import json
import pickle

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.pose_files import Point, read_poses
from vidclass.errors import UserError, UserErrors

PARTS = ["nose", "tail_base"]


def dlc_table(num_frames=5, animals=None, seed=0):
    """Return a table as DeepLabCut makes it: animals share parts, the arena's corner is single."""
    if animals is None:
        columns = pd.MultiIndex.from_product(
            [["DLC_resnet50"], PARTS, ["x", "y", "likelihood"]],
            names=["scorer", "bodyparts", "coords"],
        )
    else:
        points = [(animal, part) for animal in animals for part in PARTS] + [("single", "corner")]
        columns = pd.MultiIndex.from_tuples(
            [("DLC_dlcrnet", *point, c) for point in points for c in ("x", "y", "likelihood")],
            names=["scorer", "individuals", "bodyparts", "coords"],
        )
    values = np.random.default_rng(seed).random((num_frames, len(columns))).round(4)
    return pd.DataFrame(values, columns=columns)


def agrees(poses, table):
    values = table.to_numpy().reshape(len(table), table.shape[1] // 3, 3)
    np.testing.assert_array_equal(poses.xy_TP2, values[..., :2])
    np.testing.assert_array_equal(poses.score_TP, values[..., 2])
    points = [tuple(column[-3:-1]) for column in table.columns[::3]]
    if table.columns.nlevels == 3:
        points = [("animal", part) for _, part in points]
    assert poses.points == tuple(Point(*point) for point in points)
    return True


@pytest.mark.parametrize("animals", [None, ["m1", "m2"]])
@pytest.mark.parametrize("form", ["csv", "table", "fixed"])
def test_deeplabcut(tmp_path, animals, form):
    table = dlc_table(animals=animals)
    table.iloc[2, :3] = np.nan
    path = tmp_path / ("video1DLC_resnet50.csv" if form == "csv" else "video1DLC_resnet50.h5")
    if form == "csv":
        table.to_csv(path)
    else:
        table.to_hdf(path, key="df_with_missing", format=form, mode="w")
    assert agrees(read_poses(path), table)


def write_sleap(path, xy_TAN2, animals, dims=None, scores_TAN=None):
    order = ["frame", "track", "node", "xy"]
    written = dims or ["track", "xy", "node", "frame"]
    with h5py.File(path, "w") as file:
        axes = [order.index(name) for name in written]
        tracks = file.create_dataset("tracks", data=xy_TAN2.transpose(axes))
        if dims is not None:
            tracks.attrs["dims"] = json.dumps(dims)
        if scores_TAN is not None:
            axes = [order.index(name) for name in written if name != "xy"]
            file["point_scores"] = scores_TAN.transpose(axes)
        file["node_names"] = np.array(PARTS, dtype=h5py.string_dtype())
        file["track_names"] = np.array(animals, dtype="S8") if animals else np.array([], "S1")


@pytest.mark.parametrize(
    "dims",
    [None, ["track", "xy", "node", "frame"], ["frame", "track", "node", "xy"],
     ["xy", "node", "frame", "track"]],
)  # fmt: skip
@pytest.mark.parametrize("animals", [[], ["m1"], ["m1", "m2"]])
def test_sleap_hdf5(tmp_path, dims, animals):
    generator = np.random.default_rng(0)
    xy_TAN2 = generator.random((7, max(1, len(animals)), 2, 2))
    xy_TAN2[3, 0, 1] = np.nan
    scores_TAN = generator.random(xy_TAN2.shape[:3])
    write_sleap(tmp_path / "a.analysis.h5", xy_TAN2, animals, dims, scores_TAN)
    poses = read_poses(tmp_path / "a.analysis.h5")
    assert poses.animals == (tuple(animals) or ("animal",))
    np.testing.assert_array_equal(poses.xy_TP2, xy_TAN2.reshape(7, -1, 2))
    np.testing.assert_array_equal(poses.score_TP, scores_TAN.reshape(7, -1))


SLEAP = "track,frame_idx,instance.score,nose.x,nose.y,nose.score,tail_base.x,tail_base.y\n"


def test_sleap_csv_leaves_frames_out(tmp_path):
    text = SLEAP + "m1,0,0.9,1,2,0.8,3,4\nm2,0,0.9,5,6,0.7,7,8\nm1,3,0.9,9,10,0.6,,\n"
    (tmp_path / "a.csv").write_text(text)
    poses = read_poses(tmp_path / "a.csv")
    assert poses.animals == ("m1", "m2") and poses.xy_TP2.shape == (4, 4, 2)
    assert poses.xy_TP2[0].tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert poses.xy_TP2[3, 0].tolist() == [9, 10] and np.isnan(poses.xy_TP2[3, 1:]).all()
    assert poses.score_TP[0].tolist()[::2] == [0.8, 0.7] and np.isnan(poses.xy_TP2[1:3]).all()


def test_one_animal_needs_no_track(tmp_path):
    (tmp_path / "a.csv").write_text(SLEAP + ",0,0.9,1,2,0.8,3,4\n,1,0.9,1,2,0.8,3,4\n")
    assert read_poses(tmp_path / "a.csv").animals == ("animal",)


DLC = "scorer,n,n,n\nbodyparts,nose,nose,nose\ncoords,x,y,likelihood\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "known form.*p.csv line 1: it is empty"),
        ("frame,x,y\n0,1,2\n", r"known form.*p\.csv line 1: frame, x, y"),
        ("scorer,n\nbodyparts,nose\n0,1\n", r"p\.csv line 3: no row coords"),
        (DLC + "0,1,2,0.5\n1,1,two,0.5\n", r"positions are numbers.*p\.csv line 5: two in animal"),
        (DLC + "0,1,2,0.5\n0,1,2,0.5\n", r"numbered by frame.*line 5: 0 again"),
        (DLC + "labeled-data/v/img01.png,1,2,0.5\n", r"line 4: labeled-data"),
        (DLC + "0,1,2,0.5,7\n", r"3 cells after the first.*line 4: 4 cells"),
        (DLC.replace("x,y,likelihood", "x,z,likelihood"), "animal nose has no y; z of nose"),
        (DLC.replace("x,y,likelihood", "x,x,y"), "animal nose x stands there twice"),
        (SLEAP + ",0,0.9,1,2,0.8,3,4\n,0,0.9,1,2,0.8,3,4\n", r"line 3: track animal, frame 0"),
        (SLEAP + "m1,zero,0.9,1,2,0.8,3,4\n", r"line 2: zero"),
        (SLEAP.replace("nose.x", "nose_x"), r"p\.csv line 1: nose_x"),
        ("track,frame_idx,instance.score\n", "none of them"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path, text, told):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises((UserError, UserErrors), match=told):
        read_poses(tmp_path / "p.csv")


def test_files_that_are_no_poses(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(UserError, match=r"can be read.*a\.h5"):
        read_poses(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["frames"] = [1]
    with pytest.raises(UserError, match=r"known form.*b\.h5: frames"):
        read_poses(tmp_path / "b.h5")
    with pytest.raises(UserError, match="can be read"):
        read_poses(tmp_path / "gone.csv")
    write_sleap(tmp_path / "c.h5", np.zeros((2, 1, 2, 2)), ["m1", "m2"])
    with pytest.raises(UserError, match=r"as many as their names.*c\.h5: 2 tracks"):
        read_poses(tmp_path / "c.h5")
    pd.DataFrame({"a": [1.0]}).to_hdf(tmp_path / "d.h5", key="t", format="fixed")
    with pytest.raises(UserError, match=r"known form.*d\.h5: it has no"):
        read_poses(tmp_path / "d.h5")


class _Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_code_in_a_file_is_not_run(tmp_path):
    """Whoever reads such a file with pandas runs what its column names hold."""
    dlc_table().to_hdf(tmp_path / "a.h5", key="df_with_missing", format="table", mode="w")
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        attributes = file["df_with_missing/table"].attrs
        evil = pickle.dumps([_Runs(tmp_path / "ran")], protocol=0)
        attributes["values_block_0_kind"] = np.bytes_(evil)
    with pytest.raises(UserError, match=r"plain texts.*a\.h5: it holds a .*open"):
        read_poses(tmp_path / "a.h5")
    assert not (tmp_path / "ran").exists()


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    num_frames=st.integers(0, 6),
    animals=st.sampled_from([None, ["m1"], ["Maus grün", "m2"]]),
    separator=st.sampled_from([",", ";", "\t"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_tables_as_people_save_them(tmp_path, num_frames, animals, separator, encoding, newline):
    table = dlc_table(num_frames, animals)
    text = table.to_csv(sep=separator, lineterminator=newline)
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    assert agrees(read_poses(tmp_path / "p.csv"), table)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=60), head=st.sampled_from([b"", DLC.encode(), SLEAP.encode()]))
def test_any_bytes_are_read_or_told(tmp_path, data, head):
    (tmp_path / "p.csv").write_bytes(head + data)
    try:
        assert read_poses(tmp_path / "p.csv").xy_TP2.ndim == 3
    except (UserError, UserErrors) as error:
        assert "p.csv" in str(error)
