"""Times in tables; hours are never dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidclass.data.timecodes import format_time_s, parse_time_s


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0.0),
        ("75.5", 75.5),
        ("75,5", 75.5),
        (" 12. ", 12.0),
        ("1:15.5", 75.5),
        ("90:00", 5400.0),
        ("00:01:15", 75.0),
        ("06:00:00", 21600.0),  # the ancestor read 0 s
        ("1:02:03,250", 3723.25),
        ("100:00:00", 360000.0),
    ],
)
def test_times(text, expected):
    assert parse_time_s(text) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a time"),
        ("-1", "not a time"),
        ("1e3", "not a time"),
        ("nan", "not a time"),
        ("12:05:01 AM", "not a time"),
        ("1:2:3:4", "not a time"),
        ("1:75", "59 seconds"),
        ("1:75:00", "59 minutes"),
        ("00:00:60", "59 seconds"),
        ("1" * 400, "too many digits"),
    ],
)
def test_what_is_no_time(text, told):
    with pytest.raises(ValueError, match=told):
        parse_time_s(text)


@given(st.integers(0, 10**9))
def test_what_is_written_is_read_back_to_the_millisecond(milliseconds):
    assert round(parse_time_s(format_time_s(milliseconds / 1000)) * 1000) == milliseconds


@given(st.text(max_size=12))
def test_any_text_is_a_time_or_told(text):
    try:
        assert parse_time_s(text) >= 0
    except ValueError as error:
        assert str(error)
