"""Studies submitted through Ray Jobs to a real cluster: sent, followed, listed, stopped."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.conftest import Home
from tests.sharing.conftest import Nodes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def run(folder: Path, *words: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``vidclass sweep`` on the laptop: a folder of its own, no home of the cluster's."""
    environment = {**os.environ, "VIDCLASS_HOME": str(folder / "laptop")}
    if token is not None:
        environment["RAY_AUTH_TOKEN"] = token
    return subprocess.run(
        [sys.executable, "-m", "vidclass.sweep", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1200,
    )


def test_a_study_with_a_plugin_is_sent_followed_and_asked_about(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    tmp_path: Path,
    repository: Path,
) -> None:
    home = new_home(made_data, ("datasets",))
    there = ["--address", new_cluster(home, head_cpus=2, jobs=True).url]
    study = str(repository / "docs" / "tiny.yaml")
    plugin = str(repository / "docs" / "tiny_model.py")

    sent = run(tmp_path, "submit", study, "--plugin", plugin, *there, "--follow")
    assert sent.returncode == 0, sent.stdout + sent.stderr
    assert "submitted tiny as tiny-" in sent.stdout
    assert "tiny is complete" in sent.stdout
    state = home.state("tiny")
    assert state.end_reason == "complete"
    assert {trial.arm for trial in state.trials.values()} == {"floors", "mine", "slow"}
    assert not (tmp_path / "laptop" / "studies").exists()

    asked = run(tmp_path, "status", "tiny", *there)
    assert asked.returncode == 0
    assert "tiny is complete" in asked.stdout
    assert "complete" not in run(tmp_path, "status", "nothing", *there).stdout
    assert "tiny" in run(tmp_path, "list", *there).stdout
    printed = run(tmp_path, "logs", "tiny", *there)
    assert printed.returncode == 0
    assert "report" in printed.stdout

    # a mistake that only the cluster can see is told there, and is the study's exit code
    lost = run(tmp_path, "submit", study, "--plugin", plugin, "--data", "/no/where", *there, "-f")
    assert lost.returncode == 2, lost.stdout + lost.stderr
    assert "/no/where" in lost.stdout

    refused = run(tmp_path, "list", *there, token="0" * 64)
    assert refused.returncode == 2
    assert "token" in refused.stderr


def test_a_stopped_study_is_continued_by_submitting_it_again(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    tmp_path: Path,
    repository: Path,
) -> None:
    text = (repository / "sweeps" / "smoke.yaml").read_text()
    assert "epochs: 2" in text
    # long enough to be asked about twice before it is stopped
    study = str(tmp_path / "long.yaml")
    Path(study).write_text(text.replace("study: smoke", "study: long").replace("s: 2}", "s: 12}"))
    home = new_home(made_data, ("datasets",))
    there = ["--address", new_cluster(home, head_cpus=2, jobs=True).url]
    assert run(tmp_path, "submit", study, *there).returncode == 0
    home.wait("an epoch", lambda: any(t.epochs for t in home.state("long").trials.values()))
    again = run(tmp_path, "submit", study, *there)
    assert again.returncode == 2
    assert "one driver at a time" in again.stderr
    assert run(tmp_path, "status", "long", *there).returncode == 4

    stopped = run(tmp_path, "stop", "long", *there)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert run(tmp_path, "status", "long", *there).returncode == 130
    assert home.events("long", event="interrupted")

    before = set(home.state("long").trials)
    ended = run(tmp_path, "submit", study, *there, "--follow")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert home.state("long").end_reason == "complete"
    assert before <= set(home.state("long").trials)
