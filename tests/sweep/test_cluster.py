"""Ray gives its processes 30 s to start: a machine that is too busy for that is asked again.

`ray.init` is replaced: a start that is too slow for Ray can't be had at will.
"""

import pytest
import ray

from vidclass.errors import UserError
from vidclass.sweep.cluster import STARTS, cluster

TOO_SLOW = "The current node timed out during startup. This could happen because ..."


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens at each start of Ray, in order; further ones succeed. Those used are taken."""
    told: list[str] = []

    def init(**settings: object) -> None:
        if told and (message := told.pop(0)):
            raise Exception(message)

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    return told


def test_a_slow_start_is_tried_again(starts: list[str]) -> None:
    starts += [TOO_SLOW] * (STARTS - 1)
    with cluster():
        assert starts == []


def test_a_machine_that_stays_too_busy_is_told(starts: list[str]) -> None:
    starts += [TOO_SLOW] * STARTS
    with pytest.raises(UserError, match="load average"), cluster():
        pass


def test_another_mistake_is_no_slow_start(starts: list[str]) -> None:
    starts += ["no such address", "never asked"]
    with pytest.raises(Exception, match="no such address"), cluster():
        pass
    assert starts == ["never asked"]
