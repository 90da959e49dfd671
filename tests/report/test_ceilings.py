"""What each arm could reach at best on the control data set, told in the protocol."""

from dataclasses import replace

from tests.report.conftest import Reported
from vidclass.report.ceilings import ceiling_rows
from vidclass.report.collect import StudyTables


def changed(tables: StudyTables, **data: object) -> StudyTables:
    spec = tables.spec.model_copy(update={"data": tables.spec.data.model_copy(update=data)})
    return replace(tables, spec=spec)


def test_one_frame_carries_no_label_and_frames_in_order_carry_all(one_split: Reported) -> None:
    ((name, told),) = ceiling_rows(one_split.tables)
    assert name == "Oracle ceilings"
    assert told.startswith("single 12.5 %, early 100.0 %, slow 100.0 %")


def test_nothing_is_claimed_of_other_videos_and_other_rates(one_split: Reported) -> None:
    tables = one_split.tables
    store = tables.spec.data.store.model_copy(update={"fps": 5.0})
    window = tables.spec.data.window.model_copy(update={"span_s": 0.77})
    for data in ({"source": "--data"}, {"store": store}, {"window": window}):
        assert ceiling_rows(changed(tables, **data)) == []
