"""What BORIS exports as text (CSV, TSV): events and aggregated events, of old and of new versions.

* Aggregated events: a row a bout, ``Start (s)`` and ``Stop (s)``.
* Tabular events: a row a key press, START, STOP or POINT, in ``Behavior type`` (from 8 on) or
  ``Status`` (before; there the table follows a block that describes the observation).

Times are those of the observation: its offset is added, and the media files of a player follow each
other. All exports begin with the words ``Observation id``.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from vidclass.data.readers.columns import Mistake, header_of, told_lines
from vidclass.data.tables import place, read_rows
from vidclass.data.timecodes import parse_time_s
from vidclass.errors import UserError

__all__ = ["SUFFIXES", "Bout", "Export", "Observation", "is_export", "read_export"]

SUFFIXES = (".csv", ".tsv", ".txt")
_FIRST = "Observation id"
_NOTHING = ("", "NA", "Not found", "None")
_NO_SUBJECT = ("", "No focal subject")
_OBSERVERS = ("observer", "annotator", "coder", "rater")
_PLAYER = re.compile(r"player #(\d+):\s*(.*?)(?=[|\s]*player #\d+:|\|?\s*$)", re.IGNORECASE)
_MODIFIER = re.compile(r"Modifiers?( #\d+)?")
_STATUS = ("Behavior type", "Status")
_MEDIA = ("Media file name", "Media file path", "Media file")


@dataclass(frozen=True)
class Observation:
    """What an export tells of an observation.

    Attributes:
        name: its id.
        media: the media files of the first player, one after the other; empty where not told.
        durations_s: of these, where told.
        offset_s: what BORIS added to the times.
        observer: who coded it, where an independent variable says so.
    """

    name: str
    media: tuple[str, ...]
    durations_s: tuple[float, ...]
    offset_s: float
    observer: str | None


@dataclass(frozen=True)
class Bout:
    """A behaviour from start to stop in the time of its observation; a point event has no length.

    Attributes:
        line: where it starts in the file.
        media: the media file that the row names, if any.
    """

    line: int
    observation: Observation
    start_s: float
    stop_s: float
    behaviour: str
    subject: str | None
    media: str | None


@dataclass(frozen=True)
class Export:
    """A whole export file.

    Attributes:
        bouts: of observations of media files.
        num_modified: rows with modifiers, which are not read.
        num_other: rows of live observations and of pictures, which have no video.
    """

    path: Path
    bouts: list[Bout]
    num_modified: int
    num_other: int


def is_export(path: Path) -> bool:
    """Say whether a file looks like such an export.

    Raises:
        OSError: when the file can't be read.
    """
    header = header_of(path) if path.suffix.lower() in SUFFIXES else []
    return header[:1] == [_FIRST.casefold()]


def read_export(path: Path, errors: list[UserError]) -> Export | None:
    """Read an export; None, with its mistakes in ``errors``, when it can't be used."""
    try:
        rows = read_rows(path, (_FIRST, "Behavior"))
    except UserError as error:
        errors.append(error)
        return None
    at = next((n for n, (_, cells) in enumerate(rows) if "Behavior" in cells), None)
    if at is None:
        errors.append(_not_an_export(path, "no column Behavior"))
        return None
    header = rows[at][1]
    # A user's own variable may be called like a column of BORIS, which comes after it.
    column_of = {name: n for n, name in enumerate(header) if name}
    aggregated = {"Start (s)", "Stop (s)"} <= set(column_of)
    status = next((name for name in _STATUS if name in column_of), None)
    if not aggregated and ("Time" not in column_of or status is None):
        errors.append(_not_an_export(path, f"the columns {', '.join(name for name in header)}"))
        return None
    table = _Table(path, column_of, _block(rows[:at]))
    told = [(line, cells + [""] * (len(header) - len(cells))) for line, cells in rows[at + 1 :]]
    of_media = [(line, cells) for line, cells in told if not table.is_other(cells)]
    wrong: list[Mistake] = []
    if aggregated:
        bouts = [table.bout(line, cells, "Start (s)", wrong) for line, cells in of_media]
    else:
        assert status is not None
        bouts, unpaired = _paired(table, of_media, status, wrong)
        errors += told_lines(
            "every START has its STOP", path, unpaired, "mend the observation in BORIS"
        )
    wrong.sort(key=lambda mistake: mistake.line)
    errors += told_lines(
        "an event has a time and a behaviour", path, wrong, "export it again from BORIS"
    )
    return Export(
        path,
        [bout for bout in bouts if bout is not None],
        sum(table.is_modified(cells) for _, cells in of_media),
        len(told) - len(of_media),
    )


def _not_an_export(path: Path, received: str) -> UserError:
    return UserError(
        "a BORIS export is one of events (tabular) or of aggregated events",
        f"{place(path, 1)}: {received}",
        "Observations > Export events, or > Export aggregated events, as TSV or CSV",
    )


def _block(rows: list[tuple[int, list[str]]]) -> dict[str, list[str]]:
    """Return what the lines above the table say: name and values, in old exports."""
    said: dict[str, list[str]] = {}
    for _, cells in rows:
        if cells[0] and len(cells) > 1 and cells[1]:
            said.setdefault(cells[0], []).append(cells[1])
    return said


class _Table:
    """The columns of one export, whatever its version calls them."""

    def __init__(self, path: Path, column_of: dict[str, int], block: dict[str, list[str]]) -> None:
        self.path = path
        self._column_of = column_of
        self._block = block
        self._modifiers = [
            column for name, column in column_of.items() if _MODIFIER.fullmatch(name)
        ]
        self._observers = [
            column for name, column in column_of.items() if name.casefold() in _OBSERVERS
        ]
        self._observations: dict[tuple[str, ...], Observation] = {}

    def cell(self, cells: list[str], *names: str) -> str:
        """Return the cell of the first of ``names`` that is a column; empty where none is."""
        for name in names:
            if name in self._column_of:
                return cells[self._column_of[name]]
        return ""

    def _above(self, name: str) -> str:
        """Return what the block above the table says."""
        return next(iter(self._block.get(name, [])), "")

    def is_modified(self, cells: list[str]) -> bool:
        return any(cells[column] not in ("", "None") for column in self._modifiers)

    def modifiers(self, cells: list[str]) -> tuple[str, ...]:
        return tuple(cells[column] for column in self._modifiers)

    def is_other(self, cells: list[str]) -> bool:
        """Say whether a row is of a live observation, or of pictures."""
        kinds = (self.cell(cells, "Observation type"), self.cell(cells, "Source", *_MEDIA))
        return any(kind.casefold().startswith(("live", "from ")) for kind in kinds)

    def media(self, cells: list[str]) -> str | None:
        name = self.cell(cells, *_MEDIA)
        return None if name in _NOTHING else name

    def subject(self, cells: list[str]) -> str | None:
        name = self.cell(cells, "Subject")
        return None if name in _NO_SUBJECT else name

    def observation(self, line: int, cells: list[str], wrong: list[Mistake]) -> Observation:
        """Return the observation of a row; what is wrong with it is told once."""
        name = self.cell(cells, _FIRST) or self._above(_FIRST)
        source = self.cell(cells, "Source")
        durations = self.cell(cells, "Media duration (s)")
        offset = self.cell(cells, "Time offset (s)") or self._above("Time offset (s)")
        observer = next((cells[column] for column in self._observers if cells[column]), "")
        key = (name, source, durations, offset, observer)
        if key not in self._observations:
            offset_s = _number(offset)
            if offset_s is None:
                wrong.append(Mistake(line, f"{offset} in Time offset (s): not a number"))
            self._observations[key] = Observation(
                name,
                _media_of(source) or tuple(self._block.get("Player #1", ())),
                _durations_of(durations),
                offset_s or 0.0,
                observer or None,
            )
        return self._observations[key]

    def time(self, line: int, cells: list[str], name: str, wrong: list[Mistake]) -> float | None:
        text = self.cell(cells, name)
        try:
            return parse_time_s(text)
        except ValueError as error:
            wrong.append(Mistake(line, f"{text or 'empty'} in {name} ({error})"))
            return None

    def bout(
        self,
        line: int,
        cells: list[str],
        start: str,
        wrong: list[Mistake],
        end: tuple[int, list[str]] | None = None,
    ) -> Bout | None:
        """Return the bout of one row, or of a START and its STOP; None with what is wrong."""
        behaviour = self.cell(cells, "Behavior")
        if not behaviour:
            wrong.append(Mistake(line, "no behaviour"))
        start_s = self.time(line, cells, start, wrong)
        if end is not None:
            stop_s = self.time(*end, "Time", wrong)
        elif start == "Time" or self.cell(cells, *_STATUS) == "POINT":
            stop_s = start_s
        else:
            stop_s = self.time(line, cells, "Stop (s)", wrong)
        if start_s is None or stop_s is None or not behaviour:
            return None
        if stop_s < start_s:
            wrong.append(Mistake(line, f"{behaviour} stops before it starts"))
            return None
        return Bout(
            line,
            self.observation(line, cells, wrong),
            start_s,
            stop_s,
            behaviour,
            self.subject(cells),
            self.media(cells),
        )


def _paired(
    table: _Table, rows: list[tuple[int, list[str]]], status: str, wrong: list[Mistake]
) -> tuple[list[Bout | None], list[Mistake]]:
    """Return the bouts of key presses, and the presses that have no partner."""
    bouts: list[Bout | None] = []
    unpaired: list[Mistake] = []
    started: dict[tuple[object, ...], tuple[int, list[str]]] = {}
    for line, cells in rows:
        pressed = table.cell(cells, status)
        behaviour, subject = table.cell(cells, "Behavior"), table.subject(cells)
        key = (
            table.observation(line, cells, wrong).name,
            subject,
            behaviour,
            *table.modifiers(cells),
        )
        if pressed == "POINT":
            bouts.append(table.bout(line, cells, "Time", wrong))
        elif pressed == "START" and key not in started:
            started[key] = (line, cells)
        elif pressed == "STOP" and key in started:
            bouts.append(table.bout(*started.pop(key), "Time", wrong, (line, cells)))
        elif pressed in ("START", "STOP"):
            unpaired.append(Mistake(line, f"{pressed} of {behaviour}"))
        else:
            wrong.append(Mistake(line, f"{pressed or 'empty'} in {status}: START, STOP or POINT"))
    unpaired += [
        Mistake(line, f"START of {table.cell(cells, 'Behavior')}")
        for line, cells in started.values()
    ]
    return bouts, sorted(unpaired, key=lambda mistake: mistake.line)


def _media_of(source: str) -> tuple[str, ...]:
    """Return the media files of the first player in ``player #1:a.mp4;b.mp4|player #2:c.mp4``."""
    if not source or source.startswith(("Media file", "Live", "From ", "NA")):
        return ()
    players = {number: files for number, files in _PLAYER.findall(source)}
    files = players.get("1", "" if players else source)
    return tuple(name.strip() for name in files.split(";") if name.strip())


def _durations_of(text: str) -> tuple[float, ...]:
    first = text.split("|", 1)[0]
    try:
        return tuple(float(part) for part in first.split(";") if part.strip())
    except ValueError:
        return ()


def _number(text: str) -> float | None:
    try:
        return 0.0 if text in _NOTHING else float(text.replace(",", "."))
    except ValueError:
        return None
