"""The depot: a folder by URL and a real S3 server on loopback, and what a user writes wrongly."""

import os
from pathlib import Path

import pytest

from tests.s3 import free_port, s3
from vidclass.data.depot import Depot, depot
from vidclass.errors import UserError

__all__ = ["s3"]


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return (tmp_path / "share").as_uri()
    return str(request.getfixturevalue("s3"))


def test_what_is_put_is_listed_and_comes_back(url: str, tmp_path: Path) -> None:
    kept = Depot(url)
    kept.check()
    assert kept.sizes("key") == {}
    source = tmp_path / "shard"
    source.write_bytes(os.urandom(20 * 2**20))
    kept.put(source, "key/shard-1.rgb")
    kept.put(source, "key/shard-1.rgb")
    assert kept.sizes("key") == {"shard-1.rgb": 20 * 2**20}
    assert kept.get("key/shard-1.rgb", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert not kept.get("key/other", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_half_a_file_never_shows(tmp_path: Path) -> None:
    kept = Depot((tmp_path / "share").as_uri())
    with pytest.raises(FileNotFoundError):
        kept.put(tmp_path / "absent", "key/shard")
    (tmp_path / "share" / "key" / ".shard.ab12.aside").write_bytes(b"half")
    assert kept.sizes("key") == {}


def test_without_a_variable_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VIDCLASS_STORE", raising=False)
    assert depot() is None


@pytest.mark.parametrize("wrong", ["store", "ftp://host/store", "s4://bucket/store"])
def test_another_kind_of_url_is_told(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDCLASS_STORE", wrong)
    with pytest.raises(UserError, match="URL of a folder, of S3"):
        depot()


def test_a_depot_out_of_reach_is_told_without_its_key() -> None:
    url = f"s3://key:secret@videos/x?endpoint_override=127.0.0.1:{free_port()}&scheme=http"
    with pytest.raises(UserError, match="can be reached") as told:
        Depot(url).check()
    assert "secret" not in str(told.value)
