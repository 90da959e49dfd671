"""Every file decoded to its end: what is told of it, and what is kept for the next time."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vidclass.data.manifest import PROBE_COLUMNS, Dataset, new_manifest
from vidclass.data.scan import Scans, scan_dataset, scan_files, scan_video, with_facts


def dataset_of(root: Path, **columns: object) -> Dataset:
    files = sorted(path for path in root.rglob("*.mp4"))
    names = [path.relative_to(root).as_posix() for path in files]
    rows = {"video_id": names, "path": [str(path) for path in files], "label": "a", "group": names}
    return Dataset(root, new_manifest(pd.DataFrame({**rows, "split": None, **columns})), False)


def test_a_good_file_tells_facts_signature_and_two_pictures(
    tmp_path: Path, write_video: Callable[..., Path]
) -> None:
    row = scan_video(str(write_video(tmp_path / "a.mp4", num_frames=30, size=(48, 64), fps=15)))
    assert row["status"] == "ok" and row["num_frames"] == row["header_frames"] == 30
    assert (row["height"], row["width"], row["fps"]) == (48, 64, 15)
    assert row["reader"] == "decord"
    first, last = (np.asarray(Image.open(io.BytesIO(row[name]))) for name in ("first", "last"))
    assert first.shape == last.shape == (48, 64, 3)
    assert np.abs(first.astype(int) - last.astype(int)).mean() > 5  # squares have rolled


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda data: b"", "empty"),
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: b"not a video" * 9, "not a video"),
    ],
)
def test_a_bad_file_has_a_reason(
    tmp_path: Path, write_video: Callable[..., Path], spoil: Callable[[bytes], bytes], told: str
) -> None:
    path = write_video(tmp_path / "a.mp4", num_frames=60)
    path.write_bytes(spoil(path.read_bytes()))
    row = scan_video(str(path))
    assert row["status"] == "quarantined" and told in row["reason"]


@pytest.mark.usefixtures("small_ray")
def test_what_is_known_is_not_decoded_again(
    tmp_path: Path, write_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "videos"
    for seed in range(3):
        write_video(root / f"{seed}.mp4", seed=seed)
    (root / "copy.mp4").write_bytes((root / "0.mp4").read_bytes())
    (root / "bad.mp4").write_bytes(b"nothing")
    calls: list[tuple[str, int, int]] = []
    manifest, scans = scan_dataset(dataset_of(root), tmp_path, lambda *at: calls.append(at))
    assert calls[-1] == ("decoded", 4, 4)  # the copy is decoded once
    assert (manifest["status"] == "ok").sum() == 4
    assert manifest.loc[manifest["status"] == "ok", list(PROBE_COLUMNS)].notna().all(axis=None)
    assert len(scans.signatures(manifest)) == 4 and len(scans.pictures(["none"])) == 0
    monkeypatch.setattr("vidclass.data.parallel._started", lambda: pytest.fail("decodes again"))
    again, _ = scan_dataset(dataset_of(root), tmp_path, lambda *_: None)
    pd.testing.assert_frame_equal(again, manifest)


@pytest.mark.usefixtures("small_ray")
def test_an_interrupted_scan_goes_on(
    tmp_path: Path, write_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, cache = tmp_path / "videos", tmp_path / "cache"
    for seed in range(4):
        write_video(root / f"{seed}.mp4", seed=seed)
    manifest = dataset_of(root).manifest.assign(content_hash=list("abcd"))
    monkeypatch.setattr("vidclass.data.scan.FLUSH_FILES", 1)

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan_files(manifest, cache, stop)
    assert len(Scans(cache, manifest).facts) == 2
    calls: list[tuple[int, int]] = []
    scans = scan_files(manifest, cache, lambda *at: calls.append(at))
    assert calls == [(1, 2), (2, 2)] and len(scans.facts) == 4


def test_parts_of_a_file_have_their_own_length() -> None:
    rows = {"video_id": ["a", "b", "c"], "path": "x.mp4", "label": "a", "group": "g", "split": None}
    parts = {"start_s": [None, 1.0, 9.0], "end_s": [None, 3.0, 12.0]}
    manifest = new_manifest(pd.DataFrame({**rows, **parts})).assign(content_hash="h")
    facts = {"content_hash": ["h"], "status": "ok", "reason": None, "header_frames": 80}
    facts |= {"num_frames": 80, "fps": 10.0, "width": 4, "height": 4, "duration_s": 8.0}
    found = with_facts(manifest, pd.DataFrame({**facts, "bitrate_bps": 1.0})).set_index("video_id")
    assert found.loc["a", ["num_frames", "duration_s"]].tolist() == [80, 8.0]
    assert found.loc["b", ["num_frames", "duration_s"]].tolist() == [20, 2.0]
    assert found.loc["c", "status"] == "quarantined" and "behind" in found.loc["c", "reason"]
