from pathlib import Path

import pytest
from typer.testing import CliRunner

from vidclass.data.__main__ import app
from vidclass.data.check import describe_classes, describe_splits, probed
from vidclass.data.readers import read_dataset
from vidclass.data.splits import make_splits

RUNNER = CliRunner()


@pytest.fixture
def folder(shared_data: Path, tmp_path: Path) -> Path:
    """Three classes of four real clips each, and one text that only looks like a video."""
    for name in ("hug", "kick", "push"):
        (tmp_path / name).mkdir()
        for clip in sorted((shared_data / "ut_interaction" / name).glob("*.avi"))[:4]:
            (tmp_path / name / clip.name).symlink_to(clip)
    (tmp_path / "hug" / "text.mp4").write_text("not a video")
    return tmp_path


def test_what_opens_is_described_and_the_rest_has_a_reason(folder: Path, home: Path) -> None:
    calls: list[tuple[int, int]] = []
    manifest = probed(read_dataset(str(folder), home=home), lambda *call: calls.append(call))
    assert calls[-1] == (13, 13)
    wrong = manifest[manifest["status"] != "ok"]
    assert wrong["video_id"].tolist() == ["hug/text.mp4"]
    assert wrong["reason"].notna().all()
    classes = describe_classes(manifest)
    assert classes["videos"].to_dict() == {"hug": 4, "kick": 4, "push": 4}
    assert (classes["fewest_frames"] <= classes["most_frames"]).all()
    assert (classes["seconds"] > 0).all()


def test_the_line_on_splits_counts_folds(folder: Path, home: Path) -> None:
    manifest = probed(read_dataset(str(folder), home=home), lambda *_: None)
    manifest = manifest[manifest["status"] == "ok"]
    shares = {"valid_share": 0.3, "test_share": 0.3, "seed": 0}
    assert "one split: train" in describe_splits(make_splits(manifest, folds=None, **shares))
    assert "4 folds" in describe_splits(make_splits(manifest, folds=4, **shares))


def test_the_command_tells_the_division_of_real_clips(shared_data: Path, home: Path) -> None:
    source = str(shared_data / "ut_interaction")
    result = RUNNER.invoke(app, ["check", source, "--group-pattern", r"(seq\d+)"])
    assert result.exit_code == 0, result.output
    assert "120 videos" in result.output and "groups given" in result.output
    assert "5 folds, every video test once" in result.output
    assert "does not open" not in result.output
