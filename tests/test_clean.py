import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidclass import clean
from vidclass.errors import UserError, UserErrors

RUNNER = CliRunner()


def make_entry(home: Path, name: str, size: int = 1000, age_days: float = 0.0) -> Path:
    folder = home / name
    folder.mkdir(parents=True)
    file = folder / "bytes"
    file.write_bytes(b"x" * size)
    then = time.time() - age_days * 86_400
    os.utime(file, (then, then))
    os.utime(folder, (then, then))
    return folder


def lock(study: Path, pid: int, host: str | None = None) -> None:
    owner = {"host": host or socket.gethostname(), "pid": pid, "time": time.time()}
    (study / "driver.lock").write_text(json.dumps(owner))


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def full_home(home: Path) -> Path:
    make_entry(home, "store/aaaa", 5000, age_days=40)
    make_entry(home, "store/bbbb", 3000, age_days=1)
    make_entry(home, "datasets/moving_shapes", 2000)
    make_entry(home, "studies/fusion_study", 1000)
    (home / "mlflow.db").write_bytes(b"kept")
    return home


def test_an_empty_home_lists_nothing(home: Path) -> None:
    assert clean.list_entries(home) == []


def test_the_list_has_sizes_and_ages_and_the_largest_first(full_home: Path) -> None:
    entries = clean.list_entries(full_home)
    assert [entry.name for entry in entries] == [
        "store/aaaa",
        "store/bbbb",
        "datasets/moving_shapes",
        "studies/fusion_study",
    ]
    assert [entry.size_bytes for entry in entries] == [5000, 3000, 2000, 1000]
    assert entries[0].age_days == pytest.approx(40, abs=0.1)


def test_without_a_choice_nothing_is_removed(full_home: Path) -> None:
    result = RUNNER.invoke(clean.app, [])
    assert result.exit_code == 0
    assert "store/aaaa" in result.output and "vidclass clean NAME" in result.output
    assert len(clean.list_entries(full_home)) == 4


def test_a_no_removes_nothing(full_home: Path) -> None:
    result = RUNNER.invoke(clean.app, ["--stores"], input="n\n")
    assert result.exit_code == 1
    assert len(clean.list_entries(full_home)) == 4


def test_yes_removes_what_was_chosen_and_only_that(full_home: Path) -> None:
    result = RUNNER.invoke(clean.app, ["--stores", "--older-than", "30", "--yes"])
    assert result.exit_code == 0, result.output
    assert not (full_home / "store/aaaa").exists()
    assert sorted(path.name for path in (full_home / "store").iterdir()) == ["bbbb"]
    assert (full_home / "studies/fusion_study/bytes").exists()
    assert (full_home / "mlflow.db").exists()


@pytest.mark.parametrize("name", ["../outside", "store/../..", "/etc", "mlflow.db", "store"])
def test_a_name_that_is_no_entry_is_refused(full_home: Path, name: str) -> None:
    with pytest.raises(UserErrors, match="stores, data sets and studies of the home folder"):
        clean.select(clean.list_entries(full_home), [name])


def test_every_wrong_name_is_told_at_once(full_home: Path) -> None:
    with pytest.raises(UserErrors) as caught:
        clean.select(clean.list_entries(full_home), ["store/zzzz", "studies/none"])
    assert len(caught.value.errors) == 2


def test_a_link_out_of_the_home_is_neither_listed_nor_removed(
    full_home: Path, tmp_path: Path
) -> None:
    outside = make_entry(tmp_path, "outside")
    link = full_home / "store/link"
    link.symlink_to(outside)
    assert "store/link" not in {entry.name for entry in clean.list_entries(full_home)}
    entry = clean.Entry("store", "store/link", link, 0, 0.0, "")
    with pytest.raises(UserError, match="outside the home folder"):
        clean.remove([entry], full_home)
    assert (outside / "bytes").exists()


def test_a_running_study_stays_with_all_that_it_may_read(full_home: Path) -> None:
    lock(full_home / "studies/fusion_study", os.getpid())
    result = RUNNER.invoke(clean.app, ["--studies", "--stores", "--datasets", "--yes"])
    assert "Nothing to remove" in result.output
    assert len(clean.list_entries(full_home)) == 4
    with pytest.raises(UserErrors, match="is in use"):
        clean.select(clean.list_entries(full_home), ["studies/fusion_study"])


def test_a_study_that_starts_after_the_list_stays(full_home: Path) -> None:
    entries = clean.list_entries(full_home)
    lock(full_home / "studies/fusion_study", os.getpid())
    with pytest.raises(UserError, match="is in use"):
        clean.remove([entry for entry in entries if entry.kind == "study"], full_home)
    assert (full_home / "studies/fusion_study/bytes").exists()


@pytest.mark.parametrize(
    ("content", "running"),
    [
        (None, False),
        ({"host": socket.gethostname(), "pid": "dead", "time": 0}, False),
        ({"host": "another-host", "pid": "dead", "time": 0}, True),
        ("torn", True),
    ],
)
def test_what_counts_as_a_running_driver(home: Path, content: object, running: bool) -> None:
    study = make_entry(home, "studies/one")
    if isinstance(content, dict):
        content = json.dumps({**content, "pid": dead_pid()})
    if content is not None:
        (study / "driver.lock").write_text(str(content))
    assert bool(clean.running_driver(study)) is running


def test_what_a_killed_removal_left_goes_with_the_next(full_home: Path) -> None:
    make_entry(full_home, "store/.trash-1234")
    assert len(clean.list_entries(full_home)) == 4
    chosen = clean.select(clean.list_entries(full_home), ["store/aaaa"])
    assert clean.remove(chosen, full_home) == 5000
    assert sorted(path.name for path in (full_home / "store").iterdir()) == ["bbbb"]
