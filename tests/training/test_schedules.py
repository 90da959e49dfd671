import pytest
import torch

from vidclass.training.config import TrainConfig
from vidclass.training.optimizers import make_optimizer
from vidclass.training.schedules import Schedule, lr_share

NUM_STEPS = 40


def schedule_of(config: TrainConfig, num_steps: int = NUM_STEPS):
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(model, config)
    return optimizer, Schedule(optimizer, config, num_steps)


@pytest.mark.parametrize("warmup_share", [0.25, 0.3])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_one_cycle_is_torchs(optimizer, warmup_share):
    config = TrainConfig(optimizer=optimizer, lr=0.1, warmup_share=warmup_share)
    ours, schedule = schedule_of(config)
    theirs, _ = schedule_of(config)
    reference = torch.optim.lr_scheduler.OneCycleLR(
        theirs, max_lr=0.1, total_steps=NUM_STEPS, pct_start=warmup_share
    )
    for _ in range(NUM_STEPS):
        schedule.before_step()
        group, expected = ours.param_groups[0], theirs.param_groups[0]
        assert group["lr"] == pytest.approx(expected["lr"], rel=1e-6, abs=1e-12)
        if optimizer == "adamw":
            assert group["betas"] == pytest.approx(expected["betas"])
        else:
            assert group["momentum"] == pytest.approx(expected["momentum"])
        theirs.step()
        reference.step() if reference.last_epoch < NUM_STEPS - 1 else None


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ("constant", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("plateau", [0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("cosine", [0.25, 0.5, 0.75, 1.0, 1.0, 0.8535533906, 0.5, 0.1464466094]),
    ],
)
def test_warm_up_then_shape(schedule, shares):
    config = TrainConfig(schedule=schedule, warmup_share=0.5)
    assert [lr_share(config, step, 8) for step in range(8)] == pytest.approx(shares)


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "plateau", "constant"])
@pytest.mark.parametrize("warmup_share", [0.0, 0.25, 0.99])
@pytest.mark.parametrize("num_steps", [1, 2, 7])
def test_rate_stays_between_nothing_and_lr(schedule, warmup_share, num_steps):
    config = TrainConfig(schedule=schedule, warmup_share=warmup_share)
    shares = [lr_share(config, step, num_steps) for step in range(num_steps)]
    assert all(0.0 <= share <= 1.0 + 1e-12 for share in shares)


def test_plateau_drops_after_its_patience_and_starts_counting_again():
    config = TrainConfig(
        schedule="plateau", lr=1.0, warmup_share=0.0, plateau_patience=2, plateau_factor=0.1
    )
    _, schedule = schedule_of(config)
    rates = []
    for improved in [True, False, False, True, False, False, False]:
        schedule.before_step()
        rates.append(schedule.lr)
        schedule.after_epoch(improved)
    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01])


def rates_of(config: TrainConfig, gains: list[bool]) -> tuple[list[float], Schedule]:
    """Return the rate of each epoch of one step, and the schedule after the last."""
    _, schedule = schedule_of(config)
    rates = []
    for improved in gains:
        schedule.before_step()
        rates.append(schedule.lr)
        schedule.after_epoch(improved)
    return rates, schedule


def test_rounds_share_the_epochs_at_a_thousandth_and_below():
    config = TrainConfig(schedule="rounds", lr=1e-3, num_rounds=3, plateau_factor=0.1, epochs=7)
    rates, schedule = rates_of(config, [True] * 7)
    assert rates == pytest.approx([1e-3] * 3 + [1e-4] * 3 + [1e-5])
    assert not schedule.ended
    schedule.after_epoch(True)
    schedule.after_epoch(True)
    assert schedule.ended


def test_a_round_ends_early_where_nothing_is_gained():
    config = TrainConfig(schedule="rounds", lr=1e-3, num_rounds=3, epochs=30, plateau_patience=2)
    rates, schedule = rates_of(config, [True, False, False, True, False, False, False, False])
    assert rates == pytest.approx([1e-3] * 3 + [1e-4] * 3 + [1e-5] * 2)
    assert schedule.ended


@pytest.mark.parametrize("name", ["rounds", "plateau"])
def test_a_resumed_schedule_goes_on_where_it_was(name):
    config = TrainConfig(schedule=name, lr=1.0, plateau_patience=2, epochs=12, warmup_share=0.0)
    gains = [True, False, False, True, False, True, False, False, False]
    whole, _ = rates_of(config, gains)
    for cut in range(1, len(gains)):
        before, first = rates_of(config, gains[:cut])
        _, second = schedule_of(config)
        second.load_state_dict(first.state_dict())
        after = []
        for improved in gains[cut:]:
            second.before_step()
            after.append(second.lr)
            second.after_epoch(improved)
        assert before + after == pytest.approx(whole)


def test_a_group_has_its_own_share_of_the_rate():
    optimizer, schedule = schedule_of(TrainConfig(schedule="constant", warmup_share=0.0, lr=0.5))
    optimizer.param_groups[0]["lr_factor"] = 0.1
    schedule.before_step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.5])


def test_momentum_is_left_alone_where_it_does_not_cycle():
    config = TrainConfig(schedule="cosine", momentum=0.7)
    optimizer, schedule = schedule_of(config)
    schedule.before_step()
    assert optimizer.param_groups[0]["betas"] == (0.7, 0.999)
