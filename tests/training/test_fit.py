import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vidclass.errors import UserError
from vidclass.training.checkpoints import CheckpointError, CheckpointFolder
from vidclass.training.config import TrainConfig
from vidclass.training.evaluate import evaluate
from vidclass.training.selection import is_better

CPU = torch.device("cpu")
FAST = TrainConfig(epochs=3, batch_size=16, lr=1e-2, precision="float32")


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: part.clone() for name, part in model.state_dict().items()}


def assert_bit_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


def test_learns_motion_and_reports_every_epoch(run_fit, make_model):
    config = FAST.model_copy(update={"epochs": 8})
    result, reports = run_fit(make_model(), config)
    assert result.status == "completed"
    assert result.epochs_run == 8
    assert [told.epoch for told in reports] == list(range(1, 9))
    assert result.best_metrics["valid_accuracy"] > 0.9
    assert set(reports[0].metrics) == {
        "train_loss",
        "train_accuracy",
        "valid_loss",
        "valid_accuracy",
        "valid_macro_f1",
        "valid_macro_recall",
        "valid_log_loss",
        "lr",
        "seconds_data",
        "seconds_step",
        "seconds_eval",
        "memory_gib",
        "frames_seen",
        "cpu_percent",
    }
    assert [told.metrics["frames_seen"] for told in reports[:2]] == [90 * 4, 180 * 4]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "plateau", "constant"])
def test_every_optimizer_and_schedule_lowers_the_loss(run_fit, make_model, optimizer, schedule):
    lr = 0.05 if optimizer == "sgd" else 3e-3
    config = FAST.model_copy(update={"optimizer": optimizer, "schedule": schedule, "lr": lr})
    _, reports = run_fit(make_model(), config)
    assert reports[-1].metrics["train_loss"] < reports[0].metrics["train_loss"]


def test_same_weights_as_first_and_as_tenth_in_a_process(run_fit, make_model):
    config = FAST.model_copy(update={"epochs": 2, "ema_decay": 0.9, "class_balance": "resample"})
    model = make_model()
    run_fit(model, config)
    first = weights(model)
    for other_seed in range(8):
        # Something else in between: another model, seed, thread, and spoilt global state.
        torch.manual_seed(other_seed)
        np.random.seed(other_seed)
        other = threading.Thread(
            target=run_fit,
            args=(make_model(norm=False, dropout=0.5), FAST.model_copy(update={"epochs": 1})),
            kwargs={"seed": other_seed},
        )
        other.start()
        other.join()
    fresh = make_model()
    with torch.no_grad():
        run_fit(fresh, config)
    assert_bit_equal(first, weights(fresh))
    # A model that was trained before starts like a fresh one.
    run_fit(model, config)
    assert_bit_equal(first, weights(model))


def test_another_seed_gives_other_weights(run_fit, make_model):
    first, second = make_model(), make_model()
    run_fit(first, FAST)
    run_fit(second, FAST, seed=8)
    assert not torch.equal(first.dense.weight, second.dense.weight)


def test_leaves_the_process_as_it_was(run_fit, make_model):
    model = make_model()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        run_fit(model, FAST.model_copy(update={"epochs": 1}), num_threads=2)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()


RESUMABLE = [
    {"ema_decay": 0.9, "schedule": "one_cycle"},
    {"optimizer": "sgd", "schedule": "cosine", "clip_norm": 0.5, "accumulate": 2},
    {"optimizer": "rmsprop", "schedule": "plateau", "plateau_patience": 1, "lr": 1e-3},
    {"optimizer": "adam", "class_balance": "resample", "loss": "focal"},
]


@pytest.mark.parametrize("update", RESUMABLE)
def test_resumed_training_equals_an_uninterrupted_one(run_fit, make_model, tmp_path, update):
    config = FAST.model_copy(update={"epochs": 4, **update})
    whole = CheckpointFolder(tmp_path / "whole")
    model = make_model()
    result, reports = run_fit(model, config, checkpoints=whole)

    class Killed(Exception):
        pass

    def killed_in_epoch_3(told):
        if told.epoch == 2:
            raise Killed
        return False

    with pytest.raises(Killed):
        run_fit(
            make_model(),
            config,
            checkpoints=CheckpointFolder(tmp_path / "cut", attempt=0),
            report=killed_in_epoch_3,
        )
    again = CheckpointFolder(tmp_path / "cut", attempt=1)
    resumed = make_model()
    second, later = run_fit(resumed, config, checkpoints=again, resume_from="2.0")

    assert [told.epoch for told in later] == [3, 4]
    assert_bit_equal(weights(model), weights(resumed))
    last = whole.load("4.0")["trainer"], again.load("4.1")["trainer"]
    assert_bit_equal(last[0]["model"], last[1]["model"])
    assert last[0]["schedule"] == last[1]["schedule"]
    assert (second.best_epoch, second.status) == (result.best_epoch, result.status)
    timed = ("seconds_data", "seconds_step", "seconds_eval", "memory_gib", "cpu_percent")
    for told, expected in zip(later, reports[2:], strict=True):
        for name in told.metrics.keys() - timed:
            assert told.metrics[name] == expected.metrics[name], name


def test_resuming_a_finished_training_only_tells_its_end(run_fit, make_model, tmp_path):
    folder = CheckpointFolder(tmp_path)
    result, _ = run_fit(make_model(), FAST, checkpoints=folder)
    model = make_model()
    again, reports = run_fit(model, FAST, checkpoints=folder, resume_from="3.0")
    assert reports == []
    assert again == result
    assert_bit_equal(weights(model), folder.load_weights(result.best_checkpoint))


def test_keeps_best_and_last_and_leaves_the_best_in_the_model(
    run_fit, make_model, clips, transform, tmp_path
):
    folder = CheckpointFolder(tmp_path)
    model = make_model()
    config = FAST.model_copy(update={"epochs": 4, "ema_decay": 0.5})
    result, reports = run_fit(model, config, checkpoints=folder)
    assert folder.names() == sorted(["4.0", result.best_checkpoint], key=lambda n: n[-3:])
    best = max(reports, key=lambda t: (t.metrics["valid_accuracy"], -t.metrics["valid_loss"]))
    assert result.best_epoch == best.epoch
    assert [told.epoch for told in reports if told.best][-1] == best.epoch
    seen = evaluate(model, clips(90, 120), transform=transform, batch_size=16, device=CPU)
    assert seen.loss == best.metrics["valid_loss"]
    assert folder.sidecar(result.best_checkpoint).metrics == best.metrics
    right = folder.sidecar(result.best_checkpoint).right
    assert right.count("1") / len(right) == pytest.approx(best.metrics["valid_accuracy"])


def test_best_weights_survive_without_a_folder(run_fit, make_model, clips, transform):
    # The last epoch of a training that goes wrong must not be what is kept.
    model = make_model()
    config = FAST.model_copy(update={"epochs": 6, "schedule": "constant", "lr": 0.2})
    result, reports = run_fit(model, config, select="valid_log_loss")
    assert result.best_epoch == min(reports, key=lambda t: t.metrics["valid_log_loss"]).epoch
    seen = evaluate(model, clips(90, 120), transform=transform, batch_size=16, device=CPU)
    assert seen.loss == result.best_metrics["valid_loss"]


def test_ties_go_to_the_lower_loss():
    best = {"valid_accuracy": 0.5, "valid_loss": 1.0}
    assert is_better({"valid_accuracy": 0.5, "valid_loss": 0.9}, best, "valid_accuracy")
    assert not is_better({"valid_accuracy": 0.5, "valid_loss": 1.0}, best, "valid_accuracy")
    assert not is_better({"valid_accuracy": 0.4, "valid_loss": 0.1}, best, "valid_accuracy")
    assert is_better({"valid_accuracy": 0.4, "valid_loss": 0.1}, best, "valid_loss")


def test_report_may_stop_the_training(run_fit, make_model):
    result, _ = run_fit(make_model(), FAST, report=lambda told: told.epoch == 2)
    assert (result.status, result.epochs_run) == ("stopped", 2)


def test_infinite_learning_ends_as_diverged_and_keeps_the_best(run_fit, make_model):
    config = FAST.model_copy(
        update={"optimizer": "sgd", "schedule": "constant", "lr": 1e25, "warmup_share": 0.0}
    )
    result, reports = run_fit(make_model(norm=False), config)
    assert result.status == "diverged"
    assert "epoch 1" in result.reason
    assert reports == [] and result.best_epoch is None


def test_a_blind_model_ends_as_collapsed(run_fit):
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(1, 3)

        def forward(self, x_BTCHW):
            return self.dense(torch.zeros(len(x_BTCHW), 1))

    config = FAST.model_copy(update={"collapse_after": 2})
    result, reports = run_fit(Blind(), config)
    assert (result.status, len(reports)) == ("collapsed", 2)
    unwatched, _ = run_fit(Blind(), FAST)
    assert unwatched.status == "completed"


def test_settings_that_end_a_training_early(run_fit, make_model):
    frozen = FAST.model_copy(update={"epochs": 9, "lr": 1e-12, "patience": 2})
    result, _ = run_fit(make_model(), frozen, select="valid_accuracy")
    assert result.status == "completed" and result.epochs_run < 9
    assert "not improved for 2 epochs" in result.reason
    target = FAST.model_copy(update={"epochs": 20, "stop_at_train_accuracy": 0.8})
    result, reports = run_fit(make_model(), target)
    assert "training accuracy" in result.reason
    assert reports[-1].metrics["train_accuracy"] >= 0.8 > reports[-2].metrics["train_accuracy"]


def test_accumulated_parts_make_the_step_of_the_whole_batch(run_fit, make_model):
    # Without batch norm, and without dropout, whose masks depend on the size of a part.
    for balance in ("none", "weights"):
        config = FAST.model_copy(
            update={"epochs": 1, "class_balance": balance, "optimizer": "sgd", "lr": 0.05}
        )
        whole, parts = make_model(norm=False, dropout=0.0), make_model(norm=False, dropout=0.0)
        run_fit(whole, config)
        run_fit(parts, config.model_copy(update={"accumulate": 4}))
        for name, part in parts.state_dict().items():
            torch.testing.assert_close(part, whole.state_dict()[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("num_videos", [2, 3, 17, 33])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_any_number_of_videos_is_trained_on_whole(
    run_fit, make_model, clips, num_videos, accumulate
):
    config = FAST.model_copy(update={"epochs": 1, "accumulate": accumulate})
    _, reports = run_fit(make_model(), config, train=clips(0, num_videos))
    assert reports[0].metrics["frames_seen"] == num_videos * 4


def test_what_report_raises_passes_through(run_fit, make_model):
    def fail(told):
        raise KeyError("scheduler")

    with pytest.raises(KeyError, match="scheduler"):
        run_fit(make_model(), FAST, report=fail)


def test_a_full_device_is_left_to_the_caller(run_fit, make_model):
    class Large(type(make_model())):
        def forward(self, x_BTCHW):
            raise torch.OutOfMemoryError("device is full")

    with pytest.raises(torch.OutOfMemoryError):
        run_fit(Large(), FAST)


def test_bfloat16_trains_to_float32_weights(run_fit, make_model):
    model = make_model()
    result, _ = run_fit(model, FAST.model_copy(update={"precision": "bfloat16"}))
    assert result.status == "completed"
    assert {part.dtype for part in model.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"select": "test_accuracy"}, "valid_accuracy"),
        ({"resume_from": "1.0"}, "folder of checkpoints"),
    ],
)
def test_refuses_what_it_cannot_do(run_fit, make_model, options, named):
    with pytest.raises(UserError, match=named):
        run_fit(make_model(), FAST, **options)


def test_refuses_a_single_video(run_fit, make_model, clips):
    with pytest.raises(UserError, match="two training samples"):
        run_fit(make_model(), FAST, train=clips(0, 1))


def test_refuses_an_absent_checkpoint(run_fit, make_model, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"5\.0"):
        run_fit(make_model(), FAST, checkpoints=CheckpointFolder(tmp_path), resume_from="5.0")


def test_a_refit_keeps_its_last_epoch(run_fit, make_model, clips):
    """Validation clips that are trained on choose nothing."""
    config = FAST.model_copy(update={"lr": 0.5, "schedule": "constant"})  # so that it gets worse
    chosen, reports = run_fit(make_model(), config)
    model = make_model()
    kept, again = run_fit(model, config, keep="last")
    assert [told.metrics["valid_loss"] for told in again] == [
        told.metrics["valid_loss"] for told in reports
    ]
    assert kept.best_epoch == 3 and all(told.best for told in again)
    last, _ = run_fit(longest := make_model(), config, keep="last", valid=clips(0, 30))
    assert last.best_epoch == 3
    assert_bit_equal(weights(longest), weights(model))
    assert chosen.best_epoch is not None and chosen.best_epoch <= 3
