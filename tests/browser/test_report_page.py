"""Reports as a person sees them: at a desk and on a telephone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

pytestmark = pytest.mark.browser

REPORTS = Path(__file__).resolve().parents[2] / "reports"
PAGES = sorted(REPORTS.glob("*/report.html"))
SIZES = {"desk": (1280, 900), "telephone": (390, 844)}

Opened = Callable[[str], Chrome]


@pytest.fixture(params=PAGES, ids=lambda page: page.parent.name)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def opened(browser: Chrome, page: Path) -> Opened:
    def at(size: str) -> Chrome:
        width, height = SIZES[size]
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        browser.get_log("browser")  # what earlier pages said
        browser.get(page.as_uri())
        return browser

    return at


def test_there_are_reports() -> None:
    assert len(PAGES) >= 2


def test_the_verdict_stands_in_the_first_screen(opened: Opened, page: Path) -> None:
    verdict = json.loads((page.parent / "verdict.json").read_text(encoding="utf-8"))["verdict"]
    browser = opened("desk")
    (found,) = [e for e in browser.find_elements(By.XPATH, "//main//*") if e.text == verdict][:1]
    assert found.is_displayed()
    assert found.location["y"] + found.size["height"] <= SIZES["desk"][1]


@pytest.mark.parametrize("size", SIZES)
def test_nothing_sticks_out_sideways(opened: Opened, size: str) -> None:
    browser = opened(size)
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= SIZES[size][0]


def test_every_figure_is_drawn_and_told_in_words(opened: Opened) -> None:
    figures = opened("desk").find_elements(By.CSS_SELECTOR, "figure")
    assert len(figures) >= 4
    for figure in figures:
        picture = figure.find_element(By.CSS_SELECTOR, "svg, img")
        assert picture.size["width"] > 200 and picture.size["height"] > 60
        assert figure.find_elements(By.CSS_SELECTOR, "[aria-label], [alt], title")


def test_the_page_has_no_mistakes_and_asks_nobody(opened: Opened) -> None:
    browser = opened("desk")
    assert browser.get_log("browser") == []
    asked = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert [name for name in asked if not name.startswith(("data:", "blob:"))] == []
