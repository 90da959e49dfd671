"""Content hashes and their cache."""

import hashlib
import os

import pandas as pd
import pytest

from vidclass.data.fingerprint import with_content_hashes
from vidclass.data.manifest import new_manifest


@pytest.fixture
def hashed(tmp_path):
    """Return a function that hashes two files and gives the manifest and the files read."""
    for name in "ab":
        (tmp_path / name).write_text(f"content of {name}")
    rows = [{"video_id": n, "path": str(tmp_path / n), "label": n, "group": n} for n in "ab"]

    def run():
        read = []
        manifest = with_content_hashes(
            new_manifest(pd.DataFrame(rows)),
            tmp_path / "cache.parquet",
            lambda done, total: read.append((done, total)),
        )
        return manifest, read

    return run


def test_hashes_are_of_the_content(hashed):
    manifest, read = hashed()
    assert manifest["content_hash"][0] == hashlib.sha256(b"content of a").hexdigest()
    assert manifest["size_bytes"].tolist() == [12, 12] and read == [(2, 2)]


def test_a_second_run_reads_nothing_and_a_changed_file_is_read_again(hashed, tmp_path):
    first, _ = hashed()
    second, read = hashed()
    assert read == [] and second.equals(first)
    (tmp_path / "a").write_text("Content of A")
    os.utime(tmp_path / "a", ns=(1, 1_700_000_000_123_456_789))
    third, read = hashed()
    assert read == [(1, 1)] and third["content_hash"][0] != first["content_hash"][0]
    assert hashed()[1] == []


def test_an_absent_file_is_quarantined(hashed, tmp_path):
    (tmp_path / "b").unlink()
    manifest, _ = hashed()
    assert manifest["status"].tolist() == ["ok", "quarantined"]
    assert "No such file" in manifest["reason"][1]
