"""One started cluster of a lab's own machines for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import Hosts, why_not
from tests.cluster.lab import FILLED, WORKERS, cluster_up, lab


@pytest.fixture(scope="module")
def hosts(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Head and two workers as `vidclass cluster up` leaves them."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("project") / "p"
    with lab(repository, folder, WORKERS, FILLED) as made:
        cluster_up(made)
        yield made
