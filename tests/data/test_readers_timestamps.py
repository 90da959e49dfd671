"""Videos with a table of intervals."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vidclass.data.readers import read_dataset
from vidclass.errors import UserErrors

HEADER = "video,time_start,time_end,label\n"


@pytest.fixture
def root(tmp_path):
    """Three files; their content is no matter to this reader."""
    for name in ("cage1/a.mp4", "cage1/b.mp4", "c.avi"):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path / "set"


def read(root, text=None, **options):
    if text is not None:
        (root / "timestamps.csv").write_text(text)
    return read_dataset(str(root), home=root.parent / "home", **options)


def rows(dataset, *columns):
    names = columns or ("video_id", "start_s", "end_s", "label")
    return [tuple(row) for row in dataset.annotations[list(names)].itertuples(index=False)]


def test_seconds_minutes_and_hours(root):
    dataset = read(
        root,
        HEADER
        + "cage1/a,0,12.5,rear\ncage1/b.mp4,1:00,01:01:00,groom\nc,05:59:58,06:00:00.250,rear\n",
    )
    assert rows(dataset) == [
        ("c.avi", 21598.0, 21600.25, "rear"),
        ("cage1/a.mp4", 0.0, 12.5, "rear"),
        ("cage1/b.mp4", 60.0, 3660.0, "groom"),
    ]
    assert dataset.manifest["label"].tolist() == [None] * 3 and dataset.warnings == ()
    assert dataset.annotations["source"].tolist()[0] == "timestamps.csv line 4"


def test_overlaps_subjects_annotators_groups_and_splits(root):
    text = (
        "video,time_start,time_end,label,subject,annotator,group,split,cage\n"
        "c,0,9,rear,m1,ann,g1,train,1\nc,3,9,groom,m2,,g1,train,\n"
        "cage1/a,0,5,,m1,bob,g2,test,2\n"
    )
    dataset = read(root, text)
    assert rows(dataset, "label", "subject", "annotator") == [
        ("rear", "m1", "ann"), ("groom", "m2", None), (None, "m1", "bob"),
    ]  # fmt: skip
    manifest = dataset.manifest.set_index("video_id")
    assert manifest["split"].to_dict() == {"c.avi": "train", "cage1/a.mp4": "test",
                                           "cage1/b.mp4": None}  # fmt: skip
    assert manifest.loc["c.avi", "cage"] == "1" and manifest.loc["cage1/b.mp4", "cage"] is None
    assert not dataset.groups_known  # of the video without a row


def test_a_name_alone_means_the_only_file_called_so(root):
    text = HEADER + "C:\\films\\A.MP4,0,1,x\n" + "b,0,1,y\n"
    assert {row[0] for row in rows(read(root, text))} == {"cage1/a.mp4", "cage1/b.mp4"}
    (root / "cage2").mkdir()
    (root / "cage2" / "b.mp4").write_bytes(b"x")
    with pytest.raises(UserErrors, match=r"timestamps\.csv line 3: b: "):
        read(root)


def test_any_table_of_intervals_is_recognised(root):
    (root / "bouts.csv").write_text(HEADER + "c,0,1,x\nc,1,2,y\n")
    dataset = read_dataset(str(root / "bouts.csv"), home=root / "home")
    assert len(dataset.annotations) == 2 and len(dataset.manifest) == 3


def test_rows_without_length_are_points_and_told(root):
    dataset = read(root, HEADER + "c,1,1,breath\nc,2,3,dive\n")
    assert rows(dataset)[0][1:3] == (1.0, 1.0)
    assert dataset.warnings == (
        "timestamps.csv: 1 rows without length are point events; each marks one frame",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + "c,2,1,x\nc,9,7,x\n", r"ends after it starts.*line 2: c 2 to 1 .and 1 more"),
        (HEADER + "c,0,1,x\nc,0,1,x\n", r"stands there once.*line 3: c 0 to 1 again"),
        (HEADER + "c,0,,x\n", r"time_end is a time.*line 2: empty"),
        (HEADER + "c,noon,1,x\n", r"time_start is a time.*line 2: noon .not a time"),
        (HEADER + "c,0:75,1,x\n", r"at most 59 seconds"),
        (HEADER + "c,-1,1,x\n", r"line 2: -1 .not a time"),
        (HEADER + "d,0,1,x\n", r"line 2: d: there is no such file"),
        (HEADER + ",0,1,x\n", r"line 2: no video"),
        ("video,time_start,label\nc,0,x\n", r"timestamps\.csv line 1: missing time_end"),
        (HEADER + "c,0,1,x,more\n", r"line 2: 5 cells"),
        (
            "video,time_start,time_end,label,split\nc,0,1,x,train\nc,1,2,y,test\n",
            r"same split.*line 3: c\.avi is test, but train in timestamps\.csv line 2",
        ),
        ("video,time_start,time_end,label,path\nc,0,1,x,p\n", "line 1: path"),
        ("", r"timestamps\.csv line 1: it is empty"),
    ],
)
def test_mistakes_name_file_and_line(root, text, told):
    with pytest.raises(UserErrors, match=told):
        read(root, text)


def test_all_mistakes_are_told_at_once(root):
    with pytest.raises(UserErrors) as error:
        read(root, HEADER + "c,2,1,x\nc,0,1,x\nc,0,1,x\nnone,0,1,x\nc,,1,x\n")
    assert len(error.value.errors) == 4


def test_an_unlabelled_table_leaves_all_videos_unlabelled(root):
    dataset = read(root, HEADER, labels_needed=False)
    assert dataset.annotations.empty and len(dataset.manifest) == 3


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    bouts=st.lists(
        st.tuples(
            st.integers(0, 10**7),
            st.integers(1, 10**6),
            st.text(
                st.characters(codec="latin-1", exclude_categories=("Cc", "Zs")),
                min_size=1,
                max_size=8,
            )
            | st.sampled_from(["a, b", "x;y", 'the "end"']),
        ),
        min_size=1,
        max_size=8,
        unique=True,
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    separator=st.sampled_from([",", ";", "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    order=st.permutations(["video", "time_start", "time_end", "label"]),
    clock=st.booleans(),
)
def test_tables_as_people_write_them(root, bouts, encoding, separator, newline, order, clock):
    from vidclass.data.timecodes import format_time_s

    out = io.StringIO()
    writer = csv.DictWriter(out, order, delimiter=separator, lineterminator=newline)
    writer.writeheader()
    for start, length, label in bouts:
        times = [start / 1000, (start + length) / 1000]
        texts = [format_time_s(t) if clock else str(t) for t in times]
        writer.writerow(
            {"video": "c", "time_start": texts[0], "time_end": texts[1], "label": label}
        )
    (root / "timestamps.csv").write_bytes(out.getvalue().encode(encoding))
    found = read(root, labels_needed=False).annotations
    milliseconds = [(found[edge] * 1000).round().astype(int) for edge in ("start_s", "end_s")]
    assert sorted(zip(*milliseconds, found["label"], strict=True)) == sorted(
        (start, start + length, label) for start, length, label in bouts
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=60), head=st.sampled_from([b"", HEADER.encode()]))
def test_any_bytes_are_read_or_told(root, data, head):
    (root / "timestamps.csv").write_bytes(head + data)
    try:
        read_dataset(f"timestamps:{root}", home=root, labels_needed=False)
    except UserErrors as error:
        assert "timestamps.csv" in str(error)
