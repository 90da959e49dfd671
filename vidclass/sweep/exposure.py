"""How often a test set has been scored, by whom and since when (measurement.md 4).

Kept in the home folder for each (content hash, split hash), so that it counts the same videos under
other file names and outlives a deleted study.
"""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Exposure", "read_exposure", "record_exposure"]


@dataclass(frozen=True)
class Exposure:
    """Scorings of one test set."""

    scored: int
    studies: int
    first_at: float | None

    def told(self) -> str:
        """Return the sentence for a report."""
        if self.first_at is None:
            return "never scored before"
        day = time.strftime("%Y-%m-%d", time.gmtime(self.first_at))
        studies = "study" if self.studies == 1 else "studies"
        return f"scored {self.scored} times by {self.studies} {studies}, first on {day}"


def _path(home: Path, content_hash: str, split_hash: str) -> Path:
    return home / "exposure" / f"{content_hash[:16]}-{split_hash[:16]}.jsonl"


def record_exposure(
    home: Path, *, content_hash: str, split_hash: str, study: str, trial: str, scored_at: float
) -> None:
    """Count one scoring of a test set; the same (study, trial, time) is counted once."""
    path = _path(home, content_hash, split_hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    entry = json.dumps({"study": study, "trial": trial, "time": scored_at})
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if entry in before.splitlines():
        return
    torn = before and not before.endswith("\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{chr(10) if torn else ''}{entry}\n")
        file.flush()
        os.fsync(file.fileno())


def read_exposure(home: Path, content_hash: str, split_hash: str) -> Exposure:
    """Return how often the test set of (``content_hash``, ``split_hash``) has been scored."""
    path = _path(home, content_hash, split_hash)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    entries = [entry for line in lines if (entry := _entry(line)) is not None]
    return Exposure(
        scored=len(entries),
        studies=len({entry["study"] for entry in entries}),
        first_at=min((entry["time"] for entry in entries), default=None),
    )


def _entry(line: str) -> dict[str, Any] | None:
    """Return what a line says; None of one that a full disk or a power cut tore."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return entry
