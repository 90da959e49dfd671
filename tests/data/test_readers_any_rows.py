"""Rows under the right header: every reader returns a data set, or names file and line.

Names that lead elsewhere, that differ by case, that are long, foreign or quoted; rows twice; cells
that are empty or no number. ``test_readers_bad_input`` makes whole tables of anything.
"""

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_readers_boris import AGGREGATED, USUAL
from vidclass.data.manifest import MANIFEST_COLUMNS
from vidclass.data.readers import list_readers, read_dataset
from vidclass.errors import UserError, UserErrors

FILES = (
    "kick/a.mp4",
    "kick/b.avi",
    "push/über, 2.mp4",
    "push/C.mp4",
    "v_Yo_g01_c01.avi",
    "v_Yo_g02_c01.avi",
    "wave/F_wave_u_nm_np1_ba_goo_0.avi",
    "wave/G_wave_u_nm_np1_ba_goo_0.avi",
    "abcdefghijk_000000_000010.mp4",
    "1.webm",
    "2.webm",
)
NAMES = [*FILES, "kick/A.mp4", "KICK/a.mp4", "kick/a", "b.avi", "../a.mp4", "kick/../kick/a.mp4"]
NAMES += ["/etc/passwd", "push/uber 2.mp4", "x" * 300, "ф" * 200 + ".mp4", "", " ", "gone.mp4"]
LABELS = ["x", "y", "kick", "wave", "Yo", "a, b", 'a "b"', "Ä", "", " ", "none"]
SPLITS = ["train", "valid", "test", "", "Test", "dev", "0", "1", "2", "3"]
TIMES = ["0", "1", "2.5", "10", "00:00:03", "1:30", "-1", "9:99", "abc", "", "1e400", "nan", "1,5"]
FRAMES = ["0", "1", "2", "-1", "x.jpg", "1.5", "", "99999999999999999999"]
UPLOADS = ["abcdefghijk", "-_-_-_-_-_-", "../../../x", "", "a/b"]
FORMATS = {
    "folder": ("labels.csv", {"video": NAMES, "label": LABELS, "group": LABELS, "split": SPLITS}),
    "frames": (
        "labels.csv",
        {"video": NAMES, "frame": FRAMES, "label": LABELS, "split": SPLITS},
    ),
    "timestamps": (
        "timestamps.csv",
        {
            "video": NAMES,
            "time_start": TIMES,
            "time_end": TIMES,
            "label": LABELS,
            "subject": LABELS,
        },
    ),
    "manifest": (
        "m.csv",
        {
            "path": NAMES,
            "video_id": [*LABELS, *NAMES],
            "label": LABELS,
            "group": LABELS,
            "split": SPLITS,
            "start_s": TIMES,
            "end_s": TIMES,
        },
    ),
    "ucf101": ("trainlist01.txt", {"clip": NAMES, "class": ["", "1", "2", "x"]}),
    "hmdb51": ("wave_test_split1.txt", {"clip": NAMES, "part": SPLITS}),
    "kinetics": (
        "train.csv",
        {
            "label": LABELS,
            "youtube_id": UPLOADS,
            "time_start": TIMES,
            "time_end": TIMES,
            "split": SPLITS,
        },
    ),
    "something": ("x-train.json", {"id": ["1", "2", "3", "", "../1"], "template": LABELS}),
    "jester": ("x-train.csv", {"id": ["1", "2", "3", "", "../1"], "label": LABELS}),
    "boris": (
        "events.tsv",
        {
            "Observation id": ["o1", "o2", ""],
            "Source": [f"player #1:{name}" for name in NAMES],
            "Behavior": LABELS,
            "Behavior type": ["STATE", "POINT", "", "other"],
            "Start (s)": TIMES,
            "Stop (s)": TIMES,
            "Media file name": NAMES,
            "Time offset (s)": TIMES,
            "Media duration (s)": TIMES,
        },
    ),
    "deepethogram": ("DATA/a/a_labels.csv", {"": FRAMES, "x": ["0", "1", "-1", "2", "", "a"]}),
}
"""The table of each format, and what may stand in its columns."""
FURTHER = {
    "ucf101": "testlist01.txt",
    "hmdb51": "wave_test_split2.txt",
    "kinetics": "val.csv",
    "something": "x-validation.json",
    "jester": "x-validation.csv",
    "boris": "later/events.tsv",
    "deepethogram": "DATA/b/b_labels.csv",
}
"""A second table of the formats that may have several, so that rows stand in both."""
WHOLE = (
    "has a label",  # what a data set lacks as a whole stands in no line
    "at least two classes",
    "there is none",
    "ids in the lists none is there",
    "no video",
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve() / "data"
        for file in (*FILES, "DATA/a/a.avi", "DATA/b/b.avi", "later/c.avi"):
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(b"x")
        yield root


def written(format_name: str, rows: list[list[str]]) -> str:
    """Return the table as the makers of the format write it."""
    columns = list(FORMATS[format_name][1])
    if format_name in ("ucf101", "hmdb51"):
        return "".join(" ".join(row).strip(" ") + "\n" for row in rows)
    if format_name == "something":
        return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1)
    out = io.StringIO()
    separator = {"jester": ";", "boris": "\t"}.get(format_name, ",")
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    if format_name == "boris":
        writer.writerow(AGGREGATED)
        filled = [{**USUAL, **dict(zip(columns, row, strict=True))} for row in rows]
        writer.writerows([[row.get(column, "") for column in AGGREGATED] for row in filled])
        return out.getvalue()
    if format_name != "jester":
        writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


@st.composite
def tables(draw: Callable, format_name: str) -> str:
    """Return some rows; every second table has one of them twice."""
    cells = [st.sampled_from(values) for values in FORMATS[format_name][1].values()]
    rows = draw(st.lists(st.tuples(*cells).map(list), min_size=1, max_size=8))
    if draw(st.booleans()):
        rows.append(list(draw(st.sampled_from(rows))))
    return written(format_name, rows)


def beside(format_name: str, root: Path) -> dict[str, str]:
    """Return what else lies in a folder of the format."""
    return {
        "something": {"x-labels.json": json.dumps({"x": "0", "y": "1"})},
        "jester": {"x-labels.csv": "x\ny\n"},
        "deepethogram": {
            "project_config.yaml": "project: {name: p, class_names: [x], data_path: DATA}\n"
        },
    }.get(format_name, {})


@pytest.mark.parametrize("format_name", FORMATS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_rows_are_read_or_told_with_file_and_line(
    folder: Path, format_name: str, data: st.DataObject
) -> None:
    table = FORMATS[format_name][0]
    names = [table, FURTHER.get(format_name, table)]
    files = {**beside(format_name, folder)}
    files |= {name: data.draw(tables(format_name)) for name in names}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    source = folder / table if format_name == "manifest" else folder
    try:
        dataset = read_dataset(f"{format_name}:{source}", home=folder.parent, labels_needed=False)
    except (UserError, UserErrors) as error:
        for each in error.errors if isinstance(error, UserErrors) else [error]:
            told = f"{each.rule}; {each.received}"
            named = re.search(rf"({'|'.join(map(re.escape, names))}) line \d+", told)
            assert named or any(word in told for word in WHOLE), told
    else:
        assert dataset.manifest["video_id"].is_unique
        inside = [Path(path).resolve() for path in dataset.manifest["path"]]
        assert format_name == "manifest" or all(path.is_relative_to(folder) for path in inside)
        assert set(MANIFEST_COLUMNS) <= set(dataset.manifest.columns)
    finally:
        for name in files:
            (folder / name).unlink()


def test_every_registered_format_is_tried_here() -> None:
    formats = {name for name in list_readers() if not name.startswith("test_")}
    assert formats - set(FORMATS) == {"unlabelled", "moving_shapes"}  # which read no table
