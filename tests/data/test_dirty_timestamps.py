"""A whole file of timestamps with all the dirt that the ancestor's real one held.

``dirty_timestamps.csv`` is made up; its form, its counts and its dirt are those of the real file
of 1,842 rows, which has no licence and lies nowhere here.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from vidclass.data.conversion import Conversion, convert
from vidclass.data.interval_policy import PROBLEMS
from vidclass.errors import UserErrors

FILE = Path(__file__).with_name("dirty_timestamps.csv")
REVERSED, OVERLAPPING, SIX_HOURS, NO_LABEL = (1067, 1277), (526, 1803), (979, 1141), 1700
LATE_VIDEO, LATE_S = "m08", 9.0
FPS = 2


def seconds(text: str) -> int:
    return sum(int(part) * unit for part, unit in zip(text.split(":"), (3600, 60, 1), strict=True))


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with FILE.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def lengths(rows: list[dict[str, str]]) -> dict[str, int]:
    """Seconds of each video: where its last row ends, or begins where that end cannot be meant."""
    ends: dict[str, int] = defaultdict(int)
    for line, row in enumerate(rows, start=2):
        edge = "time_start" if line in SIX_HOURS else "time_end"
        ends[row["video"]] = max(ends[row["video"]], seconds(row[edge]))
    return {name: end + (4 if name in ("m18", "m21") else 0) for name, end in ends.items()}


@pytest.fixture(scope="module")
def films(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: dict[str, int],
    write_video: Callable[..., Path],
) -> Path:
    """A tiny video of the right length for each name."""
    folder = tmp_path_factory.mktemp("films")
    for name, length_s in lengths.items():
        write_video(folder / f"{name}.mp4", num_frames=FPS * length_s, size=(16, 16), fps=FPS)
    return folder


def run(tmp_path: Path, films: Path | None, *repair: str) -> tuple[str, pd.DataFrame]:
    wanted = Conversion.of(None, "multiclass", repair, None, None, None)
    told = convert(
        str(FILE),
        tmp_path / "out.csv",
        wanted,
        tmp_path,
        None if films else float(FPS),
        films,
        None,
    )
    return told, pd.read_csv(tmp_path / "out.report.csv")


def test_the_file_has_the_dirt_that_the_real_one_had(rows: list[dict[str, str]]) -> None:
    assert len(rows) == 1842 and len({row["video"] for row in rows}) == 34
    assert Counter(row["label"] for row in rows) == {
        "search": 539, "subsurface": 279, "shallow": 271, "breath": 200, "ascent": 191,
        "descent": 188, "bottom": 170, "rest": 3, "": 1,
    }  # fmt: skip
    times = [(seconds(row["time_start"]), seconds(row["time_end"])) for row in rows]
    empty = [row["label"] for row, (start, end) in zip(rows, times, strict=True) if start == end]
    assert empty == ["breath"] * 22
    lines = range(2, len(rows) + 2)
    assert REVERSED == tuple(n for n, (start, end) in zip(lines, times, strict=True) if start > end)
    hours = [n for n, row in zip(lines, rows, strict=True) if row["time_end"] == "06:00:00"]
    assert SIX_HOURS == tuple(hours)
    assert [n for n, row in zip(lines, rows, strict=True) if not row["label"]] == [NO_LABEL]
    first: dict[str, float] = {}
    for row, (start, end) in zip(rows, times, strict=True):
        first[row["video"]] = min(first.get(row["video"], start), start, end)
    assert {name: at for name, at in first.items() if at} == {LATE_VIDEO: LATE_S}


def test_every_piece_of_dirt_is_refused_with_its_line(tmp_path: Path, films: Path) -> None:
    with pytest.raises(UserErrors) as error:
        run(tmp_path, films)
    report = pd.read_csv(tmp_path / "out.report.csv")
    assert set(report["action"]) == {"refused"} and not (tmp_path / "out.csv").exists()
    lines = {
        problem: own["source"].str.extract(r"line (\d+)$")[0].dropna().astype(int).tolist()
        for problem, own in report.groupby("problem")
    }
    assert set(lines) == set(PROBLEMS) - {"duplicate", "unreadable"}
    assert lines["reversed"] == list(REVERSED) and lines["outside"] == list(SIX_HOURS)
    assert lines["overlapping"] == list(OVERLAPPING) and lines["unlabelled"] == [NO_LABEL]
    assert len(lines["empty"]) == 22
    (gap,) = report[report["source"] == "time without a row"].to_dict("records")
    assert (gap["video"], gap["time_end"]) == (LATE_VIDEO, "00:00:09.000")
    assert len(error.value.errors) == 5


def test_every_piece_is_repaired_and_told(
    tmp_path: Path, films: Path, rows: list[dict[str, str]], lengths: dict[str, int]
) -> None:
    told, report = run(tmp_path, films, "all")
    assert "2 reversed, 2 outside, 22 empty, 2 unlabelled, 2 overlapping" in told
    assert len(report) == 30
    table = pd.read_csv(tmp_path / "out.csv")
    assert len(table) == FPS * sum(lengths.values())
    frames = table.set_index(["video", "frame"])["label"]
    for line in REVERSED:  # start and end changed places
        row = rows[line - 2]
        span = range(FPS * seconds(row["time_end"]), FPS * seconds(row["time_start"]))
        assert set(frames.loc[row["video"]].loc[list(span)]) == {row["label"]}
    for line in SIX_HOURS:  # cut off where the video ends
        row = rows[line - 2]
        begin = FPS * seconds(row["time_start"])
        rest = frames.loc[row["video"]].loc[begin:]
        assert len(rest) == 4 * FPS and set(rest) == {row["label"]}
    for line in OVERLAPPING:  # the row that starts later holds
        row, later = rows[line - 2], rows[line - 1]
        own = frames.loc[row["video"]]
        assert own.loc[FPS * seconds(later["time_start"]) - 1] == row["label"]
        assert own.loc[FPS * seconds(later["time_start"])] == later["label"]
    without = frames[frames.isna()].index
    gap = rows[NO_LABEL - 2]
    unlabelled = [
        *((LATE_VIDEO, k) for k in range(int(FPS * LATE_S))),
        *((gap["video"], k) for k in range(*(FPS * seconds(gap[e]) for e in
                                             ("time_start", "time_end")))),
    ]  # fmt: skip
    assert sorted(without) == sorted(unlabelled)


def test_without_videos_hours_are_taken_as_hours(tmp_path: Path) -> None:
    """Nobody knows how long the videos are: six hours are six hours, and nothing is dropped."""
    _, report = run(tmp_path, None, "all")
    assert "outside" not in set(report["problem"])
    frames = pd.read_csv(tmp_path / "out.csv").groupby("video").size()
    assert set(frames[frames == 6 * 3600 * FPS].index) == {"m18", "m21"}
