"""The ledger: appended, never changed, readable whatever ended its writer."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.errors import UserError
from vidclass.sweep.ledger import SCHEMA_VERSION, Ledger, read_events


def test_events_come_back_in_order_with_number_and_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append("one", value=1)
    ledger.append("two", value=[1.5, "x"])
    ledger.close()
    events = list(read_events(tmp_path / "ledger.jsonl"))
    assert [(e["n"], e["event"], e["value"]) for e in events] == [
        (0, "one", 1),
        (1, "two", [1.5, "x"]),
    ]
    assert events[0]["time"] <= events[1]["time"]


@given(cut=st.integers(min_value=1, max_value=30))
def test_a_torn_last_line_is_dropped_and_writing_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append("first")
    ledger.append("second", text="a line long enough to be cut anywhere")
    ledger.close()
    path.write_bytes(path.read_bytes()[:-cut])
    again = Ledger(path)
    again.append("third")
    again.close()
    assert [(e["n"], e["event"]) for e in read_events(path)] == [(0, "first"), (1, "third")]


def test_figures_that_are_not_finite_become_null(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    written = ledger.append("epoch", metrics={"loss": float("nan"), "best": float("inf")})
    ledger.close()
    assert written["metrics"] == {"loss": None, "best": None}
    assert json.loads((tmp_path / "ledger.jsonl").read_text())["metrics"]["loss"] is None


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(
        '{"event": "a", "n": 0, "time": 1}\nnot json\n{"event": "b", "n": 1, "time": 2}\n'
    )
    with pytest.raises(UserError, match="line 2"):
        list(read_events(path))


def test_a_ledger_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(json.dumps({"event": "study_started", "schema": SCHEMA_VERSION + 1}) + "\n")
    with pytest.raises(UserError, match="newer"):
        list(read_events(path))
