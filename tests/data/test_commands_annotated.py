"""The verbs that look before a study, on videos whose labels are of parts of them."""

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
