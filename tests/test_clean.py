import json
import os
import socket
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidclass import clean
from vidclass.errors import UserError, UserErrors
from vidclass.sweep.lock import driver_lock

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
    with driver_lock(full_home / "studies/fusion_study"):
        result = RUNNER.invoke(clean.app, ["--studies", "--stores", "--datasets", "--yes"])
        assert "Nothing to remove" in result.output
        assert len(clean.list_entries(full_home)) == 4
        with pytest.raises(UserErrors, match="is in use"):
            clean.select(clean.list_entries(full_home), ["studies/fusion_study"])


def test_a_study_that_starts_after_the_list_stays(full_home: Path) -> None:
    entries = clean.list_entries(full_home)
    studies = [entry for entry in entries if entry.kind == "study"]
    with driver_lock(full_home / "studies/fusion_study"):
        with pytest.raises(UserError, match="is in use"):
            clean.remove(studies, full_home)
    assert (full_home / "studies/fusion_study/bytes").exists()


HERE = socket.gethostname()


@pytest.mark.parametrize(
    ("content", "running"),
    [
        (None, False),
        (json.dumps({"host": HERE, "pid": 1, "time": 0}), False),  # killed: nobody holds the lock
        (json.dumps({"host": "another-host", "pid": 1, "time": 0}), True),
        ("torn", True),
        (json.dumps(["no", "owner"]), True),
    ],
)
def test_what_counts_as_a_running_driver(home: Path, content: str | None, running: bool) -> None:
    study = make_entry(home, "studies/one")
    if content is not None:
        (study / "driver.lock").write_text(content)
    assert bool(clean.running_driver(study)) is running


def test_a_study_that_was_killed_can_be_removed(full_home: Path) -> None:
    study = full_home / "studies/fusion_study"
    (study / "driver.lock").write_text(json.dumps({"host": HERE, "pid": 1, "time": 0}))
    result = RUNNER.invoke(clean.app, ["studies/fusion_study", "--yes"])
    assert result.exit_code == 0, result.output
    assert list((full_home / "studies").iterdir()) == []


def test_what_a_killed_removal_left_goes_with_the_next(full_home: Path) -> None:
    make_entry(full_home, "store/.trash-1234")
    assert len(clean.list_entries(full_home)) == 4
    chosen = clean.select(clean.list_entries(full_home), ["store/aaaa"])
    assert clean.remove(chosen, full_home) == 5000
    assert sorted(path.name for path in (full_home / "store").iterdir()) == ["bbbb"]
