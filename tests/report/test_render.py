import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.report.conftest import Reported
from tests.report.make_study import make_study
from vidclass.errors import UserError
from vidclass.report.__main__ import app
from vidclass.report.protocol import features_note
from vidclass.report.render import render_report
from vidclass.sweep.spec import FloorsSpec

LOADING = {
    "img": "src", "script": "src", "link": "href", "iframe": "src", "source": "src",
    "video": "src", "audio": "src", "object": "data", "embed": "src", "image": "href",
}  # fmt: skip
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "use", "rect", "line", "circle"}


class Page(HTMLParser):
    """Keeps the tables as lists of cell texts, what is loaded, ids, and the texts of the page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.loaded: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.cell: list[str] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in LOADING and given.get(LOADING[tag]):
            self.loaded.append(str(given[LOADING[tag]]))
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        if given.get("role") == "region":
            self.rows: list[list[str]] = []
            self.tables[str(given["aria-label"])] = self.rows
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = []
        if tag == "small" and self.cell is not None:
            self.cell.append(" | ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()
        if tag in ("td", "th") and self.cell is not None:
            self.rows[-1].append("".join(self.cell).strip().replace("\u00a0", " "))
            self.cell = None

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell.append(data)


def markdown_rows(markdown: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table below ``heading``."""
    rows: list[list[str]] = []
    for line in markdown.split(f"## {heading}\n", 1)[1].splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split(" | ")])
        elif rows:
            break
    return rows


def test_the_page_is_well_formed_and_links_only_to_itself(one_split: Reported) -> None:
    page = Page(one_split.html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


@pytest.mark.parametrize("study", ["one_split", "five_folds", "searched_only"])
def test_the_page_loads_nothing_from_outside(study: str, request: pytest.FixtureRequest) -> None:
    reported: Reported = request.getfixturevalue(study)
    page = Page(reported.html)
    assert all(url.startswith("data:") for url in page.loaded)
    assert "http" not in reported.html
    assert not re.search(r"@import|url\((?!#|data:)|<script", reported.html)


@pytest.mark.parametrize("study", ["one_split", "five_folds", "searched_only"])
def test_no_file_of_the_report_names_a_path_of_this_machine(
    study: str, request: pytest.FixtureRequest
) -> None:
    reported: Reported = request.getfixturevalue(study)
    for path in reported.out.rglob("*"):
        if path.suffix in (".html", ".md", ".csv", ".json"):
            content = path.read_text(encoding="utf-8")
            assert "/secret" not in content, path.name
            assert str(reported.home.parent) not in content, path.name


def test_html_and_markdown_show_the_same_cells(one_split: Reported) -> None:
    page = Page(one_split.html)
    for label, heading in (
        ("Arms and floors", "Every arm and floor in figures"),
        ("Paired differences", "Paired differences"),
        ("Worst pairs", "What slow confuses"),
        ("Perturbations", "What happens when frames are disturbed"),
        ("Trials", "Every trial"),
    ):
        told = [[_one_line(cell) for cell in row] for row in page.tables[label]]
        written = markdown_rows(one_split.markdown, heading)
        assert told[0] == written[0], heading
        assert told[1:] == written[2:], heading
        assert len(told) > 1


def _one_line(cell: str) -> str:
    words, _, beneath = cell.partition(" | ")
    return f"{words} ({beneath})" if beneath else words


def test_csv_holds_the_figures_of_the_page(one_split: Reported) -> None:
    results = pd.read_csv(one_split.out / "results.csv").set_index("name")
    shown = {
        row[0].partition(" | ")[0]: row for row in Page(one_split.html).tables["Arms and floors"]
    }
    assert set(results.index) == set(shown) - {"Arm or floor"}
    for name, row in results.iterrows():
        assert shown[str(name)][1].startswith(f"{100 * row['primary']:.1f} %")
        assert f"{100 * row['low']:.1f} to {100 * row['high']:.1f}" in shown[str(name)][1]


def test_the_page_agrees_with_the_scores_in_the_ledger(one_split: Reported) -> None:
    results = pd.read_csv(one_split.out / "results.csv").set_index("name")
    finals = [f for f in one_split.tables.state.finals.values() if f.variant == "kept"]
    for arm in ("single", "early", "slow"):
        scores = [final.metrics["accuracy"] for final in finals if final.arm == arm]
        assert results.loc[arm, "primary"] == pytest.approx(sum(scores) / 2, abs=1e-6)


def test_arms_without_order_have_no_value_of_time_by_definition(one_split: Reported) -> None:
    rows = {row[0].split(" | ")[0]: row for row in Page(one_split.html).tables["Arms and floors"]}
    column = rows["Arm or floor"].index("Value of time")
    assert rows["single"][column].startswith("0 by definition")
    assert float(rows["slow"][column].split(" points")[0]) > 30


def test_the_page_states_its_own_limits(one_split: Reported) -> None:
    limits = json.loads((one_split.out / "verdict.json").read_text())["limits"]
    assert not any("no p can fall below" in limit for limit in limits), "40 groups limit no p"
    assert any("missed more often" in limit for limit in limits)
    assert all(limit in one_split.markdown for limit in limits)


def test_out_of_fold_studies_say_so_and_show_each_fold(five_folds: Reported) -> None:
    page = Page(five_folds.html)
    assert len(page.tables["Folds"]) == 1 + 5
    assert "out of fold" in five_folds.html
    assert "deployment model" in five_folds.markdown


def test_the_verdict_is_the_same_everywhere(one_split: Reported) -> None:
    verdict = one_split.rendered.verdict
    assert json.loads((one_split.out / "verdict.json").read_text())["verdict"] == verdict
    assert verdict in one_split.markdown
    assert verdict.startswith("Slow beats early by ")


def test_the_report_is_small_and_copied_whole(five_folds: Reported) -> None:
    report = five_folds.folder / "report"
    names = {path.relative_to(report) for path in report.rglob("*") if path.is_file()}
    assert names == {
        p.relative_to(five_folds.out) for p in five_folds.out.rglob("*") if p.is_file()
    }
    assert {Path("report.html"), Path("report.md"), Path("figures/scores.png")} <= names
    assert not any(name.suffix == ".aside" for name in names)
    assert sum((report / name).stat().st_size for name in names) < 2_000_000


def test_every_picture_of_the_markdown_lies_beside_it(one_split: Reported) -> None:
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", one_split.markdown)
    assert len(pictures) >= 6
    assert all((one_split.out / picture).is_file() for picture in pictures)


def test_a_second_report_has_the_same_bytes(one_split: Reported) -> None:
    before = one_split.rendered.html.read_bytes()
    render_report(one_split.folder, one_split.home)
    assert one_split.rendered.html.read_bytes() == before


def test_a_study_without_finals_shows_its_floors_and_trials(searched_only: Reported) -> None:
    page = Page(searched_only.html)
    assert page.open == []
    assert "▲ partial" in searched_only.html
    assert {row[0].partition(" | ")[0] for row in page.tables["Arms and floors"][1:]} == {
        "majority", "metadata", "middle_frame", "bag_of_frames", "bag_with_differences"
    }  # fmt: skip
    assert len(page.tables["Trials"]) == 1 + 3 * 6


def test_a_study_whose_data_are_only_just_ready_has_a_page(tmp_path: Path) -> None:
    rendered = render_report(make_study(tmp_path, until="data"), tmp_path)
    page = Page(rendered.html.read_text(encoding="utf-8"))
    assert page.open == [] and page.tables == {}
    assert {"belief", "protocol"} <= set(page.ids)
    assert "videos by decord, 1 video by decord, in order" in rendered.html.read_text("utf-8")


def test_the_command_writes_the_report_and_tells_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path / "home", until="data")
    monkeypatch.setenv("VIDCLASS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["small_study"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "reports" / "small_study" / "report.html").is_file()
    assert "report:" in result.output


def test_an_unknown_study_is_told_with_those_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_study(tmp_path, until="data")
    monkeypatch.setenv("VIDCLASS_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["no_such_study"])
    assert isinstance(result.exception, UserError)
    assert "small_study" in result.exception.remedy


@pytest.mark.parametrize(
    ("floors", "told"),
    [
        ({}, "no trained weights are used"),
        ({"backbone": "mobilenet_v2"}, "mobilenet_v2, avg pooled, with the published ImageNet"),
        ({"backbone": "resnet18", "weights": "none", "pooling": "max"}, "max pooled, with random"),
        ({"backbone": "resnet18", "weights": "/home/someone/r18.pth"}, "with r18.pth weights"),
    ],
)
def test_the_page_says_which_features_the_floors_took(
    one_split: Reported, floors: dict[str, str], told: str
) -> None:
    spec = one_split.tables.spec.model_copy(update={"floors": FloorsSpec(**floors)})
    assert told in features_note(spec)
    assert features_note(one_split.tables.spec) in one_split.markdown
