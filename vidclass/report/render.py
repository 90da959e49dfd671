"""Writes the report of a study: one HTML file that needs nothing else, Markdown, CSV and JSON.

Everything is written aside and renamed, so that a reader of a running study's report never sees
half a page.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from vidclass.home import write_aside
from vidclass.report import figures, figures_coordinates, figures_search
from vidclass.report.collect import PREDICTION_COLUMNS, StudyTables, answer_columns, collect
from vidclass.report.cost import compute_unit
from vidclass.report.drawing import settle, to_png, to_svg
from vidclass.report.fewer_videos import draw_videos_curve
from vidclass.report.summary import Page, summarize
from vidclass.report.table import without_paths
from vidclass.report.words import FLOORS_EXPLAINED, GLOSSARY

__all__ = ["Rendered", "render_report", "written_report"]

LARGEST_PREDICTIONS_BYTES = 300_000
"""Predictions are copied into the report only up to this size, so that it can be committed."""


@dataclass(frozen=True)
class Rendered:
    """Where the report lies and what it says in one sentence."""

    html: Path
    markdown: Path
    csv: tuple[Path, ...]
    verdict: str
    copied_to: Path | None = None


@dataclass(frozen=True)
class Picture:
    """A figure with what it shows in words."""

    figure: Figure
    alt: str
    caption: str


def render_report(study_folder: Path, home: Path, out: Path | None = None) -> Rendered:
    """Write ``study_folder``/report and, when ``out`` is given, a copy of it there.

    Args:
        study_folder: home/studies/NAME; the study may still run, the page is then marked partial.
        home: the home folder.
        out: a folder for the copy, as ``reports/NAME``; made when absent.

    Raises:
        UserError: when there is no ledger to report on.
    """
    tables = collect(study_folder, home)
    page = summarize(tables)
    pictures = dict(_pictures(tables, page))
    for shown in pictures.values():
        settle(shown.figure)
    folder = study_folder / "report"
    shared: dict[str, Any] = {
        "page": page,
        "pictures": pictures,
        "floors_explained": FLOORS_EXPLAINED,
        "glossary": GLOSSARY,
    }
    for name, shown in pictures.items():
        _write(folder / "figures" / f"{name}.png", to_png(shown.figure))
    svg = {name: to_svg(shown.figure, name) for name, shown in pictures.items()}
    html, markdown = folder / "report.html", folder / "report.md"
    _write(html, _unbroken(_template("report.html.j2").render(**shared, svg=svg)).encode())
    _write(markdown, _template("report.md.j2").render(**shared).encode())
    csv = tuple(_write_csv(folder / f"{name}.csv", t) for name, t in _frames(tables, page).items())
    _write(folder / "verdict.json", json.dumps(_verdict(page), indent=2).encode() + b"\n")
    if out is not None and out.resolve() != folder.resolve():
        _copy(folder, out)
    return Rendered(html, markdown, csv, page.verdict, out)


def written_report(study_folder: Path, out: Path | None = None) -> Rendered | None:
    """Return the report that lies in ``study_folder``, copied to ``out``; None when there is none.

    For a study of which nothing has changed since its report was written.
    """
    folder = study_folder / "report"
    if not (folder / "verdict.json").exists() or not (folder / "report.html").exists():
        return None
    if out is not None and out.resolve() != folder.resolve():
        _copy(folder, out)
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))["verdict"]
    csv = tuple(sorted(folder.glob("*.csv")))
    return Rendered(folder / "report.html", folder / "report.md", csv, verdict, out)


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vidclass.report", "templates"),
        autoescape=name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def _unbroken(html: str) -> str:
    """Keep figures and their per cent sign on one line."""
    return re.sub(r"(?<=\d) %", "\u00a0%", html)


def _write(path: Path, content: bytes) -> None:
    with write_aside(path) as aside:
        aside.write_bytes(content)


def _write_csv(path: Path, table: pd.DataFrame) -> Path:
    _write(path, table.to_csv(index=False, float_format="%.6g").encode())
    return path


def _copy(folder: Path, out: Path) -> None:
    """Copy the files of the report that are there now, each aside first."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".aside":
            with write_aside(out / path.relative_to(folder)) as aside:
                shutil.copyfile(path, aside)


def _frames(tables: StudyTables, page: Page) -> Mapping[str, pd.DataFrame]:
    results = page.arms.frame()
    if len(results):
        results.insert(1, "is_floor", [dot.is_floor for dot in page.drawn.dots])
        results.insert(3, "low", [dot.low for dot in page.drawn.dots])
        results.insert(4, "high", [dot.high for dot in page.drawn.dots])
        results = results.merge(page.costs.frame(), on="name", how="left")
    trials = tables.trials.copy()
    if "reason" in trials:
        trials["reason"] = [without_paths(str(reason)) for reason in trials["reason"]]
    frames = {
        "results": results,
        "differences": pd.DataFrame([asdict(each) for each in page.comparisons]),
        "trials": trials,
        "epochs": tables.epochs,
    }
    predictions = pd.concat([tables.finals, tables.floors], ignore_index=True)
    told = predictions[[*PREDICTION_COLUMNS, *answer_columns(predictions)]]
    if 0 < told.memory_usage(deep=False).sum() <= LARGEST_PREDICTIONS_BYTES:
        frames["predictions"] = told
    return frames


def _verdict(page: Page) -> dict[str, Any]:
    return {
        "study": page.name,
        "verdict": page.verdict,
        "winner": page.winner,
        "partial": page.partial,
        "limits": page.limits,
        "champion": page.champion or None,
        "lights": {light.name: [light.colour, light.reason] for light in page.lights},
    }


def _pictures(tables: StudyTables, page: Page) -> Iterator[tuple[str, Picture]]:
    """Yield the figures that there is something to show in, by name."""
    metric = tables.spec.primary.metric.replace("_", " ")
    yield from _score_pictures(page, metric)
    yield from _champion_pictures(tables, page, metric)
    yield from _search_pictures(tables, page, metric)


def _score_pictures(page: Page, metric: str) -> Iterator[tuple[str, Picture]]:
    drawn = page.drawn
    if drawn.dots:
        yield (
            "scores",
            Picture(
                figures.draw_scores(drawn.dots, drawn.chance, metric),
                f"Dot plot of the test {metric} of arms and floors with 95 % intervals",
                "Circles: arms. Diamonds: floors. Lines: 95 % intervals. Small dots: single seeds.",
            ),
        )
    if drawn.bars:
        yield (
            "differences",
            Picture(
                figures.draw_forest(drawn.bars),
                "Forest plot of the paired differences with 95 % intervals",
                "Right of the line the first is better. Intervals are not corrected for the number "
                "of comparisons; Holm's p is.",
            ),
        )


def _champion_pictures(
    tables: StudyTables, page: Page, metric: str
) -> Iterator[tuple[str, Picture]]:
    drawn = page.drawn
    if page.champion in drawn.confusions:
        yield (
            "confusion",
            Picture(
                figures.draw_confusion(
                    {page.champion: drawn.confusions[page.champion]}, tables.classes
                ),
                f"Confusion matrix of {page.champion}",
                "Rows: labels. Columns: what was said. Per cent of the row.",
            ),
        )
    if page.champion in drawn.together:
        yield (
            "together",
            Picture(
                figures.draw_shares({page.champion: drawn.together[page.champion]}, tables.classes),
                f"What {page.champion} says where each class holds",
                "Rows: where the class holds. Columns: what is said there. Per cent; a row need "
                "not add up to 100, since several may be said at a time.",
            ),
        )
    if drawn.videos_curve:
        yield (
            "videos",
            Picture(
                draw_videos_curve(
                    drawn.videos_curve, page.champion, drawn.chance, metric, tables.unit
                ),
                f"Test {metric} of {page.champion} against the number of training {tables.unit}s",
                "Lines: 95 % intervals. Dashed: chance. The last point is that of the finals.",
            ),
        )


def _search_pictures(tables: StudyTables, page: Page, metric: str) -> Iterator[tuple[str, Picture]]:
    drawn = page.drawn
    if len(drawn.curve):
        yield (
            "hours",
            Picture(
                figures.draw_best_so_far(drawn.curve, compute_unit(tables), metric, drawn.equal),
                f"Best validation {metric} of each arm against the hours of its search",
                "Best validation figure so far; validation chooses, so these are not test scores.",
            ),
        )
    if drawn.curves:
        yield (
            "curves",
            Picture(
                figures_search.draw_curves(drawn.curves, tables.arms, drawn.chance, metric),
                f"Validation {metric} by epoch, one panel an arm",
                "Grey: search and re-runs. Colour: finals. Dashed: chance.",
            ),
        )
    if len(drawn.confusions) > 1:
        yield (
            "confusions",
            Picture(
                figures.draw_confusion(drawn.confusions, tables.classes),
                "Confusion matrices of every arm",
                "Rows: labels. Columns: what was said. Per cent of the row.",
            ),
        )
    if drawn.importances:
        yield (
            "importance",
            Picture(
                figures_search.draw_importance(drawn.importances),
                "Importance of each searched value",
                "Share of the variance of the validation score that a value explains (fANOVA).",
            ),
        )
    panels = figures_coordinates.parallel_coordinates(drawn.slices)
    if panels:
        yield (
            "coordinates",
            Picture(
                figures_coordinates.draw_coordinates(panels, metric),
                "Parallel coordinates of the searched values",
                "One line a search trial, coloured by its best validation score.",
            ),
        )
    if drawn.slices:
        yield (
            "slices",
            Picture(
                figures_search.draw_slices(drawn.slices, metric),
                f"Searched values against the best validation {metric} of their trials",
                "One dot a search trial; stopped trials show what they had reached.",
            ),
        )
