"""The head's machine is lost, and MLflow's file with it: the same command on a new head goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fault.conftest import Home
from tests.sharing.conftest import Nodes
from tests.tracking.readback import everything
from vidclass.sweep.exposure import read_exposure

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]


def forget_mlflow(home: Home) -> None:
    for path in home.path.glob("mlflow.db*"):
        path.unlink()


def test_a_new_head_goes_on_and_mlflow_is_made_again(
    new_home: Callable[..., Home],
    made_data: Path,
    new_cluster: Callable[..., Nodes],
    joined: Callable[[Nodes], None],
) -> None:
    home = new_home(made_data, ("datasets",))
    first = new_cluster(home, head_cpus=2)
    joined(first)
    driver = home.start("smoke")
    home.wait("finals", lambda: home.state("smoke").finals, driver)
    driver.kill()  # the driver is on the head
    first.kill()
    driver.wait(timeout=60)
    done_before = {t.trial for t in home.state("smoke").trials.values() if t.ended_well}
    forget_mlflow(home)

    joined(new_cluster(home, head_cpus=2))
    ended = home.run("smoke")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    state = home.state("smoke")
    assert state.end_reason == "complete"
    assert all(len(state.trials[name].attempts) == 1 for name in done_before)
    exposure = read_exposure(home.path, state.data["content_hash"], state.data["split_hash"])
    assert exposure.scored == 5
    kept = everything(home.path, "smoke")
    trained = {t.trial for t in state.trials.values() if t.kind != "floors"}
    assert trained <= set(kept)

    forget_mlflow(home)
    synced = home.run("sync", "smoke")
    assert synced.returncode == 0, synced.stdout + synced.stderr
    assert everything(home.path, "smoke") == kept
