"""Times as people write them in tables: seconds, MM:SS or HH:MM:SS, with or without a fraction."""

import re

__all__ = ["format_time_s", "parse_time_s"]

_TIME = re.compile(r"(?:(?:([0-9]+):)?([0-9]+):)?([0-9]+)(?:[.,]([0-9]*))?")
MOST_DIGITS = 9  # of one part: beyond, it is no time but another column


def parse_time_s(text: str) -> float:
    """Return the seconds that ``text`` says: ``75.5``, ``1:15.5``, ``00:01:15.500``.

    A comma may stand for the point, as spreadsheets in many languages write it. Minutes below
    hours and seconds below minutes are at most 59; what stands first may be larger (``90:00`` is an
    hour and a half).

    Raises:
        ValueError: in words for the user, when it is no such time.
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise ValueError("not a time: seconds, MM:SS or HH:MM:SS, with a fraction or without")
    hours, minutes, seconds, fraction = match.groups()
    if max(len(part or "") for part in (hours, minutes, seconds)) > MOST_DIGITS:
        raise ValueError("not a time: too many digits")
    if minutes is not None and int(seconds) > 59:
        raise ValueError("a minute has at most 59 seconds")
    if hours is not None and int(minutes) > 59:
        raise ValueError("an hour has at most 59 minutes")
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole + float(f"0.{fraction or 0}")


def format_time_s(time_s: float) -> str:
    """Return ``HH:MM:SS.fff``, rounded to the millisecond; hours go on above 99."""
    seconds, milliseconds = divmod(round(time_s * 1000), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"
