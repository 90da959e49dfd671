import itertools
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch

from vidclass.training.checkpoints import CheckpointError, CheckpointFolder

METRICS = {"valid_accuracy": 0.5}


def payload(value: float) -> dict[str, object]:
    return {"trainer": {"weight": torch.full((3,), value)}, "epoch": 1}


def test_what_is_saved_is_what_is_loaded(tmp_path):
    folder = CheckpointFolder(tmp_path / "t0001", attempt=2)
    name = folder.save(3, payload(1.5), METRICS)
    assert name == "3.2"
    assert torch.equal(folder.load(name)["trainer"]["weight"], torch.full((3,), 1.5))
    about = folder.sidecar(name)
    assert (about.epoch, about.attempt, about.metrics) == (3, 2, METRICS)


def test_best_holds_weights_only(tmp_path):
    folder = CheckpointFolder(tmp_path)
    name = folder.save_best(4, {"weight": torch.ones(2)}, METRICS)
    assert name == "best-4.0"
    assert folder.load(name).keys() == {"weights"}
    assert folder.sidecar(name).right == ""
    assert torch.equal(folder.load_weights(name)["weight"], torch.ones(2))


def test_the_sidecar_of_best_weights_says_what_they_were_right_on(tmp_path):
    folder = CheckpointFolder(tmp_path)
    name = folder.save_best(4, {"weight": torch.ones(2)}, METRICS, right="101")
    assert folder.sidecar(name).right == "101"
    written = json.loads((tmp_path / f"{name}.json").read_text())
    del written["right"]  # as versions before wrote it
    (tmp_path / f"{name}.json").write_text(json.dumps(written))
    assert folder.sidecar(name).right == ""


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut_short(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def lose_sidecar(file: Path) -> None:
    file.with_name(f"{file.name}.json").unlink()


@pytest.mark.parametrize("harm", [flip_a_byte, cut_short, lose_sidecar, Path.unlink])
def test_damage_is_found(tmp_path, harm):
    folder = CheckpointFolder(tmp_path)
    name = folder.save(1, payload(1.0), METRICS)
    harm(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"1\.0"):
        folder.load(name)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.system, ("echo trapped",))

    folder = CheckpointFolder(tmp_path)
    name = folder.save(1, {"trap": Trap()}, METRICS)
    with pytest.raises(Exception, match="weights_only"):
        folder.load(name)


def test_names_are_of_whole_checkpoints_in_order_of_epochs(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for epoch in (10, 9, 2):
        folder.save(epoch, payload(epoch), METRICS)
    folder.save_best(9, {}, METRICS)
    (tmp_path / "11.0.json").write_text(json.dumps({}))  # killed before the payload's rename
    assert folder.names() == ["2.0", "9.0", "best-9.0", "10.0"]


def test_keep_only_spares_a_later_attempt(tmp_path):
    late, present = CheckpointFolder(tmp_path, attempt=0), CheckpointFolder(tmp_path, attempt=1)
    late.save(1, payload(1), METRICS)
    late.save(2, payload(2), METRICS)
    present.save(2, payload(2), METRICS)
    late.keep_only("1.0")
    assert present.names() == ["1.0", "2.1"]
    present.keep_only("2.1", None)
    assert present.names() == ["2.1"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2.1", "2.1.json"]


def save_for_ever(path: Path) -> None:
    folder = CheckpointFolder(path)
    for epoch in itertools.count(1):
        folder.save(epoch, {"weight": torch.full((200_000,), float(epoch))}, METRICS)
        folder.keep_only(f"{epoch}.0", f"{epoch - 1}.0")


@pytest.mark.parametrize("seconds", [0.10, 0.13, 0.17, 0.21])
def test_a_kill_leaves_only_whole_checkpoints(tmp_path, seconds):
    # Forked, since importing torch anew would take a hundred times as long as the test.
    writer = multiprocessing.get_context("fork").Process(target=save_for_ever, args=(tmp_path,))
    writer.start()
    folder = CheckpointFolder(tmp_path)
    while not folder.names():
        time.sleep(0.01)
    time.sleep(seconds)
    writer.kill()
    writer.join()
    assert folder.names()
    for name in folder.names():
        assert folder.load(name)["weight"].unique().tolist() == [folder.sidecar(name).epoch]
