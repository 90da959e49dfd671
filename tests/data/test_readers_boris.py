"""BORIS exports in the forms that its versions write."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.readers import read_dataset
from vidclass.errors import UserErrors

# Version 8 and later: one table.
TABULAR = [
    "Observation id", "Observation date", "Description", "Observation duration",
    "Observation type", "Source", "Time offset (s)", "Media duration (s)", "FPS", "observer",
    "Subject", "Behavior", "Behavioral category", "Modifier #1", "Behavior type", "Time",
    "Media file name", "Image index", "Image file path", "Comment",
]  # fmt: skip
AGGREGATED = [
    "Observation id", "Observation date", "Description", "Observation type", "Source",
    "Time offset (s)", "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject",
    "Observation duration by subject by observation", "Behavior", "Behavioral category",
    "Modifier #1", "Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Media file name",
    "Image index start", "Image index stop", "Image file path start", "Image file path stop",
    "Comment start", "Comment stop",
]  # fmt: skip
# Before: a block over the table of events, fewer columns of aggregated events.
OLD_TABULAR = [
    "Time", "Media file path", "Total length", "FPS", "Subject", "Behavior",
    "Behavioral category", "Comment", "Status",
]  # fmt: skip
OLD_AGGREGATED = [
    "Observation id", "Observation date", "Description", "Media file", "Total length", "FPS",
    "Subject", "Behavior", "Behavioral category", "Modifiers", "Behavior type", "Start (s)",
    "Stop (s)", "Duration (s)", "Comment start", "Comment stop",
]  # fmt: skip
USUAL = {
    "Observation id": "obs1",
    "Observation type": "Media file(s)",
    "Source": "player #1:C:/films/a.mp4",
    "Media file": "C:\\films\\a.mp4",
    "Media file path": "/home/coder/a.mp4",
    "Time offset (s)": "0.0",
    "Subject": "No focal subject",
}


def text_of(columns, *rows, separator="\t", block=()):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\n")
    for line in block:
        writer.writerow([*line, *[""] * (len(columns) - len(line))])
    writer.writerow(columns)
    for row in rows:
        values = {**USUAL, **row}
        writer.writerow([values.get(column, "") for column in columns])
    return out.getvalue()


def pressed(time, behaviour, status, **further):
    return {
        "Time": time, "Behavior": behaviour, "Behavior type": status, "Status": status, **further
    }  # fmt: skip


def bout(start, stop, behaviour, **further):
    kind = "POINT" if start == stop else "STATE"
    return {
        "Start (s)": start, "Stop (s)": stop, "Behavior": behaviour, "Behavior type": kind,
        **further,
    }  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """Two files; their content is no matter to this reader."""
    for name in ("cage/a.mp4", "cage/b.mp4"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "set"


def read(root, text, name="events.tsv", **options):
    (root / name).write_text(text)
    return read_dataset(str(root), home=root.parent / "home", **options)


def rows(dataset, *further):
    names = ["video_id", "start_s", "end_s", "label", *further]
    return [tuple(row) for row in dataset.annotations[names].itertuples(index=False)]


EXPECTED = [
    ("cage/a.mp4", 1.5, 4.0, "groom"),
    ("cage/a.mp4", 3.0, 5.0, "rear"),
    ("cage/a.mp4", 4.5, 4.5, "sniff"),
]
PRESSES = [
    pressed("1.500", "groom", "START"),
    pressed("3.000", "rear", "START"),
    pressed("4.000", "groom", "STOP"),
    pressed("4.500", "sniff", "POINT"),
    pressed("5.000", "rear", "STOP"),
]
BOUTS = [
    bout("1.500", "4.000", "groom"), bout("3.000", "5.000", "rear"),
    bout("4.500", "4.500", "sniff"),
]  # fmt: skip
BLOCK = [
    ["Observation id", "obs1"], [], ["Media file(s)"], [], ["Player #1", "/home/coder/a.mp4"],
    [], ["Observation date", "2016-11-27 01:57:26"], [], ["Time offset (s)", "0.0"], [],
    ["independent variables"], ["variable", "value"], ["weight", "12"], [],
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        text_of(TABULAR, *PRESSES),
        text_of(AGGREGATED, *BOUTS),
        text_of(OLD_TABULAR, *PRESSES, block=BLOCK),
        text_of(OLD_AGGREGATED, *BOUTS),
        text_of(AGGREGATED, *BOUTS, separator=","),
    ],
    ids=["tabular", "aggregated", "old tabular", "old aggregated", "csv"],
)
def test_all_forms_say_the_same(root, text):
    dataset = read(root, text)
    assert rows(dataset) == EXPECTED and dataset.warnings == ()
    assert dataset.annotations["subject"].tolist() == [None] * 3
    assert dataset.annotations["annotator"].tolist() == [None] * 3
    assert dataset.manifest["video_id"].tolist() == ["cage/a.mp4", "cage/b.mp4"]
    first = 16 if text.startswith("Observation id\tobs1") else 2
    assert dataset.annotations["source"][0] == f"events.tsv line {first}"


def test_one_export_is_a_source_too(root):
    (root / "one.csv").write_text(text_of(AGGREGATED, *BOUTS, separator=","))
    (root / "two.tsv").write_text(text_of(AGGREGATED, bout("9", "10", "rest")))
    dataset = read_dataset(str(root / "one.csv"), home=root / "home")
    assert rows(dataset) == EXPECTED
    assert len(read_dataset(str(root), home=root / "home").annotations) == 4


def test_the_offset_is_taken_off(root):
    moved = [
        {**row, "Start (s)": float(row["Start (s)"]) + 5400, "Stop (s)": float(row["Stop (s)"])
         + 5400, "Time offset (s)": "5400.0"} for row in BOUTS
    ]  # fmt: skip
    assert rows(read(root, text_of(AGGREGATED, *moved))) == EXPECTED
    block = [[*row[:1], "10.0"] if row[:1] == ["Time offset (s)"] else row for row in BLOCK]
    later = [{**row, "Time": float(row["Time"]) + 10} for row in PRESSES]
    assert rows(read(root, text_of(OLD_TABULAR, *later, block=block))) == EXPECTED


def test_media_files_that_follow_each_other(root):
    source = {
        "Source": "player #1:C:/films/a.mp4;C:/films/b.mp4|player #2:C:/films/side.mp4",
        "Media duration (s)": "60.000;30.000|90.000",
    }
    dataset = read(
        root,
        text_of(
            AGGREGATED,
            bout("10.0", "20.0", "groom", **source),
            bout("50.0", "70.0", "rear", **source),
            bout("60.0", "60.0", "sniff", **source),
            bout("85.0", "95.0", "rest", **source),
        ),
    )
    assert rows(dataset) == [
        ("cage/a.mp4", 10.0, 20.0, "groom"),
        ("cage/a.mp4", 50.0, 60.0, "rear"),
        ("cage/b.mp4", 0.0, 0.0, "sniff"),
        ("cage/b.mp4", 0.0, 10.0, "rear"),
        ("cage/b.mp4", 25.0, 35.0, "rest"),
    ]


def test_subjects_annotators_and_modifiers(root):
    dataset = read(
        root,
        text_of(
            TABULAR,
            pressed("1", "groom", "START", Subject="m1", observer="ann"),
            pressed("2", "groom", "START", Subject="m2", observer="ann"),
            pressed("3", "groom", "STOP", Subject="m1", observer="ann"),
            pressed("4", "rear", "START", Subject="m1", **{"Modifier #1": "left"}),
            pressed("5", "rear", "START", Subject="m1", **{"Modifier #1": "right"}),
            pressed("6", "rear", "STOP", Subject="m1", **{"Modifier #1": "left"}),
            pressed("7", "rear", "STOP", Subject="m1", **{"Modifier #1": "right"}),
            pressed("8", "groom", "STOP", Subject="m2", observer="ann"),
        ),
    )
    assert [row[1:] for row in rows(dataset, "subject", "annotator")] == [
        (1.0, 3.0, "groom", "m1", "ann"),
        (2.0, 8.0, "groom", "m2", "ann"),
        (4.0, 6.0, "rear", "m1", None),
        (5.0, 7.0, "rear", "m1", None),
    ]
    assert dataset.warnings == ("events.tsv: modifiers are not read (4 rows have some)",)


def test_two_observations_of_a_video_are_annotators(root):
    dataset = read(
        root,
        text_of(
            AGGREGATED,
            bout("1", "2", "groom"),
            bout("1", "3", "groom", **{"Observation id": "obs2"}),
            bout("1", "2", "rear", **{"Source": "player #1:b.mp4"}),
        ),
    )
    assert [row[-1] for row in rows(dataset, "annotator")] == ["obs1", "obs2", None]
    assert "1 videos were coded in several observations" in dataset.warnings[0]


def test_observations_of_different_subjects_are_one_annotation(root):
    dataset = read(
        root,
        text_of(
            AGGREGATED,
            bout("1", "2", "groom", Subject="m1"),
            bout("1", "3", "rear", Subject="m2", **{"Observation id": "obs2"}),
        ),
    )
    assert [row[-1] for row in rows(dataset, "annotator")] == [None, None]


def test_live_observations_and_pictures_are_left_out(root):
    other = [
        bout("NA", "NA", "groom", **{"Observation type": "From pictures", "Source": "shots; "}),
        bout("1", "2", "rear", **{"Observation type": "Live observation", "Source": "NA"}),
    ]
    dataset = read(root, text_of(AGGREGATED, *BOUTS, *other))
    assert rows(dataset) == EXPECTED and "2 rows of live observations" in dataset.warnings[0]


def test_variables_of_the_user_do_not_hide_columns(root):
    columns = ["Observation id", "Subject", *AGGREGATED[1:]]
    text = text_of(columns, *BOUTS).replace("\tNo focal subject\t", "\tcage 7\t", 1)
    assert rows(read(root, text)) == EXPECTED


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (text_of(TABULAR, PRESSES[0]), r"START has its STOP.*line 2: START of groom"),
        (text_of(TABULAR, PRESSES[2]), r"line 2: STOP of groom"),
        (text_of(TABULAR, PRESSES[0], PRESSES[0]), r"line 2: START of groom .and 1 more, line 3"),
        (text_of(TABULAR, pressed("1", "groom", "BEGIN")), "line 2: BEGIN in Behavior type"),
        (text_of(TABULAR, pressed("x", "groom", "POINT")), "line 2: x in Time .not a time"),
        (text_of(AGGREGATED, bout("", "2", "groom")), r"line 2: empty in Start \(s\)"),
        (text_of(AGGREGATED, bout("3", "2", "groom")), "line 2: groom stops before it starts"),
        (text_of(AGGREGATED, bout("1", "2", "")), "line 2: no behaviour"),
        (
            text_of(AGGREGATED, bout("1", "2", "x", Source="player #1:c.mp4")),
            r"media file of an export is in the folder.*line 2: c\.mp4",
        ),
        (
            text_of(AGGREGATED, bout("1", "2", "x", Source="player #1:a.mp4;b.mp4")),
            "how long each one is.*line 2: obs1",
        ),
        (
            text_of(AGGREGATED, bout("1", "2", "x", **{"Time offset (s)": "10"})),
            "no event comes before its video.*line 2: 1 s",
        ),
        (
            text_of(AGGREGATED, bout("1", "2", "x", **{"Time offset (s)": "ten"})),
            r"line 2: ten in Time offset \(s\)",
        ),
        ("Observation id\tSubject\tBehavior\n", "aggregated events.*events.tsv line 1"),
        ("Observation id\tSubject\n", "no column Behavior"),
        ('Observation id\tBehavior\n"obs', "close the quotation mark"),
    ],
)
def test_mistakes_name_file_and_line(root, text, told):
    with pytest.raises(UserErrors, match=told):
        read(root, text)


BEHAVIOURS = ["groom", "rear, high", "Fußpflege", 'the "end"']


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bouts=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**5), st.sampled_from(BEHAVIOURS)),
        max_size=8,
        unique=True,
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "latin-1", "utf-16"]),
    separator=st.sampled_from(["\t", ",", ";"]),
    columns=st.sampled_from([AGGREGATED, OLD_AGGREGATED]),
)
def test_any_bouts_come_back(root, bouts, encoding, separator, columns):
    text = text_of(
        columns,
        *(bout(f"{a / 1000:.3f}", f"{(a + n) / 1000:.3f}", x) for a, n, x in bouts),
        separator=separator,
    )
    (root / "events.tsv").write_bytes(text.encode(encoding))
    found = read_dataset(str(root), home=root / "home", labels_needed=False).annotations
    milliseconds = [(found[edge] * 1000).round().astype(int) for edge in ("start_s", "end_s")]
    assert sorted(zip(*milliseconds, found["label"], strict=True)) == sorted(
        (a, a + n, x) for a, n, x in bouts
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_told(root, data):
    (root / "events.tsv").write_bytes("\t".join(TABULAR).encode() + b"\n" + data)
    try:
        read_dataset(f"boris:{root}", home=root, labels_needed=False)
    except UserErrors as error:
        assert "events.tsv" in str(error)


def test_two_exports_of_one_name_are_told_apart(root):
    text = text_of(AGGREGATED, {**BOUTS[0], "Media file name": "gone.mp4", "Source": ""})
    (root / "later").mkdir()
    for name in ("cage", "later"):
        (root / name / "events.tsv").write_text(text)
    with pytest.raises(UserErrors) as error:
        read_dataset(f"boris:{root}", home=root.parent / "home")
    told = str(error.value)
    assert "cage/events.tsv line 2: gone.mp4" in told
    assert "later/events.tsv line 2: gone.mp4" in told
