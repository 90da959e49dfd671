"""The verbs that look before a study, on videos whose labels are of parts of them."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from vidclass.data.__main__ import app

RUNNER = CliRunner()
pytestmark = pytest.mark.usefixtures("small_ray", "home")


def run(verb: str, *words: object) -> tuple[int, str]:
    result = RUNNER.invoke(app, [verb, *map(str, words)])
    return result.exit_code, result.output + str(result.exception or "")


@pytest.fixture
def new_project(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """A project of DeepEthogram in which nobody has labelled a frame yet."""
    root = tmp_path / "mice_deepethogram"
    for number in range(2):
        folder = root / "DATA" / f"m{number}"
        write_video(folder / f"m{number}.avi", num_frames=6, fps=10, seed=number)
        nothing = pd.DataFrame(-1, index=range(6), columns=["background", "groom"])
        nothing.to_csv(folder / f"m{number}_labels.csv")
    project = {"name": "mice", "class_names": ["background", "groom"], "data_path": "DATA"}
    (root / "project_config.yaml").write_text(yaml.safe_dump({"project": project}))
    return root


@pytest.fixture
def empty_labels(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """Two videos whose only interval has no label yet."""
    for number in range(2):
        write_video(tmp_path / "set" / f"v{number}.mp4", seed=number)
    rows = "video,time_start,time_end,label\nv0,0,0.2,\nv1,0,0.2,\n"
    (tmp_path / "set" / "timestamps.csv").write_text(rows)
    return tmp_path / "set"


@pytest.mark.parametrize("fixture", ["new_project", "empty_labels"])
def test_where_nobody_has_labelled_yet(fixture: str, request: pytest.FixtureRequest) -> None:
    source = request.getfixturevalue(fixture)
    code, told = run("check", source)
    assert code == 0 and "undivided  no video is labelled" in told, told
    code, told = run("confounds", source)
    assert code != 0 and "confounds are of labels" in told
    code, told = run("explore", source)
    assert code == 0 and "videos     2, of which 2 decode" in told, told
    code, told = run("split", source)
    assert code != 0 and "mistake" in told, told


def test_what_the_reader_warns_of_is_told(empty_labels: Path, tmp_path: Path) -> None:
    with (empty_labels / "timestamps.csv").open("a") as table:
        table.write("v1,0.3,0.3,jump\nv1,0.4,0.4,jump\n")
    out = tmp_path / "found.json"
    _, told = run("check", empty_labels, "--out", out)
    warning = "timestamps.csv: 2 rows without length are point events; each marks one frame"
    assert f"warning    {warning}\n" in told
    assert json.loads(out.read_text())["warnings"] == [warning]


@pytest.fixture
def two_annotators(tmp_path: Path, write_video: Callable[..., Path]) -> Path:
    """Twelve videos of 1.2 s, each labelled by ann (walk, rest) and by bob, who knows groom too."""
    rows = ["video,time_start,time_end,label,subject,annotator"]
    for number in range(12):
        write_video(tmp_path / "set" / f"v{number}.mp4", num_frames=12, seed=number)
        rows += [
            f"v{number},0,0.5,walk,left,ann",
            f"v{number},0.5,1,rest,right,ann",
            f"v{number},0,0.6,{'walk' if number % 2 else 'groom'},left,bob",
        ]
    (tmp_path / "set" / "timestamps.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "set"


def test_all_annotators_are_put_together_unless_one_is_named(two_annotators: Path) -> None:
    code, told = run("check", two_annotators)
    assert code == 0 and "divided    5 folds, every video test once" in told, told
    code, told = run("split", two_annotators, "--folds", 2)
    assert code == 0 and {"groom", "rest", "walk"} <= {line.split()[0] for line in lines(told)}
    code, told = run("split", two_annotators, "--folds", 2, "--annotator", "ann")
    assert code == 0 and "groom" not in told and "walk" in told, told
    code, told = run("confounds", two_annotators, "--annotator", "bob", "--subject", "left")
    assert code == 0 and "majority class 50.0 %" in told, told
    code, told = run("explore", two_annotators, "--annotator", "bob")
    assert code == 0 and "groom" in told and "rest" not in told.split(), told
    for verb in ("check", "split"):
        code, told = run(verb, two_annotators, "--annotator", "eve")
        assert code != 0 and "the annotator is in the annotations" in told and "ann, bob" in told


def test_intervals_that_a_study_would_cut_or_refuse_are_named(
    tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    rows = ["video,time_start,time_end,label"]
    for number in range(10):
        write_video(tmp_path / "set" / f"v{number}.mp4", num_frames=12, seed=number)
        rows += [f"v{number},0,0.6,walk", f"v{number},0.6,1.25,rest"]  # within a frame of 1.2 s
    table = tmp_path / "set" / "timestamps.csv"
    table.write_text("\n".join(rows) + "\n")
    code, told = run("check", tmp_path / "set", "--task", "multiclass")
    assert code == 0 and "outside" not in told and "overlapping" not in told, told
    rows[2] = "v0,0.5,3,rest"
    rows.append("v9,2,3,walk")
    table.write_text("\n".join(rows) + "\n")
    code, told = run("check", tmp_path / "set")
    found = [line for line in told.splitlines() if line.startswith("outside")]
    cut = "v0.mp4 00:00:00.500 to 00:00:03.000, rest; --repair outside: cut off where the video"
    assert code == 1 and len(found) == 2 and f"timestamps.csv line 3: {cut}" in found[0], told
    assert "timestamps.csv line 22: v9.mp4" in found[1] and found[1].endswith("dropped")
    assert "warning    1 intervals share time with another label" in told
    code, told = run("check", tmp_path / "set", "--task", "multiclass")
    (line,) = [line for line in told.splitlines() if line.startswith("overlapping")]
    assert "timestamps.csv line 2: v0.mp4" in line and "timestamps.csv line 3 holds" in line
    assert "share time" not in told
    code, told = run("check", tmp_path / "set", "--task", "multilabel")
    assert "overlapping" not in told and "share time" not in told
    assert "--task is a task" in run("check", tmp_path / "set", "--task", "both")[1]


def test_some_classes_and_a_share_of_labelled_parts_are_divided(two_annotators: Path) -> None:
    code, told = run("split", two_annotators, "--folds", 2, "--classes", "groom,rest")
    assert code == 0 and "12 videos in 12 groups" in told and "walk" not in told, told
    code, told = run("split", two_annotators, "--folds", "none", "--share", 0.5)
    assert code == 0 and "6 videos in 6 groups" in told, told
    chosen = ("--annotator", "ann", "--classes", "walk,groom")
    assert "above 0 and at most 1" in run("split", two_annotators, "--share", 5)[1]
    code, told = run("split", two_annotators, "--folds", 2, *chosen)
    assert code != 0 and "a selected class is one of the data set" in told and "groom" in told


def lines(told: str) -> list[str]:
    return [line for line in told.splitlines() if line.strip()]
