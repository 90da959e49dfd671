"""Frames as files in folders: the right ones, in one go or in several, and readable again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vidclass.data.__main__ import app
from vidclass.data.decode import decode
from vidclass.data.extract import PART, ExtractOptions, extract_frames
from vidclass.data.readers import read_dataset
from vidclass.errors import UserError

RUNNER = CliRunner()


@pytest.fixture
def videos(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """Two classes of two videos, 20 frames at 10 fps."""
    root = tmp_path / "videos"
    for seed, name in enumerate(("run/a", "run/b", "walk/a", "walk/b")):
        write_video(root / f"{name}.mp4", num_frames=20, size=(48, 64), seed=seed)
    return root


def run(*words: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, ["extract", *map(str, words)])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.mark.usefixtures("small_ray")
def test_frames_are_those_that_decoding_gives(videos: Path, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    code, told = run(videos, "--out", out, "--fps", 5, "--image", "png")
    assert code == 0 and "40 frames of 4 videos" in told, told
    frames, _ = decode(videos / "run/a.mp4", fps=5.0)
    names = sorted((out / "run" / "a").glob("*.png"))
    assert [name.name for name in names] == [f"{n:06d}.png" for n in range(1, 11)]
    assert (np.stack([np.asarray(Image.open(name)) for name in names]) == frames).all()


@pytest.mark.usefixtures("small_ray")
def test_a_second_call_makes_only_what_is_missing(videos: Path, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    dataset = read_dataset(str(videos), home=home)
    options = ExtractOptions(num_frames=3)
    assert extract_frames(dataset, out, options).num_new == 4
    (out / "run" / "a").rename(out / "run" / f"a{PART}")  # as a kill would leave it
    kept = (out / "walk" / "b" / "000001.jpg").stat().st_mtime_ns
    calls: list[tuple[int, int]] = []
    again = extract_frames(dataset, out, options, lambda *at: calls.append(at))
    assert (again.num_videos, again.num_new, again.num_images) == (4, 1, 12)
    assert calls == [(1, 1)] and not list(out.rglob(f"*{PART}"))
    assert (out / "walk" / "b" / "000001.jpg").stat().st_mtime_ns == kept


def labels_of(source: Path, home: Path) -> list[tuple[str, ...]]:
    """Return what is labelled and divided, by the names that videos have without suffix."""
    dataset = read_dataset(str(source), home=home, labels_needed=False)
    table = dataset.manifest
    columns = [
        "label",
        *["group"][: dataset.groups_known],
        *(name for name in table if str(name).startswith(("split", "cam"))),
    ]
    known = table[columns].astype(object).where(table[columns].notna(), None)
    rows = [
        ("video", name, *map(str, row))
        for name, *row in zip(
            (Path(video_id).with_suffix("").as_posix() for video_id in table["video_id"]),
            *(known[column] for column in columns),
            strict=True,
        )
    ]
    if dataset.annotations is not None:
        rows += [
            ("part", Path(video_id).with_suffix("").as_posix(), *map(str, row))
            for video_id, *row in dataset.annotations.round(3)[
                ["video_id", "start_s", "end_s", "label", "subject", "annotator"]
            ].itertuples(index=False, name=None)
        ]
    return sorted(rows)


@pytest.mark.usefixtures("small_ray")
def test_the_folder_is_a_data_set_again(videos: Path, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    (videos / "labels.csv").write_text(
        "video,label,group,camera,split_1\nrun/a,run,g1,c1,train\nrun/b,run;walk,g2,c1,test\n"
        "walk/a,walk,g3,c2,train\nwalk/b,,g4,c2,\n"
    )
    assert run(videos, "--out", out, "--stride", 4, "--short-side", 24)[0] == 0
    assert labels_of(out, home) == labels_of(videos, home)
    again = read_dataset(str(out), home=home)
    assert again.annotations is None and again.manifest["split_1"].tolist()[0] == "train"
    frames, fps = decode(out / "run" / "a")
    assert frames.shape == (5, 24, 32, 3) and fps == 2.5


@pytest.mark.usefixtures("small_ray")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "timestamps.csv",
            "video,time_start,time_end,label,subject,annotator,split\n"
            "run/a,0,1.2,walk,left,ann,train\nrun/a,0.5,0.5,jump,left,ann,train\n"
            "run/a,0.1,1,groom,right,bob,train\nrun/b,1,1.5,,,,test\nwalk/a,0,2,walk,left,ann,test\n",
        ),
        (
            "labels.csv",
            "video,frame,label,split\n"
            + "".join(f"run/a,{k},{'ab'[k // 7 % 2]},train\n" for k in range(20))
            + "".join(f"walk/b,{k},{'' if k < 4 else 'b'},test\n" for k in range(20)),
        ),
    ],
    ids=["intervals", "frames"],
)
def test_labels_of_parts_are_the_same_again(
    videos: Path, tmp_path: Path, home: Path, name: str, text: str
) -> None:
    (videos / name).write_text(text)
    groups = "video,group,camera\n" + "".join(
        f"{video},g{n},c1\n" for n, video in enumerate(("run/a", "run/b", "walk/a", "walk/b"))
    )
    (videos / "groups.csv").write_text(groups)
    out = tmp_path / "out"
    assert run(videos, "--out", out, "--fps", 5)[0] == 0
    assert labels_of(out, home) == labels_of(videos, home)
    assert any(kind == "part" for kind, *_ in labels_of(out, home))


@pytest.mark.usefixtures("small_ray")
def test_tables_of_an_earlier_call_do_not_stay(videos: Path, tmp_path: Path, home: Path) -> None:
    out = tmp_path / "out"
    assert run(videos, "--out", out, "--num-frames", 2)[0] == 0
    (videos / "timestamps.csv").write_text("video,time_start,time_end,label\nrun/a,0,1,walk\n")
    assert run(videos, "--out", out, "--num-frames", 2)[0] == 0
    assert not (out / "labels.csv").exists()
    assert labels_of(out, home) == labels_of(videos, home)


@pytest.mark.usefixtures("small_ray")
def test_a_video_that_does_not_decode_is_named(videos: Path, tmp_path: Path, home: Path) -> None:
    (videos / "run" / "c.mp4").write_bytes(b"no video")
    code, told = run(videos, "--out", tmp_path / "out", "--num-frames", 2)
    assert code == 1 and "8 frames of 4 videos" in told
    assert "no frames  run/c.mp4: not a video" in told
    assert not (tmp_path / "out" / "run" / "c").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--fps", 2, "--stride", 2), "one way"),
        (("--image", "gif"), "jpg or png"),
        (("--image", "png", "--quality", 80), "quality is of JPEG"),
    ],
)
def test_wrong_options_are_told(
    videos: Path, tmp_path: Path, home: Path, words: tuple[object, ...], told: str
) -> None:
    code, output = run(videos, "--out", tmp_path / "out", *words)
    assert code != 0 and told in output


def test_a_folder_of_something_else_is_refused(videos: Path, tmp_path: Path, home: Path) -> None:
    dataset = read_dataset(str(videos), home=home)
    with pytest.raises(UserError, match="new or empty folder"):
        extract_frames(dataset, videos, ExtractOptions())


@pytest.mark.usefixtures("small_ray")
def test_other_options_need_another_folder(videos: Path, tmp_path: Path, home: Path) -> None:
    dataset = read_dataset(str(videos), home=home)
    extract_frames(dataset, tmp_path / "out", ExtractOptions(num_frames=1))
    with pytest.raises(UserError, match="num_frames was 1, is 2"):
        extract_frames(dataset, tmp_path / "out", ExtractOptions(num_frames=2))


@pytest.mark.usefixtures("small_ray")
def test_videos_of_one_name_keep_their_suffix(videos: Path, tmp_path: Path, home: Path) -> None:
    (videos / "run" / "a.mp4").rename(videos / "run" / "b.avi")
    out = tmp_path / "out"
    extract_frames(read_dataset(str(videos), home=home), out, ExtractOptions(num_frames=1))
    names = {path.relative_to(out).as_posix() for path in out.glob("*/*")}
    assert names == {"run/b_avi", "run/b_mp4", "walk/a", "walk/b"}


def test_names_that_would_share_a_folder_are_refused(
    videos: Path, tmp_path: Path, home: Path
) -> None:
    (videos / "run" / "a.mp4").rename(videos / "run" / "B.mp4")
    with pytest.raises(UserError, match=r"run/B.mp4 and run/b.mp4"):
        extract_frames(read_dataset(str(videos), home=home), tmp_path / "out", ExtractOptions())
