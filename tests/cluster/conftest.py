"""One started cluster of a lab's own machines for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import Hosts, why_not
from tests.cluster.lab import FILLED, SECTION, WORKERS, cluster_up, lab
from tests.cluster.page import Page


@pytest.fixture(scope="module")
def page(repository: Path) -> Page:
    """What docs/cluster.md says to those who have machines of their own."""
    return Page(repository, SECTION)


@pytest.fixture(scope="module")
def hosts(
    repository: Path, page: Page, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    """Head and two workers as the page's commands up to `vidclass cluster up` leave them."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("project") / "p"
    with lab(repository, folder, page, WORKERS, FILLED) as made:
        for start in ("ray get-auth-token", "vidclass cluster check"):
            done = made.run("laptop", page.command(start), check=False)
            assert done.returncode == 0, done.stdout + done.stderr
        cluster_up(made, page)
        yield made
