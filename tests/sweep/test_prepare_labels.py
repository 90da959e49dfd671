"""What a study tells of labels of frames and of parts before it begins."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.data.test_near_duplicates import footage, write
from tests.sweep.test_prepare_leaks import prepared
from vidclass.errors import UserErrors
from vidclass.sweep.load import load_study_file
from vidclass.sweep.plan import plan_lines
from vidclass.sweep.screen import Screen

WINDOWS = "data.windows={length_frames: 3, stride_frames: 3}"


@pytest.mark.usefixtures("small_ray")
def test_frames_and_labels_that_are_not_the_same_are_refused(home: Path, tmp_path: Path) -> None:
    rows = []
    for k in range(6):
        write(tmp_path / f"v{k}.mp4", footage(k)[:12])
        rows += [f"v{k},{frame},{'ab'[frame // 6]}" for frame in range(12)]
    rows.remove("v3,7,b")
    (tmp_path / "labels.csv").write_text("\n".join(["video,frame,label", *rows]) + "\n")
    with pytest.raises(UserErrors, match="every frame has a label row") as told:
        prepared(tmp_path, home, WINDOWS)
    assert "v3.mp4: 12 frames, 11 labels (-1), without label: 7" in str(told.value)


@pytest.mark.usefixtures("small_ray")
def test_what_the_reader_warns_of_is_told_by_plan_and_study(home: Path, tmp_path: Path) -> None:
    rows = ["v0,0.5,0.5,a"]
    for k in range(14):
        write(tmp_path / f"v{k}.mp4", footage(k)[:24])
        rows += [f"v{k},0,0.8,{'ab'[k % 2]}", f"v{k},0.8,{9 if k == 3 else 1.2},{'ba'[k % 2]}"]
    table = tmp_path / "timestamps.csv"
    table.write_text("\n".join(["video,time_start,time_end,label", *rows]) + "\n")
    warned = "timestamps.csv: 1 rows without length are point events; each marks one frame"
    words = ("data.store.short_side=32", "data.split.folds=7", WINDOWS)
    loaded = load_study_file("smoke", data=str(tmp_path), overrides=words)
    assert f"warning    {warned}" in list(plan_lines(loaded, home))
    data = prepared(tmp_path, home, WINDOWS, "data.window.span_s=0.1").state.data
    assert data["warnings"][0] == warned and len(data["warnings"]) == 2
    assert (
        "beyond their video count up to its end: 1, first timestamps.csv line 10: v3.mp4"
        in (data["warnings"][1])
    )


def test_a_warning_stays_as_it_is_written() -> None:
    told = io.StringIO()
    Screen(Console(file=told, width=40)).warn(["[a.tsv] is one of many tables without a subject"])
    assert told.getvalue() == "warning: [a.tsv] is one of many tables without a subject\n"
