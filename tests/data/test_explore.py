"""What a data set is made of: figures, and a page that needs no other file."""

import html.parser
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.data.manifests import manifest_of
from vidclass.data.__main__ import app
from vidclass.data.annotations import new_annotations
from vidclass.data.explore import UNLABELLED, class_shares, explore, union_s

RUNNER = CliRunner()
MANIFEST = manifest_of({"a": [2] * 3, "b": [1] * 2}).assign(
    num_frames=np.arange(8.0) * 10 + 20,
    fps=[10.0] * 6 + [25.0] * 2,
    width=320.0,
    height=[240.0] * 7 + [180.0],
    duration_s=np.arange(8.0) + 2,
    size_bytes=1e6,
)
TIMES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=8)


def test_classes_sizes_and_rates_are_counted() -> None:
    found = explore(MANIFEST, True)
    assert found.classes["videos"].to_dict() == {"a": 6, "b": 2}
    assert found.classes.loc["a", ["groups", "share", "seconds", "median_s"]].tolist() == [
        3,
        0.75,
        27.0,
        4.5,
    ]
    assert found.sizes["videos"].to_dict() == {"320 x 240": 7, "320 x 180": 1}
    assert found.rates["videos"].to_dict() == {"10": 6, "25": 2}
    assert dict(found.overview)["length"] == "44 seconds, 440 frames"
    assert found.shares.empty and found.columns.empty


def test_videos_without_label_and_files_that_do_not_decode_are_told_apart() -> None:
    manifest = MANIFEST.copy()
    manifest.loc[0, ["status", "reason"]] = ["quarantined", "the file is empty (0 bytes)"]
    manifest.loc[1, "label"] = None
    found = explore(manifest.assign(cage=["c1", None] * 4), False)
    assert found.classes["videos"].to_dict() == {UNLABELLED: 1, "a": 4, "b": 2}
    assert found.unreadable["reason"].tolist() == ["the file is empty (0 bytes)"]
    assert found.columns.loc["cage", ["values", "empty"]].tolist() == [1, 4]
    assert "not given" in dict(found.overview)["groups"]


def test_the_share_of_a_class_is_of_the_time_of_its_video() -> None:
    rows = [("a/0-0", 0.0, 1.0, "dig"), ("a/0-0", 0.5, 1.5, "dig"), ("a/0-0", 0.0, 9.0, "walk")]
    rows += [("b/0-0", 2.0, 2.0, "dig"), ("b/0-0", 0.0, 4.0, None), ("none", 0.0, 1.0, "dig")]
    annotations = new_annotations(
        pd.DataFrame(rows, columns=["video_id", "start_s", "end_s", "label"])
    )
    shares = class_shares(MANIFEST, annotations)
    assert shares.loc["a/0-0"].to_dict() == {"dig": 0.75, "walk": 1.0}  # the video ends at 2 s
    assert shares.loc["b/0-0"].to_dict() == {"dig": 0.0, "walk": 0.0}
    found = explore(MANIFEST, True, annotations)
    assert found.classes.loc["dig", ["videos", "seconds"]].tolist() == [1, 1.5]


@given(TIMES, st.integers(1, 40))
def test_the_time_of_intervals_is_that_of_their_union(
    times: list[tuple[int, int]], end: int
) -> None:
    intervals = [(min(pair), max(pair)) for pair in times]
    covered = {second for low, high in intervals for second in range(low, min(high, end))}
    start, stop = np.array(intervals, dtype=float).T
    assert union_s(start, stop, float(end)) == len(covered)


class Page(html.parser.HTMLParser):
    """Collects what a page loads, and how many pictures it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.mark.usefixtures("small_ray")
def test_the_command_tells_figures_and_writes_one_file(
    home: Path, tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    for seed in range(6):
        write_video(tmp_path / "set" / f"c{seed % 2}" / f"<{seed}>.mp4", seed=seed, size=(48, 64))
    (tmp_path / "set" / "c0" / "bad.mp4").write_bytes(b"x")
    out = tmp_path / "page.html"
    words = ["explore", str(tmp_path / "set"), "--out", str(out), "--videos", "4"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 0, result.output
    for part in ("7, of which 6 decode", "64 x 48", "100.0 %", "c0/bad.mp4"):
        assert part in result.output
    page = Page()
    page.feed(out.read_text(encoding="utf-8"))
    assert len([link for link in page.loaded if link.startswith("data:image/jpeg")]) == 8
    assert all(link.startswith(("data:", "#")) for link in page.loaded)
    text = out.read_text(encoding="utf-8")
    assert text.count("&gt;.mp4") == 4 and ">.mp4" not in text and str(tmp_path) not in text


def test_the_page_is_html(tmp_path: Path, home: Path) -> None:
    result = RUNNER.invoke(app, ["explore", str(tmp_path), "--out", "page.pdf"])
    assert result.exit_code != 0 and "page.html" in str(result.exception)
