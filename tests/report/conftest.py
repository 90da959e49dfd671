"""Small studies with their reports, made once for all tests of this room."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.report.make_study import make_study
from vidclass.report.collect import StudyTables, collect
from vidclass.report.render import Rendered, render_report


@dataclass(frozen=True)
class Reported:
    """A study folder, what was read from it, and its report."""

    folder: Path
    home: Path
    tables: StudyTables
    rendered: Rendered
    out: Path

    @property
    def html(self) -> str:
        return self.rendered.html.read_text(encoding="utf-8")

    @property
    def markdown(self) -> str:
        return self.rendered.markdown.read_text(encoding="utf-8")


def report(root: Path, **options: object) -> Reported:
    home, out = root / "home", root / "reports" / "small_study"
    folder = make_study(home, **options)  # type: ignore[arg-type]
    rendered = render_report(folder, home, out)
    return Reported(folder, home, collect(folder, home), rendered, out)


@pytest.fixture(scope="session")
def one_split(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    return report(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="session")
def five_folds(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    return report(tmp_path_factory.mktemp("five"), folds=5)


@pytest.fixture(scope="session")
def searched_only(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    return report(tmp_path_factory.mktemp("searched"), until="search")
