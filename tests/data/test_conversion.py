"""Labels in time to labels of frames, and back."""

import pandas as pd
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.conversion import Conversion, convert
from vidclass.errors import UserError, UserErrors

HEADER = "video,time_start,time_end,label\n"


@pytest.fixture
def run(tmp_path):
    """``run(text, fps=..., **options)`` converts a table and returns what was written, as text."""

    def run(text, *, source="in.csv", output="out.csv", fps=None, videos=None, **options):
        path = tmp_path / source
        if text is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        words = {"to": None, "task": "multiclass", "repair": [], "background": None}
        words |= {"annotator": None, "subject": None, **options}
        wanted = Conversion.of(**words)
        run.told = convert(
            str(path), tmp_path / output, wanted, tmp_path / "home", fps, videos, None
        )
        return (tmp_path / output).read_text()

    run.folder = tmp_path
    return run


def report(run):
    return pd.read_csv(run.folder / "out.report.csv")


def test_whole_seconds_give_fps_rows_each(run):
    """The ancestor's rule, [start, end) at 2 fps; and its hours are not dropped."""
    text = HEADER + "a,00:00:00,00:00:02,search\na,00:00:02,00:00:03,breath\n"
    run(text, fps=2.0)
    out = pd.read_csv(run.folder / "out.csv")
    assert list(out) == ["video", "frame", "label"]
    assert out["frame"].tolist() == [0, 1, 2, 3, 4, 5]
    assert out["label"].tolist() == ["search"] * 4 + ["breath"] * 2
    assert "6 rows of 1 videos; no row had to be touched" in run.told
    assert not (run.folder / "out.report.csv").exists()
    run(HEADER + "a,05:59:59,06:00:00,search\n", fps=2.0, repair=["unlabelled"])
    out = pd.read_csv(run.folder / "out.csv")
    assert len(out) == 43_200 and out["label"].notna().sum() == 2


# The kinds of dirt that the ancestor's file of 1,842 rows held, as the design restates them.
DIRT = (
    HEADER
    + "a,00:00:01,00:00:04,search\n"  # does not start at 0
    + "a,00:00:04,00:00:04,breath\n"  # zero-length
    + "a,00:00:09,00:00:04,ascent\n"  # reversed
    + "a,00:00:08,00:00:12,descent\n"  # overlaps the one before
    + "a,00:00:12,00:00:14,\n"  # no label
    + "a,00:00:14,06:00:00,search\n"  # hours that were meant to be minutes
    + "a,00:00:14,06:00:00,search\n"  # the row again
)


def test_dirt_is_refused_with_its_lines_and_nothing_is_written(run, write_video):
    write_video(run.folder / "films" / "a.mp4", num_frames=40, fps=2)
    with pytest.raises(UserErrors) as error:
        run(DIRT, videos=run.folder / "films")
    told = str(error.value)
    for line, rule in ((4, "reversed"), (3, "empty"), (8, "duplicate"), (7, "outside")):
        assert f"no interval is {rule}; received: in.csv line {line} (a " in told
    assert "no interval is unlabelled; received: in.csv line 6" in told
    assert not (run.folder / "out.csv").exists()
    assert set(report(run)["action"]) == {"refused"}


def test_dirt_is_repaired_and_every_row_touched_is_told(run, write_video):
    write_video(run.folder / "films" / "a.mp4", num_frames=40, fps=2)
    run(DIRT, videos=run.folder / "films", repair=["all"])
    out = pd.read_csv(run.folder / "out.csv")
    assert out["label"].fillna("").tolist() == (
        [""] * 2 + ["search"] * 6 + ["breath"] + ["ascent"] * 7 + ["descent"] * 8 + [""] * 4
        + ["search"] * 12
    )  # fmt: skip
    touched = report(run).set_index("problem")
    assert touched["source"].to_dict() == {
        "reversed": "in.csv line 4", "empty": "in.csv line 3", "duplicate": "in.csv line 8",
        "outside": "in.csv line 7", "overlapping": "in.csv line 4",
        "unlabelled": "time without a row",
    }  # fmt: skip
    assert "1 reversed, 1 duplicate, 1 outside, 1 empty, 2 unlabelled, 1 overlapping" in run.told
    assert "cut off where the video ends" in touched.loc["outside", "action"]


def test_mended_timestamps(run):
    """A table may be mended without becoming one of frames."""
    run(DIRT, to="timestamps", repair=["all"])
    out = pd.read_csv(run.folder / "out.csv", dtype=str)
    assert out["time_start"].tolist()[2:4] == ["00:00:04.000", "00:00:08.000"]
    again = run.folder / "again.csv"
    again.write_text((run.folder / "out.csv").read_text())
    run(None, source="again.csv", output="final.csv", to="timestamps", repair=["unlabelled",
                                                                          "empty"])  # fmt: skip
    assert (run.folder / "final.csv").read_text() == again.read_text()


def test_background_fills_time_without_a_row(run):
    run(HEADER + "a,1,2,groom\na,3,4,rear\n", fps=1.0, background="none")
    out = pd.read_csv(run.folder / "out.csv")
    assert out["label"].tolist() == ["none", "groom", "none", "rear"]


def test_several_labels_at_a_time(run):
    text = HEADER + "a,0,2,groom\na,1,4,rear\na,5,6,rear\n"
    with pytest.raises(UserErrors, match=r"no interval is overlapping.*in\.csv line 2"):
        run(text, fps=1.0)
    with pytest.raises(UserErrors, match="1 frames of a without behaviour, first 4.*background"):
        run(text, fps=1.0, task="multilabel")
    run(text, fps=1.0, task="multilabel", background="none")
    out = pd.read_csv(run.folder / "out.csv")
    assert list(zip(out["frame"], out["label"], strict=True)) == [
        (0, "groom"), (1, "groom"), (1, "rear"), (2, "rear"), (3, "rear"), (4, "none"),
        (5, "rear"),
    ]  # fmt: skip
    text = (run.folder / "out.csv").read_text()
    run(text, source="frames.csv", output="times.csv", fps=1.0, task="multilabel")
    assert (run.folder / "times.csv").read_text().splitlines() == [
        "video,time_start,time_end,label",
        "a,00:00:00.000,00:00:02.000,groom",
        "a,00:00:01.000,00:00:04.000,rear",
        "a,00:00:04.000,00:00:05.000,none",
        "a,00:00:05.000,00:00:06.000,rear",
    ]


def test_what_is_said_of_a_video_is_kept(run):
    text = "video,time_start,time_end,label,split,cage\na,0,2,x,train,c1\nb,0,1,y,test,c2\n"
    run(text, fps=1.0)
    assert (run.folder / "out.csv").read_text().splitlines() == [
        "video,frame,label,split,cage", "a,0,x,train,c1", "a,1,x,train,c1", "b,0,y,test,c2",
    ]  # fmt: skip


def test_several_annotators(run):
    text = "video,time_start,time_end,label,annotator\na,0,2,x,ann\na,0,1,x,bob\na,1,2,y,bob\n"
    with pytest.raises(UserError, match="ann, bob"):
        run(text, fps=1.0)
    run(text, fps=1.0, annotator="bob")
    assert pd.read_csv(run.folder / "out.csv")["label"].tolist() == ["x", "y"]


def test_a_boris_export_becomes_frames(run, write_video):
    write_video(run.folder / "set" / "a.mp4", num_frames=10, fps=5)
    text = (
        "Observation id\tMedia file\tSubject\tBehavior\tBehavior type\tStart (s)\tStop (s)\n"
        "o\tC:\\a.mp4\tm1\tgroom\tSTATE\t0.4\t1.2\n"
    )
    (run.folder / "set" / "events.tsv").write_text(text)
    run(None, source="set", background="none")
    assert pd.read_csv(run.folder / "out.csv")["label"].tolist() == (
        ["none"] * 2 + ["groom"] * 4 + ["none"] * 4
    )


def test_videos_of_a_data_set_that_do_not_open_are_refused_or_left_out(run, write_video):
    write_video(run.folder / "set" / "a.mp4", num_frames=10, fps=5)
    (run.folder / "set" / "b.mp4").write_bytes(b"no video")
    text = HEADER + "a,0,2,x\nb,0,1,x\nb,1,2,y\n"
    (run.folder / "set" / "timestamps.csv").write_text(text)
    with pytest.raises(UserErrors, match="no interval is unreadable") as error:
        run(None, source="set")
    assert "timestamps.csv line 3 (b.mp4 " in str(error.value) and "line 4" in str(error.value)
    assert not (run.folder / "out.csv").exists()
    out = run(None, source="set", repair=["unreadable"])
    assert len(out.splitlines()) == 11 and "b.mp4" not in out
    assert "2 unreadable" in run.told and report(run)["problem"].tolist() == ["unreadable"] * 2
    assert set(report(run)["action"]) == {"left out: the video does not open"}


def test_frames_of_a_data_set_become_times(run, write_video):
    write_video(run.folder / "set" / "v.mp4", num_frames=6, fps=10)
    rows = "".join(f"v,{k},{x}\n" for k, x in enumerate("aaabbb"))
    (run.folder / "set" / "labels.csv").write_text("video,frame,label\n" + rows)
    run(None, source="set")
    assert (run.folder / "out.csv").read_text().splitlines()[1:] == [
        "v.mp4,00:00:00.000,00:00:00.300,a", "v.mp4,00:00:00.300,00:00:00.600,b",
    ]  # fmt: skip


def test_names_of_images_are_kept(run):
    from PIL import Image

    folder = run.folder / "films" / "a"
    folder.mkdir(parents=True)
    for k in (1, 2, 10):
        Image.new("RGB", (8, 8)).save(folder / f"f{k}.png")
    run(HEADER + "a,0,2,x\na,2,3,y\n", videos=run.folder / "films")
    assert pd.read_csv(run.folder / "out.csv")["frame"].tolist() == ["f1.png", "f2.png", "f10.png"]
    frames = (run.folder / "out.csv").read_text()
    run(frames, source="frames.csv", output="times.csv", fps=1.0)
    assert pd.read_csv(run.folder / "times.csv")["time_end"].tolist() == [
        "00:00:02.000", "00:00:03.000",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (HEADER + "a,0,1,x\n", {}, "times become frames by a rate.*none given for a"),
        (
            "video,frame,label\na,0,x\n",
            {},
            r"become times by a rate.*in\.csv line 2: none given for a",
        ),
        (HEADER + "a,0,1,x\n", {"fps": 0.0}, "above 0 frames a second"),
        (HEADER + "a,0,1,x\n", {"fps": 1.0, "to": "frame"}, "word is known.*frames or timestamps"),
        (HEADER + "a,0,1,x\n", {"fps": 1.0, "task": "both"}, "multiclass or multilabel"),
        (HEADER + "a,0,1,x\n", {"fps": 1.0, "repair": ["gaps"]}, "can be repaired is known.*gaps"),
        (HEADER + ",0,1,x\n", {"fps": 1.0}, r"names a video.*in\.csv line 2: empty"),
        (HEADER + "a,0,x,x\n", {"fps": 1.0}, r"in\.csv line 2: x .not a time"),
        ("video,frame,label\na,0,x\na,one,x\n", {"fps": 1.0}, None),
        (HEADER + "a,0,1,x\n", {"output": "in.csv", "fps": 1.0}, "another file than the source"),
    ],
)
def test_what_cannot_be_converted(run, text, options, told):
    if told is None:  # names that are no numbers are put in order
        run(text, **options)
        return
    with pytest.raises((UserError, UserErrors), match=told):
        run(text, **options)


def test_videos_that_are_not_there_or_do_not_open(run, write_video):
    write_video(run.folder / "films" / "a.mp4")
    (run.folder / "films" / "b.mp4").write_bytes(b"no video")
    text = HEADER + "a,0,1,x\nb,0,1,x\nc,0,1,x\n"
    with pytest.raises(UserErrors, match=r"in\.csv line 3: b does not open") as error:
        run(text, videos=run.folder / "films")
    assert "in.csv line 4: c is not there" in str(error.value)


def test_an_image_that_is_not_there_is_told_with_its_line(run):
    for name in ("a1.jpg", "a2.jpg"):
        (run.folder / "films" / "a").mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (16, 16)).save(run.folder / "films" / "a" / name)
    text = "video,frame,label\na,a1.jpg,x\na,a7.jpg,x\n"
    with pytest.raises(UserErrors, match=r"in\.csv line 3: a has no image a7\.jpg"):
        run(text, videos=run.folder / "films", fps=1.0)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    videos=st.lists(
        st.lists(st.sampled_from(["groom", "rear, high", "Fuß", None]), min_size=1, max_size=40),
        min_size=1,
        max_size=3,
    ),
    fps=st.sampled_from([0.5, 1.0, 2.0, 10.0, 23.976, 25.0, 30000 / 1001, 60.0, 240.0]),
)
def test_frames_to_times_and_back_is_the_same_table(run, videos, fps):
    rows = [
        (f"v{n}", k, label) for n, labels in enumerate(videos) for k, label in enumerate(labels)
    ]
    table = pd.DataFrame(rows, columns=["video", "frame", "label"])
    table.to_csv(run.folder / "frames.csv", index=False)
    frames = (run.folder / "frames.csv").read_text()
    run(frames, source="frames.csv", output="times.csv", fps=fps, repair=["unlabelled"])
    times = (run.folder / "times.csv").read_text()
    back = run(times, source="times.csv", output="back.csv", fps=fps, repair=["unlabelled"])
    assert back == frames


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.lists(
        st.lists(
            st.sampled_from(["a", "b", "0", "1", "2.5", "00:01:00", "", "x y", "-1", "9:99"]),
            min_size=4,
            max_size=4,
        ),
        max_size=6,
    )
)
def test_any_table_is_converted_after_repair_or_told(run, cells):
    text = HEADER + "".join(",".join(row) + "\n" for row in cells)
    try:
        run(text, fps=2.0, repair=["all"])
    except UserErrors as error:
        assert "in.csv line" in str(error)
