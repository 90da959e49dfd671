import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import av
import decord
import numpy as np
import pandas as pd
import psutil
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vidclass.data import synthetic
from vidclass.data.readers import read_dataset
from vidclass.data.synthetic import (
    PRESETS,
    make_moving_shapes,
    moving_shapes_folder,
    planned_moving_shapes,
)
from vidclass.data.synthetic_render import MOTIONS, render_clip
from vidclass.errors import UserError

SMOKE = PRESETS["smoke"]
NUM_SMOKE = sum(SMOKE.num_clips)


def labels_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_moving_shapes(tmp_path_factory.mktemp("home"), "smoke", num_workers=2)


def test_labels_are_balanced_in_every_split(made: Path):
    rows = labels_of(made)
    counts = Counter((row["split"], row["label"]) for row in rows)
    assert counts == {
        (split, motion): num // 8
        for split, num in zip(("train", "valid", "test"), SMOKE.num_clips, strict=True)
        for motion in MOTIONS
    }
    assert len({row["group"] for row in rows}) == NUM_SMOKE
    assert {str(p.relative_to(made)) for p in made.glob("videos/*")} == {r["video"] for r in rows}


def test_names_and_order_tell_neither_class_nor_split(made: Path):
    rows = labels_of(made)
    for column in ("label", "split"):
        values = [row[column] for row in rows]
        repeats = sum(a == b for a, b in zip(values[:-1], values[1:], strict=True))
        chance = sum((n / NUM_SMOKE) ** 2 for n in Counter(values).values())
        assert stats.binomtest(repeats, NUM_SMOKE - 1, chance).pvalue > 0.001


def test_decord_reads_all_files_and_all_have_one_size(made: Path):
    assert len({path.stat().st_size for path in made.glob("videos/*.mp4")}) == 1
    for row in labels_of(made)[:40]:
        frames = decord.VideoReader(str(made / row["video"])).get_batch(range(12)).asnumpy()
        assert frames.shape == (12, 32, 32, 3)


def test_number_of_workers_and_order_change_nothing(made: Path, tmp_path: Path):
    alone = make_moving_shapes(tmp_path, "smoke", num_workers=1)
    assert alone.name == made.name
    assert contents(alone) == contents(made)


def test_another_seed_gives_another_data_set(made: Path):
    assert moving_shapes_folder(made.parents[2], "smoke", 0) == made
    assert moving_shapes_folder(made.parents[2], "smoke", 1) != made
    assert (render_clip(SMOKE, 0, 8) != render_clip(SMOKE, 1, 8)).mean() > 0.9


def test_second_call_makes_nothing(made: Path):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    assert make_moving_shapes(made.parents[2], "smoke", progress=pytest.fail) == made
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


@pytest.mark.parametrize("labels_written", [True, False])
def test_resume_makes_only_what_is_missing(made: Path, tmp_path: Path, labels_written: bool):
    folder = tmp_path / made.relative_to(made.parents[2])
    shutil.copytree(made, folder)
    videos = sorted(folder.glob("videos/*.mp4"))
    for path in videos[:5]:
        path.unlink()
    if not labels_written:
        (folder / "labels.csv").unlink()
        videos[5].write_bytes(videos[5].read_bytes()[:100])  # as after a power failure
        (folder / "videos" / ".x.mp4.1.aside").touch()
    kept = {path: path.stat().st_mtime_ns for path in videos[6:]}
    calls: list[tuple[int, int]] = []

    make_moving_shapes(
        tmp_path, "smoke", progress=lambda _, done, total: calls.append((done, total))
    )

    assert calls[0] == (NUM_SMOKE - (5 if labels_written else 6), NUM_SMOKE)
    assert calls[-1] == (NUM_SMOKE, NUM_SMOKE)
    assert contents(folder) == contents(made)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


# A script without a guard around its call: workers must not run it again.
SCRIPT = """
import signal
import sys
from pathlib import Path
from vidclass.data.synthetic import make_moving_shapes
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
print("begun", flush=True)
make_moving_shapes(Path(sys.argv[1]), "default", num_workers=2)
"""


@pytest.fixture
def maker(tmp_path: Path, repository: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that makes the default preset, well before its end."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "home")],
        env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("home/**/*.mp4"))) < 50:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """Send a signal, as Ctrl-C does to the whole session or kill -9 to one; wait for all to end."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        os.kill(process.pid, number)
    output = process.communicate(timeout=120)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    return output


def test_ctrl_c_ends_quietly_and_leaves_no_process(maker: subprocess.Popen[str], tmp_path: Path):
    output, errors = end(maker, signal.SIGINT)
    assert output == "begun\n"  # once: by the script itself, not by its workers
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert not list(tmp_path.glob("home/**/labels.csv"))
    assert not list(tmp_path.glob("home/**/*.aside"))


def test_kill_9_leaves_whole_files_and_no_process(maker: subprocess.Popen[str], tmp_path: Path):
    _, errors = end(maker, signal.SIGKILL)
    assert errors == ""  # no process is left that has something to tell
    assert not list(tmp_path.glob("home/**/labels.csv"))
    assert len({path.stat().st_size for path in tmp_path.glob("home/**/*.mp4")}) == 1


@pytest.mark.parametrize(
    ("arguments", "rule", "remedy"),
    [
        ({"preset": "defualt"}, "a preset of moving_shapes", "default, easy, hard, smoke"),
        ({"seed": -1}, "the seed", "seed 0"),
        ({"num_workers": 0}, "at least one process", "1 or more"),
    ],
)
def test_bad_arguments_are_told(arguments, rule: str, remedy: str, tmp_path: Path):
    with pytest.raises(UserError) as caught:
        make_moving_shapes(tmp_path, **arguments)
    assert caught.value.rule.startswith(rule)
    assert remedy in caught.value.remedy
    assert not list(tmp_path.iterdir())


def test_too_small_a_disk_is_told_before_any_work(tmp_path: Path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="6 MB needed, 1 MB free.*VIDCLASS_HOME"):
        make_moving_shapes(tmp_path, "smoke")
    assert not list(tmp_path.rglob("*.mp4"))


def test_a_disk_that_fills_up_meanwhile_is_told(tmp_path: Path, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(synthetic, "make_clips", full)
    with pytest.raises(UserError, match="No space left on device.*VIDCLASS_HOME"):
        make_moving_shapes(tmp_path, "smoke", num_workers=1)


# measurement.md, section 9: equivalence with chance (0.125) on 4,000 clips after H.264.
EQUIVALENCE_BOUND = 0.15


@pytest.fixture(scope="module")
def default_rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = make_moving_shapes(tmp_path_factory.mktemp("home"), "default")
    return [{**row, "path": str(folder / row["video"])} for row in labels_of(folder)]


def accuracy_upper_bound(features: np.ndarray, rows: list[dict[str, str]]) -> float:
    """Upper end of the exact 95 % interval of a probe's accuracy on the test clips."""
    labels = np.array([row["label"] for row in rows])
    train, test = (np.array([row["split"] == split for row in rows]) for split in ("train", "test"))
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    probe.fit(features[train], labels[train])
    num_right = int((probe.predict(features[test]) == labels[test]).sum())
    return float(stats.binomtest(num_right, int(test.sum())).proportion_ci().high)


def frame_features(frame: np.ndarray) -> np.ndarray:
    """8x8 colour grid, and 8 gradient orientations in each of 4x4 cells, of a 32x32 frame."""
    image = frame.astype(np.float64)
    grid = image.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3))
    dy, dx = np.gradient(image.mean(axis=2))
    orientation = ((np.arctan2(dy, dx) / (2 * np.pi) * 8).astype(int)) % 8
    histogram = np.zeros((4, 4, 8))
    rows, columns = np.indices((32, 32)) // 8
    np.add.at(histogram, (rows, columns, orientation), np.hypot(dx, dy))
    return np.concatenate([grid.ravel(), np.sqrt(histogram).ravel()])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_frame_tells_nothing(default_rows: list[dict[str, str]]):
    features = np.stack(
        [
            frame_features(decord.VideoReader(row["path"], num_threads=1)[6].asnumpy())
            for row in default_rows
        ]
    )
    assert accuracy_upper_bound(features, default_rows) < EQUIVALENCE_BOUND
    # The same probe with a frame that does tell something: one class a little brighter.
    told = features + 3.0 * np.array([[row["label"] == "grow"] for row in default_rows])
    assert accuracy_upper_bound(told, default_rows) > EQUIVALENCE_BOUND


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_file_tells_nothing(default_rows: list[dict[str, str]]):
    features = []
    for row in default_rows:
        with av.open(row["path"]) as container:
            packets = [packet.size for packet in container.demux(video=0)]
            features.append([os.stat(row["path"]).st_size, container.bit_rate, *packets])
    assert accuracy_upper_bound(np.array(features, dtype=float), default_rows) < EQUIVALENCE_BOUND


def test_the_planned_data_set_is_the_one_that_is_made(tmp_path: Path) -> None:
    planned = planned_moving_shapes(tmp_path, preset="smoke", seed=3)
    assert list(tmp_path.iterdir()) == []
    made = read_dataset("moving_shapes", preset="smoke", seed=3, home=tmp_path)
    assert planned.root == made.root
    assert planned.groups_known and made.groups_known
    pd.testing.assert_frame_equal(planned.manifest, made.manifest)
