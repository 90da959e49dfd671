"""``index``, ``check``, ``split`` and ``explore`` in sequence on three real sets."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from vidclass.data.__main__ import app

RUNNER = CliRunner()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.usefixtures("small_ray", "home"),
]


def run(verb: str, *words: object, code: int = 0) -> str:
    result = RUNNER.invoke(app, [verb, *map(str, words)])
    told = result.output + str(result.exception or "")
    assert result.exit_code == code, told
    return told


@pytest.mark.parametrize(
    ("name", "options", "num_videos", "num_groups"),
    [("ut_interaction", ("--group-pattern", r"(seq\d+)"), 120, 20), ("surv_fight", (), 179, 34)],
)
def test_labelled_sets(
    shared_data: Path,
    tmp_path: Path,
    name: str,
    options: tuple[str, ...],
    num_videos: int,
    num_groups: int,
) -> None:
    table, found = tmp_path / "index.csv", tmp_path / "found.json"
    splits, page = tmp_path / "splits.csv", tmp_path / "page.html"
    told = run("index", shared_data / name, *options, "--out", table)
    assert f"{num_videos} videos in" in told and f"groups     {num_groups}\n" in told
    told = run("check", table, "--out", found)
    assert f"decoded    {num_videos} of {num_videos} files, every frame" in told
    assert json.loads(found.read_text())["clean"]
    told = run("split", table, "--out", splits)
    assert f"{num_videos} videos in {num_groups} groups" in told
    assert "no footage is in two splits" in told
    of_group = pd.read_csv(splits).groupby(["fold", "group"])["split"]
    assert (of_group.nunique() == 1).all()
    told = run("explore", table, "--out", page)
    assert f"{num_videos}, of which {num_videos} decode" in told
    assert page.read_text().startswith("<!")


def test_odd_files(shared_data: Path, tmp_path: Path) -> None:
    """The folders are no classes: one holds a file of another, and one has a single file."""
    table, page = tmp_path / "index.csv", tmp_path / "page.html"
    assert "52 videos in" in run("index", shared_data / "decode_fixtures", "--out", table)
    told = run("check", table, code=1)
    assert "decoded    50 of 50 different files, every frame" in told
    assert "same file  mmaction2/part_0.mp4 = mmaction2/part_1.mp4\n" in told
    assert "conflict   one file, several labels: mmaction2/test.avi (mmaction2) = ucf101/v_" in told
    assert "undivided  each class has at least 3 groups" in told and "class ucf101 has 1" in told
    assert "class ucf101 has 1" in run("split", table, code=1)
    told = run("split", table, "--classes", "mmaction2,torchcodec", "--folds", "none", code=1)
    assert "show the same footage" in told
    assert "52, of which 52 decode" in run("explore", table, "--out", page)
    assert page.read_text().startswith("<!")
