"""Downloads that break off, and servers of every kind; a real one on loopback."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.data.loopback import Site, serve
from vidclass.data.fetch.checksum import check_file, checksum_of, read_checksums
from vidclass.data.fetch.download import Patience, download
from vidclass.errors import UserError, UserErrors

SOON = Patience(attempts=3, wait_s=0.01, timeout_s=5)
CONTENT = os.urandom(3_000_000)


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site(files={"/a.rar": CONTENT, "/empty": b""})) as running:
        yield running


def get(site: Site, folder: Path, path: str = "/a.rar", **options: object) -> Path:
    target = folder / "archives" / "a.rar"
    download(site.address + path, target, patience=SOON, **options)
    return target


def test_a_file_comes_whole_with_its_checksum(site, tmp_path):
    told = []
    checksum = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
    target = get(site, tmp_path, checksum=checksum, progress=lambda *at: told.append(at))
    assert target.read_bytes() == CONTENT and told[-1] == (len(CONTENT), len(CONTENT))
    assert os.listdir(target.parent) == ["a.rar"]
    assert get(site, tmp_path / "b", "/empty").read_bytes() == b""


def test_a_connection_that_breaks_off_is_continued_where_it_was(site, tmp_path):
    site.breaks = [1_000_000, 500_000]
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert [span for _, span in site.requests] == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_run_that_was_killed_is_continued_by_the_next(site, tmp_path):
    site.breaks = [1_000_000, 0, 0, 0]
    with pytest.raises(UserError, match="goes on from 1,000,000 bytes"):
        get(site, tmp_path)
    site.breaks, site.requests = [], []
    assert get(site, tmp_path).read_bytes() == CONTENT
    assert site.requests == [("/a.rar", "bytes=1000000-")]


def test_a_file_that_changed_meanwhile_is_begun_anew(site, tmp_path):
    site.breaks = [1_000_000, 0, 0, 0]
    with pytest.raises(UserError):
        get(site, tmp_path)
    site.breaks, site.files["/a.rar"] = [], CONTENT[::-1]
    assert get(site, tmp_path).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("change", [{"ranges": False}, {"tags": False}])
def test_servers_that_cannot_continue_begin_anew(tmp_path, change):
    with serve(Site(files={"/a.rar": CONTENT}, breaks=[1_000_000], **change)) as site:
        assert get(site, tmp_path).read_bytes() == CONTENT
        assert len(site.requests) == 2


def test_a_whole_part_needs_no_more_bytes(site, tmp_path):
    site.breaks = [1_000_000, 0, 0, 0]
    with pytest.raises(UserError):
        get(site, tmp_path)
    (tmp_path / "archives" / "a.rar.part").write_bytes(CONTENT)
    site.breaks = []
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site, tmp_path):
    site.codes = [503, 429]
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up(site, tmp_path):
    site.codes = [503] * 9
    with pytest.raises(UserError, match="Service Unavailable, 3 times in a row"):
        get(site, tmp_path)
    assert len(site.requests) == 3


def test_what_is_not_there_is_told_at_once(site, tmp_path):
    with pytest.raises(UserError, match="/gone: 404 Not Found"):
        get(site, tmp_path, "/gone")
    assert len(site.requests) == 1


def test_nobody_listens(tmp_path):
    with serve(Site()) as site:
        pass  # now its port is closed
    with pytest.raises(UserError, match="refused, 3 times in a row"):
        get(site, tmp_path)


def test_a_wrong_checksum_leaves_nothing_to_continue(site, tmp_path):
    with pytest.raises(UserError, match="has the checksum md5:0.*received: md5:"):
        get(site, tmp_path, checksum=f"md5:{'0' * 32}")
    assert list((tmp_path / "archives").glob("*.rar*")) in (
        [],
        [tmp_path / "archives/a.rar.part.json"],
    )
    assert get(site, tmp_path).read_bytes() == CONTENT


def test_a_disk_that_is_too_small_is_told_before_the_download(site, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage())
    with pytest.raises(UserError, match="the disk has room for a.rar"):
        get(site, tmp_path)


class Usage:
    free = 1000


def test_lists_of_checksums(tmp_path):
    (tmp_path / "a.rar").write_bytes(b"x")
    sha, md5 = hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"x").hexdigest()
    (tmp_path / "sums").write_text(f"{sha}  ./a.rar\n\n{md5.upper()} *b.zip\n")
    found = read_checksums(tmp_path / "sums")
    assert found == {"a.rar": f"sha256:{sha}", "b.zip": f"md5:{md5}"}
    assert checksum_of(tmp_path / "a.rar") == found["a.rar"]
    check_file(tmp_path / "a.rar", found["b.zip"], "a.rar")
    (tmp_path / "sums").write_text(f"{sha} a.rar\nabc a.rar\nnothing\n")
    with pytest.raises(UserErrors, match=r"sums line 2: abc a.rar \(and 1 more, line 3\)"):
        read_checksums(tmp_path / "sums")
