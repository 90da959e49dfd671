"""``--smoke`` of every study file that ships runs to its end: no videos, weights or network."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidclass.study import load_study
from vidclass.sweep.load import load_study_file

SWEEPS = Path(__file__).resolve().parents[2] / "sweeps"
STUDIES = sorted(path.stem for path in SWEEPS.glob("*.yaml") if path.stem != "smoke")
MOST_SECONDS = 1500


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One home for all, so that the videos are made and decoded once; hubs are told to be away."""
    home = tmp_path_factory.mktemp("home")
    ray_folder = tempfile.mkdtemp(prefix="vc-", dir="/tmp")  # a socket's path is short
    offline = {"HF_HUB_OFFLINE": "1", "https_proxy": "http://127.0.0.1:9"}
    paths = {"VIDCLASS_HOME": str(home), "VIDCLASS_RAY_TEMP": ray_folder}
    yield {**os.environ, **offline, **paths}
    shutil.rmtree(ray_folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(MOST_SECONDS + 60)
@pytest.mark.parametrize("name", STUDIES)
def test_every_study_smokes_to_its_report(
    name: str, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vidclass.sweep", str(SWEEPS / f"{name}.yaml"), "--smoke"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    loaded = load_study_file(str(SWEEPS / f"{name}.yaml"), smoke=True)
    monkeypatch.setenv("VIDCLASS_HOME", environment["VIDCLASS_HOME"])
    study = load_study(loaded.name)
    assert study.state.end_reason == "complete"
    trials = study.trials()
    failed = trials.loc[~trials["status"].isin(["completed", "stopped", "collapsed", "diverged"])]
    assert failed.empty, failed.to_string()
    scored = {final.arm for final in study.state.finals.values()}
    assert scored == {arm.name for arm in loaded.spec.arms}
    (report,) = tmp_path.glob("reports/*")
    assert json.loads((report / "verdict.json").read_text())
    assert (report / "report.html").stat().st_size > 10_000
