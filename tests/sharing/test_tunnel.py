"""From a laptop over ssh: `--cluster FILE` opens its own tunnel to the head, and closes it."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import Hosts, why_not
from tests.cluster.test_onprem import FILE, project

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

HEAD_ALONE = {
    "worker_ips: [10.88.0.11, 10.88.0.12]": "worker_ips: []",
    "min_workers: 2": "min_workers: 0",
    "max_workers: 2": "max_workers: 0",
}


@pytest.fixture(scope="module")
def hosts(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A laptop and a head."""
    if reason := why_not():
        pytest.skip(reason)
    made = project(repository, tmp_path_factory.mktemp("project") / "p")
    text = (made / FILE).read_text()
    for before, after in HEAD_ALONE.items():
        assert before in text, before
        text = text.replace(before, after)
    (made / FILE).write_text(text)
    for name in ("tiny.yaml", "tiny_model.py"):
        (made / name).write_bytes((repository / "docs" / name).read_bytes())
    hosts = Hosts(Path(f"/var/tmp/vt{time.time_ns() % 10**6}"), Path(sys.prefix), made)
    try:
        hosts.add("head", 10)
        hosts.run("head", f"ln -s {sys.prefix} ~/vidclass-env")
        hosts.run("laptop", "pip install -q --no-deps --force-reinstall /srv/project/dist/*.whl")
        up = hosts.run(
            "laptop", f"cd /srv/project && vidclass cluster up {FILE}", timeout_s=600, check=False
        )
        assert up.returncode == 0, up.stdout[-4000:] + up.stderr[-4000:]
        yield hosts
    finally:
        hosts.close()


def test_a_study_is_submitted_listed_and_told_through_a_tunnel(hosts: Hosts) -> None:
    def sweep(words: str) -> tuple[int, str]:
        line = f"cd /srv/project && vidclass sweep {words} --cluster {FILE}"
        done = hosts.run("laptop", line, timeout_s=300, check=False)
        return done.returncode, done.stdout + done.stderr

    # the head has no CPUs for trials: what is looked at ends before one
    code, told = sweep("submit tiny.yaml --plugin tiny_model.py --data /no/where --follow")
    assert code == 2, told
    assert "received: /no/where" in told
    name = next(line.split()[1] for line in told.splitlines() if line.startswith("submitted"))
    code, told = sweep("list")
    assert code == 0, told
    assert name in told
    assert sweep(f"status {name}")[0] == 2
    assert hosts.processes("laptop", "ray dashboard") == []
