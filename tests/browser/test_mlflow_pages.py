"""MLflow's pages, as ``vidclass ui`` opens them: one parent run with its trials below it."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.tracking.make_ledger import NAME, LedgerMaker
from vidclass.tracking.store import experiment, open_client
from vidclass.tracking.writer import LedgerWriter

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PATIENCE_S = 150


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    """The runs of a small study, and the pages on them."""
    maker = LedgerMaker(home, ended=True)
    maker.write()
    writer = LedgerWriter(maker.folder, home, NAME)
    writer.start()
    assert writer.finish(200) == ""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "vidclass.ui"],
        env={**os.environ, "MLFLOW_PORT": str(port)},
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the pages did not come up"
                time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0


def test_one_parent_run_with_its_trials_to_compare(
    browser: Chrome, address: str, home: Path
) -> None:
    client = open_client(home)
    number = experiment(client, home, f"vidclass/{NAME}")
    runs = client.search_runs([number])
    browser.get(f"{address}#/experiments/{number}/runs")
    wait = WebDriverWait(browser, PATIENCE_S)

    def shown() -> str:
        return browser.find_element(By.TAG_NAME, "body").text

    wait.until(lambda _: f"{len(runs)} matching runs" in shown())
    assert "Training runs" in shown()
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    linked = f"//a[contains(@href, '{parent.info.run_id}')]"
    wait.until(lambda _: browser.find_elements(By.XPATH, linked))
    children = [run.info.run_name for run in runs if run is not parent]
    assert not any(name in shown().splitlines() for name in children)  # folded below their parent
    cell = f"//div[@role='gridcell'][.{linked}]//button"
    browser.find_element(By.XPATH, cell).click()
    wait.until(lambda _: sum(name in shown().splitlines() for name in children) >= 3)
