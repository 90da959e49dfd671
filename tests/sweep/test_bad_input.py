"""Bad input: every mistake is told in three parts, ends with code 2 and costs nothing computed.

The command line runs in this process, so that a mistake that is found before Ray starts costs
milliseconds here as it does there.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from vidclass.cli import run_app, tell
from vidclass.data.manifest import read_manifest, usable
from vidclass.errors import UserError, UserErrors
from vidclass.sweep.__main__ import app
from vidclass.sweep.engine import Engine
from vidclass.sweep.identity import check_identity, session_facts
from vidclass.sweep.ledger import SCHEMA_VERSION, Ledger, read_events
from vidclass.sweep.load import load_study_file
from vidclass.sweep.prepare import prepare_data

STUDY = {
    "study": "tiny",
    "data": {"input_size": 32, "quarantine_limit": 0.2},
    "budget": {"trials": 1, "epochs": 1},
    "arms": [{"name": "slow", "model": "slow_fusion", "fixed": {"width": 0.125}}],
}

Refused = Callable[..., str]


@pytest.fixture
def refused(home: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """``refused(*arguments)`` runs the command line, checks the refusal and returns its text."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            run_app(app, [str(word) for word in arguments])
        told = capsys.readouterr().err
        assert caught.value.code == 2, told
        check_three_parts(told)
        return told

    return run


def check_three_parts(told: str) -> None:
    """Check that ``told`` is mistakes of rule, value and remedy, and nothing else."""
    lines = told.strip().splitlines()
    heads = [line for line in lines if line.startswith("error: ")]
    assert heads
    assert len(heads) == sum(line.startswith("  received: ") for line in lines)
    assert len(heads) == sum(line.startswith("  instead:  ") for line in lines)
    assert "Traceback" not in told


@pytest.fixture
def study_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return path


def write_video(path: Path, num_frames: int = 12, side: int = 32, seed: int = 0) -> Path:
    """Write random H.264 frames at 10 per second; another seed makes another file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 255, (side // 8, side // 8, 3), dtype=np.uint8)
    picture = blocks.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height = stream.width = side
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "threads": "1"}
        for k in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, k, axis=1), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_audio(path: Path) -> None:
    """Write an MP4 that holds sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for k in range(20):
            silence = np.zeros((1, 1024), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, k * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


# -- the study file and the command line ------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fusion_stdy"], "did you mean fusion_study?"),
        (["nowhere/study.yaml"], "nowhere/study.yaml"),
        (["smoke", "--profile", "laptp"], "profile"),
        (["smoke", "--set", "budget.epochs"], "--set takes a.b=c"),
        (["smoke", "--set", "budget.epochs=["], "--set"),
        (["smoke", "--set", "budget.epochs=many"], "budget.epochs"),
        (["smoke", "--set", "budget.epochs=-1"], "budget.epochs"),
        (["smoke", "--set", "budget.epoch=3"], "budget.epoch"),
        (["smoke", "--set", "arms.7.model=slow_fusion"], "entries of a list by their number"),
        (["smoke", "--set", "arms.0.model=slow_fuson"], "did you mean slow_fusion"),
        (["smoke", "--set", "arms.0.fixed.widht=1"], "did you mean width?"),
        (["smoke", "--set", "arms.0.fixed.width=wide"], "width"),
        (["smoke", "--set", "arms.0.search.lr.low=9"], "low must be below high"),
        (["smoke", "--set", "train.epsilon=0.5"], "epsilon"),
        (["smoke", "--set", "train.lr=fast"], "lr"),
        (["smoke", "--set", "arms.0.fixed.lr=0.001"], "lr is both"),
        (["smoke", "--set", "primary.metric=acuracy"], "primary.metric"),
        (["smoke", "--set", "comparisons=vs_control"], "vs_control needs `control`"),
        (["smoke", "--set", "control=single"], "comparisons: vs_control, or no control"),
        (["smoke", "--set", "data.window.span_s=0"], "data.window.span_s"),
        (["smoke", "--set", "data.split.folds=one"], "data.split.folds"),
        (["smoke", "--set", "data.preset=gigantic"], "preset"),
        (["smoke", "--plugin", "absent.py"], "plug-in"),
        (["status", "never_run"], "never_run"),
        (["stop", "never_run"], "never_run"),
        (["logs", "never_run", "t0001"], "never_run"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_before_anything_starts(
    refused: Refused, home: Path, arguments: list[str], told: str
) -> None:
    assert told in refused(*arguments)
    assert not list(home.iterdir())


def test_a_training_field_that_there_is_not_is_told_once(refused: Refused) -> None:
    told = refused("smoke", "--set", "train.momentm=0.9")
    assert told.count("error: ") == 1
    assert "did you mean momentum?" in told


def test_all_mistakes_of_a_file_are_told_with_their_lines(refused: Refused, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("study: wrong\nbudget: {epochs: none}\narms: 3\nprimary: {metric: f1}\n")
    told = refused(path)
    for line in (2, 3, 4):
        assert f"line {line})" in told


@pytest.mark.parametrize("content", [b"study: \xff\xfe", b"study: [", b"", b"\x00\x01\x02"])
def test_a_file_that_is_no_study_is_told(refused: Refused, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    assert "study file" in refused(path)


def test_a_plugin_that_fails_is_told_with_its_own_error(refused: Refused, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text("import nothing_of_that_name\n")
    assert "nothing_of_that_name" in refused("smoke", "--plugin", plugin)


# -- the folder of videos ---------------------------------------------------------------------


def fill(folder: Path, **videos: int) -> Path:
    """Write ``videos`` (class to number of videos) of 12 frames into ``folder``."""
    for label, count in videos.items():
        for k in range(count):
            write_video(folder / label / f"{k:02d}.mp4", seed=hash_of(label, k))
    folder.mkdir(exist_ok=True)
    return folder


def hash_of(label: str, k: int) -> int:
    return sum(map(ord, label)) * 1000 + k


def test_no_folder(refused: Refused, study_file: Path, tmp_path: Path) -> None:
    assert "absent" in refused(study_file, "--data", tmp_path / "absent")


def test_an_empty_folder(refused: Refused, study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "it is empty" in refused(study_file, "--data", tmp_path / "empty")


def test_a_folder_without_videos(refused: Refused, study_file: Path, tmp_path: Path) -> None:
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "notes.txt").write_text("no video")
    assert "only .txt" in refused(study_file, "--data", tmp_path / "texts")


def test_a_folder_with_one_class(refused: Refused, study_file: Path, tmp_path: Path) -> None:
    folder = fill(tmp_path / "one", walking=3)
    assert "at least two classes" in refused(study_file, "--data", folder)


def test_a_class_with_fewer_groups_than_splits(
    refused: Refused, study_file: Path, tmp_path: Path
) -> None:
    folder = fill(tmp_path / "few", walking=8, running=2)
    told = refused(study_file, "--data", folder)
    assert "class running has 2" in told


def test_a_refused_folder_leaves_no_study_behind(
    refused: Refused, study_file: Path, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "empty").mkdir()
    refused(study_file, "--data", tmp_path / "empty")
    assert not list(home.rglob("*.jsonl"))


# -- videos that do not decode ----------------------------------------------------------------


def damage(folder: Path) -> None:
    """Write one video of each kind of damage into class ``walking``."""
    whole = write_video(folder / "whole.mp4", num_frames=40, side=64, seed=7)
    content = whole.read_bytes()
    whole.unlink()
    (folder / "walking" / "truncated.mp4").write_bytes(content[: len(content) * 2 // 3])
    (folder / "walking" / "zero_byte.mp4").write_bytes(b"")
    (folder / "walking" / "renamed_text.mp4").write_text("this is a text\n" * 100)
    write_audio(folder / "walking" / "audio_only.mp4")


REASONS = {
    "truncated": "truncated",
    "zero_byte": "empty (0 bytes)",
    "renamed_text": "not a video",
    "audio_only": "audio only",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of twelve videos, one of a single frame, and four that do not decode."""
    folder = fill(tmp_path / "videos", walking=12, running=11)
    write_video(folder / "running" / "one_frame.mp4", num_frames=1, seed=99)
    damage(folder)
    return folder


@contextmanager
def opened(study_file: Path, data: Path, home: Path, **fields: object) -> Iterator[Engine]:
    """Open the engine of a study as its driver does; ``__`` stands for a dot."""
    changes = tuple(f"{key.replace('__', '.')}={value}" for key, value in fields.items())
    loaded = load_study_file(str(study_file), data=str(data), overrides=changes)
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    try:
        yield engine
    finally:
        engine.close()


def refused_data(engine: Engine) -> str:
    """Run the data phase, check that it refuses in three parts, and return its words."""
    with pytest.raises((UserError, UserErrors)) as caught:
        prepare_data(engine, lambda progress: None)
    assert isinstance(caught.value, UserError | UserErrors)
    told = tell(caught.value)
    check_three_parts(told)
    assert not engine.state.data
    return told


def test_unreadable_videos_are_set_apart_with_their_reason_and_the_study_goes_on(
    folder: Path, study_file: Path, home: Path, small_ray: None
) -> None:
    with opened(study_file, folder, home) as engine:
        prepare_data(engine, lambda progress: None)
    assert engine.state.data["num_quarantined"] == len(REASONS)
    assert engine.state.data["num_videos"] == 24

    manifest = read_manifest(engine.folder / "manifest.parquet")
    bad = manifest[manifest["status"] != "ok"].set_index("video_id")["reason"]
    for name, reason in REASONS.items():
        assert reason in bad[f"walking/{name}.mp4"]
    kept = usable(manifest).set_index("video_id")
    assert kept.loc["running/one_frame.mp4", "num_frames"] == 1


def test_too_many_unreadable_videos_are_refused_by_name_and_what_was_decoded_is_kept(
    folder: Path, study_file: Path, home: Path, small_ray: None
) -> None:
    with opened(study_file, folder, home, data__quarantine_limit=0.05) as engine:
        told = refused_data(engine)
        assert "4 of 28" in told
        assert "walking/truncated.mp4" in told
        assert "quarantine_limit" in told

        for name in REASONS:
            (folder / "walking" / f"{name}.mp4").unlink()
        prepare_data(engine, lambda progress: None)
        assert engine.state.data["num_videos"] == 24


def test_a_folder_of_nothing_but_damage_is_refused(
    study_file: Path, tmp_path: Path, home: Path, small_ray: None
) -> None:
    for label in ("walking", "running"):
        for k in range(4):
            path = tmp_path / "damage" / label / f"{k}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(np.random.default_rng(hash_of(label, k)).bytes(2000))
    with opened(study_file, tmp_path / "damage", home) as engine:
        assert "8 of 8" in refused_data(engine)


# -- disks and folders ------------------------------------------------------------------------


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 3 MB; skips where this user may not mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root, to mount a disk of 3 MB")
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a disk of 3 MB")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_told_and_the_study_goes_on_once_there_is_room(
    study_file: Path, tmp_path: Path, tiny_disk: Path, small_ray: None
) -> None:
    folder = tmp_path / "videos"
    for label in ("walking", "running"):
        for k in range(5):
            write_video(folder / label / f"{k}.mp4", side=128, seed=hash_of(label, k))
    with opened(study_file, folder, tiny_disk, data__split__folds="null") as engine:
        told = refused_data(engine)
        assert "MB free" in told
        assert "VIDCLASS_HOME" in told

        subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
        prepare_data(engine, lambda progress: None)
        assert engine.state.data["num_videos"] == 10


def test_a_home_that_cannot_be_written_is_told(
    refused: Refused,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "file"
    file.write_text("this is no folder")
    monkeypatch.setenv("VIDCLASS_HOME", str(file))
    told = refused("smoke")
    assert "VIDCLASS_HOME" in told
    assert file.read_text() == "this is no folder"


# -- study folders of other files and versions ------------------------------------------------


def test_a_study_begun_from_another_file_is_refused_with_the_fields_that_differ(
    refused: Refused, study_file: Path, home: Path
) -> None:
    loaded = load_study_file(str(study_file))
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    engine.close()
    before = (engine.folder / "ledger.jsonl").read_bytes()

    changed = {**STUDY, "budget": {"trials": 3, "epochs": 1}, "title": "this one may change"}
    study_file.write_text(yaml.safe_dump(changed))
    told = refused(study_file)
    assert "budget.trials: was 1, is 3" in told
    assert "title" not in told
    assert (engine.folder / "ledger.jsonl").read_bytes() == before


def test_a_study_whose_hash_another_version_made_goes_on_when_no_field_differs(
    study_file: Path, home: Path
) -> None:
    loaded = load_study_file(str(study_file))
    engine = Engine(loaded.spec, loaded.name, home, loaded.videos)
    session_facts(engine, loaded, slots=1)
    engine.state.started["spec_hash"] = "made by another rule"
    check_identity(engine, loaded)
    assert len(list(read_events(engine.ledger.path))) == 1
    engine.close()


def test_a_study_written_by_a_newer_vidclass_is_refused_and_hides_no_other_in_the_list(
    refused: Refused, study_file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(home / "studies" / "tiny" / "ledger.jsonl")
    ledger.append("study_started", schema=SCHEMA_VERSION + 1, version="99.0", spec={})
    ledger.close()
    before = ledger.path.read_bytes()
    for arguments in ([study_file], ["status", "tiny"]):
        assert f"schema {SCHEMA_VERSION + 1}" in refused(*arguments)
    monkeypatch.setenv("VIDCLASS_HOME", str(home))
    listed = CliRunner().invoke(app, ["list"])
    assert listed.exit_code == 0, listed.output
    assert "99.0" in listed.output or str(SCHEMA_VERSION + 1) in listed.output
    assert ledger.path.read_bytes() == before


def test_a_ledger_damaged_by_other_hands_is_refused_and_left_alone(
    refused: Refused, study_file: Path, home: Path
) -> None:
    path = home / "studies" / "tiny" / "ledger.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"n": 0, "time": 1.0, "event": "study_started"\nwhat is this\n')
    assert "line 1" in refused(study_file)
    assert "what is this" in path.read_text()


def test_a_torn_last_line_is_cut_and_no_more(home: Path) -> None:
    ledger = Ledger(home / "ledger.jsonl")
    ledger.append("study_started", spec={})
    ledger.close()
    with ledger.path.open("a") as file:
        file.write('{"n": 1, "time"')
    again = Ledger(ledger.path)
    again.append("interrupted", reason="test")
    again.close()
    assert [event["event"] for event in read_events(ledger.path)] == [
        "study_started",
        "interrupted",
    ]
