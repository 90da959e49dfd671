"""One task a file over Ray: every answer comes, and a file that kills its process is named."""

from pathlib import Path

import pytest

from tests.data.work import die_of, fail, square
from vidclass.data.parallel import Died, for_each_file, ray_address


def test_only_a_cluster_that_is_named_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_address() == "local"
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert ray_address() is None


@pytest.mark.usefixtures("small_ray")
def test_every_item_is_answered_once() -> None:
    found = dict(for_each_file(square, range(37)))
    assert found == {number: number * number for number in range(37)}


def test_without_items_ray_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidclass.data.parallel._started", lambda: pytest.fail("started"))
    assert list(for_each_file(square, [])) == []


@pytest.mark.usefixtures("small_ray")
def test_a_file_that_kills_its_process_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    texts = ["good", "crash", "once", "hang", "good"]
    paths = [tmp_path / str(number) for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    found = dict(for_each_file(die_of, [str(path) for path in paths], stall_s=2.0))
    assert found[0] == found[4] == "good" and found[2] == "twice"
    for place in (1, 3):
        died = found[place]
        assert isinstance(died, Died) and "crashed, or took longer than 2 s" in died.reason


@pytest.mark.usefixtures("small_ray")
def test_a_mistake_of_our_own_is_not_taken_for_a_bad_file() -> None:
    with pytest.raises(RuntimeError, match="not good"):
        list(for_each_file(fail, [1, 2, 3]))
