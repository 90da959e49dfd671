"""Several processes train what one would; on CPUs by gloo, as a study's workers do."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.worker_runs import CASES, NUM_TRAIN, alone
from vidclass.data.frame_store import FrameStore
from vidclass.training.batches import cut, epoch_order
from vidclass.training.workers import Workers

# Sums of float32 in another order, grown over the steps of a training.
SAME = {"rtol": 2e-3, "atol": 2e-4}
EXACT_CASES = (
    "plain",
    "uneven",
    "all_options",
    "oversampled",
    "augmented",
    "rounds",
    "resumed",
    "pretrained",
)

Runs = dict[str, dict[str, Any]]


def started(size: int, store: FrameStore, folder: Path, names: tuple[str, ...]) -> list[Runs]:
    """Run cases in ``size`` processes; return what each of them saw."""
    (folder / "store").symlink_to(store.path)
    root = Path(__file__).resolve().parents[2]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.worker_runs", f"{rank}", f"{size}", str(folder)]
            + list(names),
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(size)
    ]
    for process in processes:
        said, _ = process.communicate(timeout=150)
        assert process.returncode == 0, said
    return [torch.load(folder / f"{rank}_of_{size}.pt", weights_only=True) for rank in range(size)]


@pytest.fixture(scope="module")
def two(store: FrameStore, tmp_path_factory: pytest.TempPathFactory) -> list[Runs]:
    """All cases in two processes."""
    return started(2, store, tmp_path_factory.mktemp("two"), tuple(CASES))


@pytest.fixture(scope="module")
def one(store: FrameStore, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """All cases in this process."""
    folder = tmp_path_factory.mktemp("one")
    return {name: alone(name, store.path, folder) for name in CASES}


def curve(run: dict[str, Any], name: str) -> list[float]:
    return [metrics[name] for metrics in run["metrics"]]


@pytest.mark.parametrize("name", EXACT_CASES)
def test_two_workers_have_the_curve_of_one(name: str, one: Runs, two: list[Runs]) -> None:
    assert two[0][name]["status"] == one[name]["status"] == "completed"
    assert len(two[0][name]["metrics"]) == len(one[name]["metrics"]) >= 2
    for figure in ("train_loss", "valid_loss", "valid_log_loss", "valid_accuracy", "lr"):
        np.testing.assert_allclose(
            curve(two[0][name], figure), curve(one[name], figure), **SAME, err_msg=figure
        )
    losses = [run[name]["pretrain_losses"] for run in (two[0], one)]
    np.testing.assert_allclose(*losses, **SAME)
    assert len(losses[0]) == CASES[name]["train"].get("pretrain_epochs", 0)
    assert curve(two[0][name], "frames_seen") == curve(one[name], "frames_seen")
    for key, weight in one[name]["weights"].items():
        torch.testing.assert_close(two[0][name]["weights"][key], weight, **SAME)


@pytest.mark.parametrize("name", CASES)
def test_all_workers_end_with_the_same_weights(name: str, two: list[Runs]) -> None:
    first, second = (runs[name]["weights"] for runs in two)
    for key, weight in first.items():
        assert torch.equal(second[key], weight), key


def test_only_the_first_worker_reports(two: list[Runs]) -> None:
    assert all(len(runs["metrics"]) > 0 for name, runs in two[0].items() if name != "diverging")
    assert all(runs["metrics"] == [] for runs in two[1].values())


@pytest.mark.parametrize("name", ["plain", "uneven", "batch_norm"])
def test_each_clip_is_read_once_an_epoch_over_all_workers(name: str, two: list[Runs]) -> None:
    batch_size = CASES[name]["train"]["batch_size"]
    label_N = np.zeros(NUM_TRAIN, dtype=np.int64)
    for epoch, read in two[0][name]["seen"].items():
        batches = cut(epoch_order(label_N, seed=7, epoch=epoch), batch_size)
        parts = [Workers(rank, 2).part(batch) for rank in (0, 1) for batch in batches]
        padding = sum(len(part.clips_P) - part.num_real for part in parts)
        of_both = read + two[1][name]["seen"][epoch]
        assert len(of_both) == NUM_TRAIN + padding
        real = [clip for part in parts for clip in part.clips_P[: part.num_real]]
        assert sorted(real) == list(range(NUM_TRAIN))
        assert of_both == [clip for part in parts for clip in part.clips_P]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("num_clips", [1, 2, 3, 16, 17])
def test_parts_hold_a_batch_in_order_and_are_equally_long(size: int, num_clips: int) -> None:
    clips_B = np.arange(100, 100 + num_clips)
    parts = Workers(0, size).parts(clips_B)
    assert len({len(part.clips_P) for part in parts}) == 1
    real = np.concatenate([part.clips_P[: part.num_real] for part in parts])
    np.testing.assert_array_equal(real, clips_B)
    assert sum(len(part.clips_P) for part in parts) < num_clips + size
    assert set(np.concatenate([part.clips_P for part in parts])) <= set(clips_B)


def test_batch_norm_on_cpus_is_another_training_and_still_learns(
    one: Runs, two: list[Runs]
) -> None:
    together, single = two[0]["batch_norm"], one["batch_norm"]
    assert curve(together, "train_loss") != pytest.approx(curve(single, "train_loss"), rel=1e-4)
    assert curve(together, "train_loss")[-1] < curve(together, "train_loss")[0]
    means = [runs["batch_norm"]["weights"]["norm1.running_mean"] for runs in two]
    assert torch.equal(*means)


def test_dropout_differs_between_workers(one: Runs, two: list[Runs]) -> None:
    assert curve(two[0]["dropout"], "train_loss") != curve(one["dropout"], "train_loss")


def test_all_workers_see_a_loss_that_is_no_number_at_the_same_step(
    one: Runs, two: list[Runs]
) -> None:
    reasons = {runs["diverging"]["reason"] for runs in (one, *two)}
    assert {runs["diverging"]["status"] for runs in (one, *two)} == {"diverged"}
    assert len(reasons) == 1 and "not finite" in reasons.pop()


@pytest.mark.slow
def test_three_workers_have_the_curve_of_one(one: Runs, store: FrameStore, tmp_path: Path) -> None:
    names = ("plain", "uneven", "all_options")
    runs = started(3, store, tmp_path, names)
    for name in names:
        np.testing.assert_allclose(
            curve(runs[0][name], "valid_loss"), curve(one[name], "valid_loss"), **SAME
        )
