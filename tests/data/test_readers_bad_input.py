"""Whatever lies in the folder: every reader returns a data set, or tells the user what is wrong.

Texts are made by hypothesis in all usual encodings and separators; disks that say no are real.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidclass.data.readers import list_readers, read_dataset
from vidclass.data.timecodes import parse_time_s
from vidclass.errors import UserError, UserErrors

NAMES = ("kick/a.mp4", "push/b.avi", "push/über, 2.mp4", "c.mp4")
CLIPS = (
    "YoYo/v_YoYo_g01_c01.avi",
    "YoYo/v_YoYo_g02_c01.avi",
    "wave/F_wave_u_nm_np1_ba_goo_0.avi",
)
TABLES = {
    "folder": ("labels.csv", "groups.csv"),
    "frames": ("labels.csv",),
    "timestamps": ("timestamps.csv",),
    "manifest": ("m.csv", "m.annotations.csv", "m.classes.csv"),
    "ucf101": ("ucfTrainTestlist/trainlist01.txt", "ucfTrainTestlist/classInd.txt"),
    "hmdb51": ("wave_test_split1.txt",),
    "kinetics": ("train.csv",),
    "something": ("x-train.json", "x-labels.json", "x-validation.csv"),
}
"""Tables that each format reads."""
WORDS = (
    "video label group split path video_id start_s end_s frame time_start time_end youtube_id fps "
    "train valid test kick/a.mp4 push/b.avi ../c.mp4 /etc/passwd c YoYo/v_YoYo_g01_c01.avi 1 2 -1 "
    'F_wave_u_nm_np1_ba_goo_0.avi 00:01:00 1e400 nan ü "a,b" "" " { [ ] : {"id":"c","label":"x"}'
).split(" ")
ENCODINGS = ("utf-8", "utf-8-sig", "latin-1", "utf-16", "cp1252")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Files that stand for videos of all formats; tables are put beside them."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "data"
        for file in (*NAMES, *CLIPS):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(b"x")
        (root / "ucfTrainTestlist").mkdir()
        yield root


@st.composite
def texts(draw: Callable) -> bytes:
    """Return rows of words, and of anything, as somebody's program may have written them."""
    cell = st.one_of(st.sampled_from(WORDS), st.text(max_size=8))
    rows = draw(st.lists(st.lists(cell, max_size=7), max_size=7))
    separator = draw(st.sampled_from([",", ";", "\t", " "]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(separator.join(row) for row in rows)
    encoding = draw(st.sampled_from(ENCODINGS))
    return text.encode(encoding, errors="replace") + draw(st.sampled_from([b"", b"\xff", b"\0"]))


def read(format_name: str, root: Path) -> None:
    source = root / "m.csv" if format_name == "manifest" else root
    try:
        read_dataset(f"{format_name}:{source}", home=root.parent / "home", labels_needed=False)
    except (UserError, UserErrors) as error:
        assert str(error)


@pytest.mark.parametrize("format_name", TABLES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_table_is_read_or_told(folder, format_name, data):
    for name in TABLES[format_name]:
        (folder / name).write_bytes(data.draw(texts(), label=name))
    try:
        read(format_name, folder)
    finally:
        for name in TABLES[format_name]:
            (folder / name).unlink()


RECORDS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "label", "template", "c"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=25, deadline=None)
@given(RECORDS)
def test_any_json_is_read_or_told(folder, content):
    (folder / "x-train.json").write_text(json.dumps(content))
    (folder / "x-labels.json").write_text(json.dumps(content))
    try:
        read("something", folder)
    finally:
        (folder / "x-train.json").unlink()
        (folder / "x-labels.json").unlink()


def test_every_registered_format_is_tried_here():
    tried = {*TABLES, "unlabelled", "jester", "moving_shapes"}
    elsewhere = {"boris", "deepethogram"}  # tests of their own
    assert {name for name in list_readers() if not name.startswith("test_")} <= tried | elsewhere


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_mean_the_same_however_they_were_saved(folder, encoding, separator, end):
    name = '"push/über, 2.mp4"'
    rows = [["Video", "LABEL"], ["kick/a.mp4", "Zäh"], [name, '"a ""b"""'], ["push/b", "Zäh"]]
    text = end.join(separator.join(row) for row in rows)
    (folder / "labels.csv").write_bytes(text.encode(encoding))
    try:
        manifest = read_dataset(f"folder:{folder}", home=folder).manifest.set_index("video_id")
    finally:
        (folder / "labels.csv").unlink()
    labels = manifest.loc[["kick/a.mp4", "push/über, 2.mp4", "push/b.avi"], "label"]
    assert labels.tolist() == ["Zäh", 'a "b"', "Zäh"]


def told(folder: Path, text: str) -> str:
    (folder / "labels.csv").write_text(text)
    try:
        read_dataset(f"folder:{folder}", home=folder)
    except (UserError, UserErrors) as error:
        return str(error)
    finally:
        (folder / "labels.csv").unlink()
    return ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../data2/a.mp4", "line 2: ../data2/a.mp4: it lies outside the folder"),
        ("/etc/passwd", "line 2: /etc/passwd: it lies outside the folder"),
        ("KICK/A.MP4", "the file is written kick/a.mp4"),
        ("a.mp4", "did you mean kick/a.mp4?"),
        ("kick/a.mp5", "did you mean kick/a.mp4?"),
        ("x" * 5000, "there is no such file"),
        ("kick/\u202ea.mp4", "did you mean kick/a.mp4?"),
    ],
)
def test_names_that_mean_no_video_say_why(folder, name, reason):
    assert reason in told(folder, f"video,label\n{name},x\nc.mp4,y\n")


def test_names_that_mean_a_video(folder):
    absolute, decomposed = folder / "kick/a.mp4", "push/u\u0308ber, 2.mp4"
    text = f'video,label\n{absolute},x\n"{decomposed}",y\n.\\push\\b.avi,y\nkick/../c,y\n'
    assert told(folder, text) == ""


def test_a_name_without_suffix_that_means_two_files(tmp_path):
    for name in ("a/1.mp4", "a/1.avi", "b/2.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert "it means a/1.avi or a/1.mp4: write the suffix" in told(tmp_path, "video,label\na/1,x\n")


def test_videos_that_differ_by_case_only_are_warned_of(tmp_path):
    for name in ("Kick/a.mp4", "kick/a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    warnings = read_dataset(str(tmp_path), home=tmp_path).warnings
    assert warnings == (
        "videos that differ by upper and lower case only: Kick/a.mp4 and kick/a.mp4",
        "classes that differ by upper and lower case only: Kick and kick",
    )


def test_very_long_and_foreign_names(tmp_path):
    stem = "ф" * 120  # 240 bytes, the most that a file system takes with the suffix
    for name in (f"{'д' * 127}/{stem}.mp4", "日本語/動画 1.mp4", "b\nc/new\nline.mp4"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    dataset = read_dataset(str(tmp_path), home=tmp_path)
    assert sorted(dataset.manifest["label"]) == sorted(["д" * 127, "日本語", "b\nc"])
    with pytest.raises(UserError, match="there is no such file or folder"):
        read_dataset(f"/{'x' * 300}", home=tmp_path)
    with pytest.raises(UserError, match="there is no such file or folder"):
        read_dataset("a\0b", home=tmp_path)


def test_names_that_are_no_unicode(tmp_path):
    """Old archives leave names in other encodings; Python carries their bytes as surrogates."""
    for name in (b"a/caf\xe9.mp4", b"b/x.mp4"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path))
        with open(path, "wb") as file:
            file.write(b"x")
    with pytest.raises(UserErrors, match=r"names that are text in UTF-8.*caf\\udce9.mp4"):
        read_dataset(str(tmp_path), home=tmp_path)


def test_links_out_of_the_folder_are_followed_and_broken_ones_listed(tmp_path):
    for name in ("outside/v.mp4", "data/a/own.mp4", "data/b/other.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "data/a/link.mp4").symlink_to(tmp_path / "outside/v.mp4")
    (tmp_path / "data/b/broken.mp4").symlink_to(tmp_path / "gone.mp4")
    (tmp_path / "data/b/itself").symlink_to(tmp_path / "data/b/itself")
    names = read_dataset(str(tmp_path / "data"), home=tmp_path).manifest["video_id"].tolist()
    assert names == ["a/link.mp4", "a/own.mp4", "b/broken.mp4", "b/other.mp4"]


def test_a_table_that_vanishes_while_it_is_read(folder, monkeypatch):
    """Its name is there when it is looked for, and the file is not when it is opened."""
    (folder / "labels.csv").symlink_to(folder / "gone.csv")
    monkeypatch.setattr(Path, "exists", lambda path: True)
    try:
        with pytest.raises(UserErrors, match="a table can be read.*labels.csv: No such file"):
            read_dataset(f"folder:{folder}", home=folder)
    finally:
        monkeypatch.undo()
        (folder / "labels.csv").unlink()


AS_NOBODY = """
import os, sys
from pathlib import Path
from vidclass.data.readers import read_dataset
from vidclass.errors import UserError, UserErrors
def read(source):
    return read_dataset(source, home=Path("/nowhere"), labels_needed=False).manifest
read(sys.argv[1])  # everything is imported, also what Python itself may keep closed
if os.geteuid() == 0:
    os.setgid(65534); os.setuid(65534)
for source in sys.argv[2:]:
    try:
        print(read(source)["video_id"].tolist())
    except (UserError, UserErrors) as error:
        print("told:", str(error).replace("\\n", " "))
"""


def test_what_is_closed_to_us_is_told():
    """In a process without an administrator's rights, since those pass every lock."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for file in (
            "open/a.mp4",
            "table/a/1.mp4",
            "table/b/2.mp4",
            "shut/a/1.mp4",
            "shut/b/2.mp4",
        ):
            (root / file).parent.mkdir(parents=True)
            (root / file).write_bytes(b"x")
        (root / "open" / "labels.csv").write_text("video,label\na,x\n")
        (root / "table" / "labels.csv").write_text("video,label\n")
        (root / "table" / "labels.csv").chmod(0)
        (root / "shut" / "b").chmod(0)
        sources = [f"{root}/open", f"folder:{root}/table", f"{root}/shut"]
        sources.append(f"manifest:{root}/table/labels.csv")
        command = [sys.executable, "-c", AS_NOBODY, *sources]
        done = subprocess.run(command, capture_output=True, text=True)
        (root / "shut" / "b").chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    assert "labels.csv: Permission denied" in lines[0]
    assert "can be listed" in lines[1] and "shut/b: Permission denied" in lines[1]
    assert "labels.csv: Permission denied" in lines[2]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789:., -+eE\u0661", max_size=12))
def test_any_text_is_a_time_or_none(text):
    try:
        seconds = parse_time_s(text)
    except ValueError as error:
        assert "time" in str(error) or "at most 59" in str(error)
    else:
        assert 0 <= seconds < float("inf")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("12.5", 12.5),
        ("12,5", 12.5),
        ("1:15.5", 75.5),
        ("01:00:00", 3600),
        ("90:00", 5400),
        (" 7. ", 7),
    ],
)
def test_times(text, seconds):
    assert parse_time_s(text) == seconds
