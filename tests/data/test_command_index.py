"""``vidclass data index`` as a user calls it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidclass.data.__main__ import app
from vidclass.data.readers import read_dataset
from vidclass.errors import UserError, UserErrors

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("kick/s1_a.mp4", "kick/s2_b.mp4", "push/s1_c.mp4", "push/s2_d.mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "labels.csv").write_text(
        "video,label,split,animal\nkick/s1_a,kick,train,m1\nkick/s2_b,kick,test,m2\n"
        "push/s1_c,Kick,train,m1\n"
    )
    return root


def test_the_summary_and_the_file(folder: Path, home: Path, tmp_path: Path) -> None:
    out = tmp_path / "index.parquet"
    done = RUNNER.invoke(app, ["index", str(folder), "--out", str(out), "--group-pattern", "(s.)_"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == f"4 videos in {folder}, 1 of them without a label"
    assert "groups     2" in lines and "columns    animal (2)" in lines
    assert "split      train 2, test 1, unused 1" in lines
    assert any(line.startswith("warning    classes that differ by upper") for line in lines)
    assert lines[-1] == f"written: {out}; use it as --data {out}"
    again = read_dataset(str(out), home=home)
    assert len(again.manifest) == 4 and again.groups_known


def test_many_classes_are_cut_short(tmp_path: Path, home: Path) -> None:
    for number in range(25):
        (tmp_path / "set" / f"c{number:02d}").mkdir(parents=True)
        (tmp_path / "set" / f"c{number:02d}" / "v.mp4").write_bytes(b"x")
    output = RUNNER.invoke(app, ["index", str(tmp_path / "set")]).output
    assert "c19" in output and "c20" not in output and "... and 5 more classes" in output


def test_unlabelled_videos_can_be_indexed(tmp_path: Path, home: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.mp4").write_bytes(b"x")
    done = RUNNER.invoke(app, ["index", str(tmp_path / "set")])
    assert done.exit_code == 0
    assert "1 videos" in done.output and "1 of them without a label" in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "there is no such file or folder"),
        (["ucf101:{folder}"], "v_CLASS_gNN_cNN"),
        (["{folder}", "--out", "x.json"], "is .csv or .parquet"),
        (["{folder}", "--out", "{folder}/labels.csv/x.csv"], "file can be written"),
        (["{folder}", "--group-pattern", "("], "regular expression"),
    ],
)
def test_mistakes(folder: Path, home: Path, arguments: list[str], told: str) -> None:
    done = RUNNER.invoke(app, ["index", *(each.format(folder=folder) for each in arguments)])
    assert isinstance(done.exception, UserError | UserErrors) and told in str(done.exception)
