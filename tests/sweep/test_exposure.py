"""Test exposure: counted once a scoring, over studies, told in a sentence."""

from pathlib import Path

from vidclass.sweep.exposure import read_exposure, record_exposure


def test_scorings_are_counted_once_and_by_study(tmp_path: Path) -> None:
    hashes = {"content_hash": "c" * 64, "split_hash": "s" * 64}
    assert read_exposure(tmp_path, *hashes.values()).told() == "never scored before"
    for study, trial in (("a", "t1"), ("a", "t1"), ("a", "t2"), ("b", "t1")):
        record_exposure(tmp_path, **hashes, study=study, trial=trial, scored_at=86400.0)
    seen = read_exposure(tmp_path, *hashes.values())
    assert (seen.scored, seen.studies) == (3, 2)
    assert seen.told() == "scored 3 times by 2 studies, first on 1970-01-02"


def test_another_split_of_the_same_videos_counts_apart(tmp_path: Path) -> None:
    record_exposure(
        tmp_path, content_hash="c" * 64, split_hash="s" * 64, study="a", trial="t", scored_at=1.0
    )
    assert read_exposure(tmp_path, "c" * 64, "x" * 64).scored == 0


def test_a_torn_line_is_left_out_and_the_next_scoring_is_whole(tmp_path: Path) -> None:
    hashes = {"content_hash": "c" * 64, "split_hash": "s" * 64}
    record_exposure(tmp_path, **hashes, study="a", trial="t1", scored_at=1.0)
    (file,) = (tmp_path / "exposure").iterdir()
    file.write_text(file.read_text() + '{"study": "a", "tri')
    assert read_exposure(tmp_path, *hashes.values()).scored == 1
    record_exposure(tmp_path, **hashes, study="a", trial="t2", scored_at=2.0)
    assert read_exposure(tmp_path, *hashes.values()).scored == 2
