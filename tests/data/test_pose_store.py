"""Poses of stored frames: the right file, the right rows."""

from pathlib import Path

import pandas as pd
import pytest

from vidclass.data.frame_store import FrameStore, write_store
from vidclass.data.manifest import new_manifest
from vidclass.data.pose_store import find_pose_files, pose_file_of, prepare_poses
from vidclass.data.poses import PoseOptions
from vidclass.errors import UserError, UserErrors

PARTS = ("nose", "tail")


def write_poses(path: Path, num_frames: int, begin: float = 0.0, parts=PARTS) -> Path:
    """Write SLEAP's CSV: frame k has its nose at (begin + k, 1) and its tail at (begin + k, 2)."""
    columns = ["track", "frame_idx", "instance.score"]
    columns += [f"{part}.{axis}" for part in parts for axis in "xy"]
    rows = [
        ["m1", k, 1.0, *(x for n in range(len(parts)) for x in (begin + k, n + 1))]
        for k in range(num_frames)
    ]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


@pytest.fixture
def stored(tmp_path):
    """``stored(num_frames, kept, segment, options)`` makes a store of videos a and b."""

    def make(num_frames=12, kept=None, segment=None, options=None):
        kept = num_frames if kept is None else kept
        folder = tmp_path / "store" / "frames"
        folder.mkdir(parents=True, exist_ok=True)
        names = ["a.mp4", "b.mp4"]
        films = tmp_path / "films"
        films.mkdir(exist_ok=True)
        rows = pd.DataFrame({"video_id": names, "path": [str(films / name) for name in names]})
        rows = rows.assign(label=["x", "y"], group=names, split=None)
        if segment is not None:
            rows[["start_s", "end_s"]] = segment
        manifest = new_manifest(rows).assign(num_frames=num_frames, fps=10.0)
        index = pd.DataFrame({"video_id": names, "shard": "a.rgb", "offset": [0, kept * 192]})
        index = index.assign(T=kept, H=8, W=8, fps=10.0)
        (folder / "a.rgb").write_bytes(bytes(2 * kept * 192))
        write_store(folder, index, manifest, {"options": options or {}})
        for name in names:
            (films / name).write_bytes(b"x")
        return FrameStore.open(folder), films

    return make


def noses(store, video_id):
    return store.features(video_id)[:, 0].tolist()


def test_poses_of_all_frames(stored, tmp_path):
    frames, films = stored()
    write_poses(films / "a.pose.csv", 12)
    write_poses(films / "b.pose.csv", 9, begin=100.0)
    store, built = prepare_poses(frames, tmp_path / "store", PoseOptions(missing="hold"), 4)
    assert noses(store, "a.mp4") == list(range(12)) and built.num_frames == 24
    assert noses(store, "b.mp4") == [*range(100, 109), 108, 108, 108]
    assert store.features("a.mp4")[0].tolist() == [0, 1, 0, 2]
    again, built = prepare_poses(frames, tmp_path / "store", PoseOptions(missing="hold"), 4)
    assert built.num_frames == 0 and again.path == store.path
    other, built = prepare_poses(frames, tmp_path / "store", PoseOptions(centre="nose"), 4)
    assert built.num_frames == 24 and noses(other, "a.mp4") == [0.0] * 12
    write_poses(films / "a.pose.csv", 12, begin=7.0)
    changed, _ = prepare_poses(frames, tmp_path / "store", PoseOptions(missing="hold"), 4)
    assert noses(changed, "a.mp4")[0] == 7.0  # a file that changes is read again


@pytest.mark.parametrize(
    ("options", "segment", "expected"),
    [
        ({"stride": 3}, None, [0, 3, 6, 9]),
        ({"fps": 5.0}, None, [0, 2, 4, 6, 8, 10]),
        ({"num_frames": 4}, None, [1, 4, 7, 10]),
        ({}, (0.3, 0.6), [3, 4, 5]),
    ],
)
def test_poses_of_those_frames_that_are_stored(stored, tmp_path, options, segment, expected):
    num_frames = 12 if segment is None else 3
    frames, films = stored(num_frames, len(expected), segment, options)
    for name in "ab":
        write_poses(films / f"{name}.pose.csv", 12)
    store, _ = prepare_poses(frames, tmp_path / "store", PoseOptions(), 4)
    assert noses(store, "a.mp4") == expected


def test_what_is_wrong_is_told_for_all_videos(stored, tmp_path):
    frames, films = stored()
    with pytest.raises(UserErrors, match=r"one pose file beside it.*a\.mp4: none") as error:
        prepare_poses(frames, tmp_path / "store", PoseOptions(), 4)
    assert len(error.value.errors) == 2
    write_poses(films / "a.pose.csv", 12)
    write_poses(films / "b.pose.csv", 12, parts=("nose", "ear"))
    with pytest.raises(UserErrors, match=r"same animals.*b\.pose\.csv differs.*m1\.ear\.x"):
        prepare_poses(frames, tmp_path / "store", PoseOptions(), 4)
    (films / "a.pose.csv").write_text("track,frame_idx,nose.x\nm1,zero,1\n")
    with pytest.raises(UserErrors, match=r"a\.pose\.csv line 2: zero"):
        prepare_poses(frames, tmp_path / "store", PoseOptions(), 4)
    write_poses(films / "a.pose.csv", 12)
    write_poses(films / "b.pose.csv", 30)
    with pytest.raises(UserErrors, match=r"b\.pose\.csv: 30 frames, the video has 12"):
        prepare_poses(frames, tmp_path / "store", PoseOptions(), 4)


def test_the_number_of_features_is_told(stored, tmp_path):
    frames, films = stored()
    for name in "ab":
        write_poses(films / f"{name}.pose.csv", 12)
    with pytest.raises(UserError, match="num_features is how many.*16.*num_features: 4"):
        prepare_poses(frames, tmp_path / "store", PoseOptions(), 16)


def test_frames_at_no_even_rate_are_refused(stored, tmp_path):
    frames, films = stored(12, 5)
    for name in "ab":
        write_poses(films / f"{name}.pose.csv", 12)
    with pytest.raises(UserErrors, match="5 frames are stored, 12 at an even rate"):
        prepare_poses(frames, tmp_path / "store", PoseOptions(), 4)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["aDLC_resnet50_miceshuffle1.h5", "aDLC_resnet50_miceshuffle1.csv"], 0),
        (["aDLC_net.csv"], 0),
        (["labels.v001.000_a.analysis.h5"], 0),
        (["a.analysis.csv"], 0),
        (["project.a.analysis.h5"], 0),
        (["aDLC_net.h5", "aDLC_net_filtered.h5", "a.pose.csv"], 2),
        (["aDLC_net.h5", "aDLC_net_filtered.h5"], None),
        (["ab.pose.csv", "abDLC_net.h5", "labels_ba.analysis.h5", "a.csv"], None),
    ],
)
def test_which_file_is_the_video_s(tmp_path, names, expected):
    for name in [*names, "a.mp4"]:
        (tmp_path / name).write_bytes(b"x")
    if expected is None:
        with pytest.raises(UserError, match=r"one pose file beside it.*a\.mp4"):
            pose_file_of(tmp_path / "a.mp4")
    else:
        assert pose_file_of(tmp_path / "a.mp4").name == names[expected]


def test_a_folder_of_images_has_its_file_beside_it(tmp_path):
    (tmp_path / "mouse.1").mkdir()
    (tmp_path / "mouse.1.pose.csv").write_bytes(b"x")
    manifest = pd.DataFrame({"video_id": ["mouse.1"], "path": [str(tmp_path / "mouse.1")]})
    assert find_pose_files(manifest)["mouse.1"].name == "mouse.1.pose.csv"
