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


def test_parts_of_one_file_share_its_hash(tmp_path):
    (tmp_path / "a").write_text("content")
    rows = [{"video_id": n, "path": str(tmp_path / "a"), "label": "x", "group": n} for n in "123"]
    read = []
    for _ in range(2):  # without and with what was known before
        manifest = with_content_hashes(
            new_manifest(pd.DataFrame(rows)), tmp_path / "cache.parquet", lambda *n: read.append(n)
        )
        assert len(manifest) == 3 and manifest["content_hash"].nunique() == 1
        assert manifest["size_bytes"].tolist() == [7, 7, 7]
    assert read == [(1, 1)]


def test_a_folder_of_images_is_hashed_by_names_and_contents(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    rows = pd.DataFrame([{"video_id": "v", "path": str(folder), "label": "x", "group": "v"}])

    def hashed():
        return with_content_hashes(new_manifest(rows), tmp_path / "cache.parquet", lambda *_: None)

    assert "holds no images" in hashed()["reason"][0]
    (folder / "1.png").write_text("one")
    (folder / "2.png").write_text("two!")
    first = hashed()
    assert first["size_bytes"].tolist() == [7] and first["status"].tolist() == ["ok"]
    (folder / ".hidden").write_text("no frame")
    assert hashed()["content_hash"][0] == first["content_hash"][0]
    (folder / "2.png").rename(folder / "3.png")
    os.utime(folder / "3.png", ns=(1, 1_700_000_000_123_456_789))
    assert hashed()["content_hash"][0] != first["content_hash"][0]
