"""The append-only ledger of a study: one JSON object a line, one writer, nothing ever changed.

Decisions are on the disk when ``append`` returns. Epoch events, which a resumed trial can make
again, are flushed at once and fsynced in groups of at most a second (an fsync costs about 4 ms).
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidclass.errors import UserError

__all__ = ["LEDGER_NAME", "SCHEMA_VERSION", "Event", "Ledger", "read_events"]

LEDGER_NAME = "ledger.jsonl"
SCHEMA_VERSION = 1
"""Raised when an older reader could no longer understand the events."""

_GROUPED = frozenset({"epoch", "trial_started"})
_GROUP_SECONDS = 1.0

Event = dict[str, Any]


def read_events(path: Path) -> Iterator[Event]:
    """Yield the events of the ledger at ``path`` in order; a torn last line is left out.

    Raises:
        UserError: when a line before the last is not JSON (a file damaged by other hands), or when
            a newer vidclass wrote the ledger.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                event: Event = json.loads(line)
            except ValueError:
                raise UserError(
                    "every line of a ledger is one JSON object",
                    f"{path} line {number}: {line[:60]!r}",
                    "restore the file from a copy, or remove the study with `vidclass clean`",
                ) from None
            schema = event.get("schema", SCHEMA_VERSION)
            if schema > SCHEMA_VERSION:
                raise UserError(
                    f"this vidclass reads ledgers up to schema {SCHEMA_VERSION}",
                    f"{path} has schema {schema}",
                    "install the vidclass version that wrote it (see its first line), or newer",
                )
            yield event


class Ledger:
    """The writing end; there is one in the driver and nowhere else.

    Args:
        path: the ledger file; made when absent. A torn last line is cut off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._count = sum(1 for _ in read_events(path))
        _cut_torn_line(path)
        self._file = path.open("ab")
        self._synced_at = time.monotonic()

    def append(self, event: str, **fields: Any) -> Event:
        """Write one event and return it as written, with its number ``n`` and its unix ``time``.

        A figure that is not finite is written as null: JSON has no NaN.
        """
        written: Event = {"n": self._count, "time": time.time(), "event": event, **fields}
        written = _finite(written)
        # one call: a Ctrl-C between line and line end would join two events into one
        line = json.dumps(written, separators=(",", ":"), allow_nan=False)
        self._file.write(f"{line}\n".encode())
        self._file.flush()
        self._count += 1
        if event not in _GROUPED or time.monotonic() - self._synced_at > _GROUP_SECONDS:
            self.sync()
        return written

    def sync(self) -> None:
        """Force everything written so far onto the disk."""
        os.fsync(self._file.fileno())
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Sync and close; closing twice is allowed."""
        if not self._file.closed:
            self.sync()
            self._file.close()


def _cut_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
            os.fsync(file.fileno())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return None
    return value
