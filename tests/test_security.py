"""What docs/security.md promises and no cluster is needed to see."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vidclass.cluster import mlflow_server
from vidclass.errors import UserError, UserErrors
from vidclass.sweep.cluster import _tighten_token
from vidclass.sweep.load import load_study_file
from vidclass.training.checkpoints import CheckpointFolder

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "joblib.load", "marshal.loads", "shelve.open",
    "tarfile.extractall", "shutil.unpack_archive",
}  # fmt: skip
"""Calls that run what a file or a text says."""


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Yield (place, call) of every call of the package."""
    for path in sorted((ROOT / "vidclass").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def keyword(call: ast.Call, name: str) -> Any:
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == name), None)


def test_nothing_that_is_read_is_run() -> None:
    wrong = []
    for place, call in calls():
        name = ast.unparse(call.func)
        if name in FORBIDDEN or keyword(call, "shell") == "True":
            wrong.append((place, name))
        if name == "torch.load" and keyword(call, "weights_only") != "True":
            wrong.append((place, "torch.load without weights_only"))
        if name in ("np.load", "numpy.load") and keyword(call, "allow_pickle") == "True":
            wrong.append((place, "np.load with pickles"))
    assert wrong == []


class Program:
    """Pickled, it makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def test_a_poisoned_checkpoint_is_refused_even_with_a_right_hash(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "t0001", attempt=1)
    name = folder.save_best(1, {"w": torch.zeros(2)}, {"valid_accuracy": 0.5})
    mark = tmp_path / "ran"
    path = tmp_path / "t0001" / name
    torch.save({"weights": Program(mark)}, path)
    sidecar = path.with_name(f"{name}.json")
    old = re.search(r'"sha256": ?"(\w+)"', sidecar.read_text())
    assert old is not None
    sidecar.write_text(sidecar.read_text().replace(old[1], CheckpointFolder._sha256(path)))
    with pytest.raises(Exception, match="weights_only"):
        folder.load(name)
    assert not mark.exists()


POISONS = (
    "!!python/object/apply:os.system ['touch {mark}']",
    "!!python/name:os.system",
    "$(touch {mark})",
    "`touch {mark}`",
    "{{{{ cycler.__init__.__globals__.os.system('touch {mark}') }}}}",
    "__import__('os').system('touch {mark}')",
    "; touch {mark} #",
)
FIELDS = ("study: smoke", "source: moving_shapes", "model: single_frame", "name: single")


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("poison", POISONS)
def test_a_study_file_runs_nothing(field: str, poison: str, tmp_path: Path, home: Path) -> None:
    mark = tmp_path / "ran"
    text = (ROOT / "sweeps" / "smoke.yaml").read_text()
    assert field in text
    told = poison.format(mark=mark)
    value = told if told.startswith("!!") else yaml.safe_dump(told).removesuffix("...\n").strip()
    file = tmp_path / "poisoned.yaml"
    file.write_text(text.replace(field, f"{field.split(':')[0]}: {value}", 1))
    try:
        load_study_file(str(file), look_only=True)
    except (UserError, UserErrors):
        pass  # most are refused; what is accepted is a text
    assert not mark.exists()


def test_the_token_is_made_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _tighten_token()  # nothing to do, and no error
    token = tmp_path / ".ray" / "auth_token"
    token.parent.mkdir()
    token.write_text("secret")
    token.chmod(0o644)
    _tighten_token()
    assert token.stat().st_mode & 0o777 == 0o600


def test_every_port_of_the_cluster_files_is_on_the_page() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    listed = set(re.findall(r"^\| (\d+)", page, re.MULTILINE))
    for name in ("cluster.yaml", "cluster/onprem.yaml"):
        config = yaml.safe_load((ROOT / name).read_text())
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            ports = set(re.findall(r"port=(\d+)", config[key][-1])) - {"10999"}
            assert len(ports) > 6 and ports <= listed, ports - listed
    assert {"5000", "8265", "22"} <= listed


def test_mlflow_listens_on_the_head_alone_and_no_password_is_among_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "mlflow.env"
    settings.write_text("# ours\nMLFLOW_BACKEND_STORE_URI=postgresql://me:secret@db/runs\n")
    settings.chmod(0o644)
    told = mlflow_server.environment(settings, tmp_path)
    assert told["MLFLOW_BACKEND_STORE_URI"] == "postgresql://me:secret@db/runs"
    assert settings.stat().st_mode & 0o777 == 0o600
    words = mlflow_server.command(tmp_path)
    assert "secret" not in " ".join(words) and words[words.index("--host") + 1] == "127.0.0.1"
    assert words[words.index("--allowed-hosts") + 1] == "127.0.0.1:*,localhost:*"
    absent = mlflow_server.environment(tmp_path / "none", tmp_path)
    assert absent["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_mlflow_takes_the_words_that_it_is_started_with(tmp_path: Path) -> None:
    options = [word for word in mlflow_server.command(tmp_path) if word.startswith("--")]
    told = subprocess.run(
        [sys.executable, "-m", "mlflow", "server", "--help"], capture_output=True, text=True
    ).stdout
    assert [option for option in options if option not in told] == []
