import json
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from tests.tracking.make_ledger import LedgerMaker, make_study
from tests.tracking.readback import everything, runs_of
from vidclass.errors import UserError
from vidclass.tracking.writer import LedgerWriter, sync


def write_once(folder: Path, home: Path) -> None:
    """Let a driver's writer bring everything that is in the ledger, then end."""
    writer = LedgerWriter(folder, home, folder.name)
    writer.start()
    assert writer.finish(120) == ""


@pytest.fixture
def study(stored_home: Path) -> Path:
    return make_study(stored_home)


def test_writer_shows_one_parent_with_its_trials_floors_and_finals(
    study: Path, stored_home: Path
) -> None:
    write_once(study, stored_home)
    shown = everything(stored_home)
    assert sorted(shown) == [
        "floor-0-majority", "floor-0-metadata", "study",
        *(f"t{n:04d}" for n in range(1, 13)),
    ]  # fmt: skip
    parents = {key: run["parent"] for key, run in shown.items()}
    assert parents["study"] is None
    assert {parents[key] for key in ("t0001", "t0002", "t0007", "floor-0-majority")} == {"study"}
    assert [parents[f"t{n:04d}"] for n in range(8, 13)] == [
        "t0002", "t0002", "t0004", "t0004", "t0004",
    ]  # fmt: skip
    assert shown["t0010"]["name"] == "early t0010 final f0"
    assert shown["t0012"]["name"] == "early t0012 shuffled f0"
    assert shown["t0010"]["inputs"] == shown["study"]["inputs"]
    assert json.loads(shown["t0010"]["inputs"][0][2])["split_hash"] == "cd" * 32


def test_a_second_writer_and_one_without_its_position_change_nothing(
    study: Path, stored_home: Path
) -> None:
    write_once(study, stored_home)
    before = everything(stored_home)
    write_once(study, stored_home)
    assert everything(stored_home) == before
    (study / "tracking.json").unlink()
    write_once(study, stored_home)
    assert everything(stored_home) == before
    assert sync(study, stored_home, study.name) == {}
    assert everything(stored_home) == before


def test_a_study_written_in_pieces_shows_the_same_as_one_written_at_once(
    stored_home: Path, empty_store: Path, tmp_path: Path
) -> None:
    maker = LedgerMaker(stored_home)
    position = maker.folder / "tracking.json"
    written, kept = 1, None
    while written:
        written = maker.write(17)
        write_once(maker.folder, stored_home)
        if kept is not None and written > 0:
            position.write_bytes(kept)  # killed between the last call and its note: replayed
        kept = position.read_bytes()
    other = tmp_path / "other"
    shutil.copytree(maker.folder, other / "studies" / "small")
    (other / "studies" / "small" / "tracking.json").unlink()
    shutil.copy(empty_store, other / "mlflow.db")
    sync(other / "studies" / "small", other, "small")
    assert everything(stored_home) == everything(other)


def test_runs_are_made_again_after_the_database_was_lost(
    study: Path, stored_home: Path, empty_store: Path
) -> None:
    write_once(study, stored_home)
    before = everything(stored_home)
    shutil.copy(empty_store, stored_home / "new.db")
    (stored_home / "new.db").replace(stored_home / "mlflow.db")
    write_once(study, stored_home)
    assert everything(stored_home) == before


def test_a_study_removed_and_begun_again_gets_runs_of_its_own(
    study: Path, stored_home: Path
) -> None:
    write_once(study, stored_home)
    shutil.rmtree(study)
    time.sleep(0.01)
    again = LedgerMaker(stored_home)
    again.write(3)
    write_once(again.folder, stored_home)
    with sqlite3.connect(stored_home / "mlflow.db") as database:
        query = "select count(*) from tags where key = 'vidclass.run' and value = 'study'"
        assert database.execute(query).fetchone() == (2,)


@pytest.fixture
def store_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")


@pytest.mark.usefixtures("store_away")
def test_the_end_tells_what_did_not_arrive(home: Path) -> None:
    study = make_study(home)
    writer = LedgerWriter(study, home, study.name)
    writer.start()
    began = time.monotonic()
    told = writer.finish(2)
    assert time.monotonic() - began < 5
    assert "`vidclass sweep sync small`" in told


@pytest.mark.usefixtures("store_away")
def test_sync_says_that_the_server_is_away(home: Path) -> None:
    study = make_study(home)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI"):
        sync(study, home, study.name)


def test_sync_leaves_a_running_writer_alone(study: Path, stored_home: Path) -> None:
    writer = LedgerWriter(study, stored_home, study.name)
    writer.start()
    while not (study / "tracking.json").exists():
        time.sleep(0.05)
    with pytest.raises(UserError, match="one writer at a time"):
        sync(study, stored_home, study.name)
    assert writer.finish(60) == ""


def test_what_mlflow_refuses_is_told_and_holds_nothing_up(study: Path, stored_home: Path) -> None:
    write_once(study, stored_home)
    with sqlite3.connect(stored_home / "mlflow.db") as database:
        database.execute("update params set value = '9' where key = 'lr' and value = '0.002'")
    refused = sync(study, stored_home, study.name)
    assert set(refused) == {"t0003", "t0005"}
    assert "param" in refused["t0003"].lower()
    assert runs_of(stored_home)["t0012"].info.status == "FINISHED"
