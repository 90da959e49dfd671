"""What single settings of a training do, each shown on a real one."""

import pytest
import torch

from vidclass.data.sampling import FramePositions
from vidclass.models import create_model
from vidclass.training.checkpoints import CheckpointFolder
from vidclass.training.config import TrainConfig

PLAIN = TrainConfig(
    epochs=1,
    batch_size=90,
    optimizer="sgd",
    momentum=0.0,
    weight_decay=0.0,
    lr=0.1,
    schedule="constant",
    warmup_share=0.0,
    precision="float32",
)
ROUNDS = TrainConfig(
    epochs=9,
    batch_size=16,
    optimizer="adam",
    lr=1e-3,
    schedule="rounds",
    num_rounds=3,
    plateau_factor=0.1,
    plateau_patience=2,
    precision="float32",
)


def weights(model):
    return {name: part.clone() for name, part in model.state_dict().items()}


def are_equal(first, second):
    return all(torch.equal(part, second[name]) for name, part in first.items())


@pytest.mark.parametrize("clip_norm", [0.0, 1e-3, 1e3])
def test_a_gradient_is_no_longer_than_its_clip(run_fit, make_model, clip_norm):
    model, starts = make_model(norm=False, dropout=0.0), []

    def note(module, given):
        starts.append([weight.detach().clone() for weight in module.parameters()])

    model.register_forward_pre_hook(note)
    run_fit(model, PLAIN.model_copy(update={"clip_norm": clip_norm}))
    moved = torch.cat(
        [(new - old).flatten() for new, old in zip(model.parameters(), starts[0], strict=True)]
    )
    free = 1e-3 < moved.norm().item() / PLAIN.lr < 1e3
    assert free if clip_norm != 1e-3 else moved.norm().item() == pytest.approx(1e-4, rel=1e-3)


def test_the_average_of_the_weights_is_what_is_scored_and_kept(run_fit, make_model, tmp_path):
    folder = CheckpointFolder(tmp_path)
    model = make_model()
    config = TrainConfig(epochs=2, batch_size=16, ema_decay=0.8, precision="float32")
    averages = {}

    def report(told):
        trainer = folder.load(told.checkpoint)["trainer"]
        assert not are_equal(trainer["average"]["model"], trainer["model"])
        averages[told.epoch] = trainer["average"]["model"]
        return False

    result, _ = run_fit(model, config, checkpoints=folder, report=report)
    assert are_equal(weights(model), averages[result.best_epoch])


@pytest.mark.parametrize("schedule", ["rounds", "plateau"])
def test_each_round_goes_on_from_the_best_weights(run_fit, make_model, tmp_path, schedule):
    folder, model = CheckpointFolder(tmp_path), make_model()
    at_end, rates = [], []

    def report(told):
        best = folder.load_weights(best_names(folder)[-1])
        at_end.append(are_equal(weights(model), best))
        rates.append(told.metrics["lr"])
        return False

    # in a plateau every drop goes back as a round does, where it is asked for
    config = ROUNDS.model_copy(
        update={"schedule": schedule, "reload_best": True, "warmup_share": 0.0, "lr": 0.03}
    )
    result, reports = run_fit(model, config, checkpoints=folder, report=report)
    drops = [n for n in range(1, len(rates)) if rates[n] < rates[n - 1]]
    assert drops, rates
    for n in range(len(rates)):
        last_of_round = n + 1 in drops or (schedule == "rounds" and n + 1 == len(rates))
        if last_of_round:
            assert at_end[n], (n, rates)
    expected = {round(0.03 * 0.1**k, 9) for k in range(len(drops) + 1)}
    assert {round(rate, 9) for rate in rates} == expected
    if schedule == "rounds":
        assert len(drops) == 2 and result.reason == "all 3 rounds"


def best_names(folder):
    return sorted(
        (name for name in folder.names() if name.startswith("best")),
        key=lambda name: (
            folder.sidecar(name).metrics["valid_accuracy"],
            -folder.sidecar(name).metrics["valid_loss"],
        ),
    )


def test_a_drop_of_the_plateau_keeps_its_weights_by_default(run_fit, make_model, tmp_path):
    folder, model, rates, kept = CheckpointFolder(tmp_path), make_model(), [], []

    def report(told):
        rates.append(told.metrics["lr"])
        payload = folder.load(told.checkpoint)["trainer"]["model"]
        kept.append(are_equal(weights(model), payload))
        return False

    config = ROUNDS.model_copy(
        update={"schedule": "plateau", "warmup_share": 0.0, "plateau_patience": 1, "lr": 0.03}
    )
    run_fit(model, config, checkpoints=folder, report=report)
    assert min(rates) < max(rates) and all(kept)


def test_the_head_learns_first_and_the_backbone_at_its_own_rate(run_fit, clips):
    options = {"backbone": "mobilenet_v2", "weights": "none", "freeze": "full"}
    model = create_model("backbone_single_frame", 3, input_size=16, window_frames=4, **options)
    seen = []

    def report(told):
        seen.append((weights(model.backbones), weights(model.head)))
        return False

    centre = {"positions": FramePositions((2,))}
    config = PLAIN.model_copy(
        update={"epochs": 3, "batch_size": 16, "unfreeze_after": 2, "backbone_lr_factor": 0.5}
    )
    data = {"train": clips(0, 32, **centre), "valid": clips(90, 100, **centre)}
    run_fit(model, config, report=report, **data)
    (first, head), (second, later_head), (third, _) = seen
    assert are_equal(first, second) and not are_equal(second, third)
    assert not are_equal(head, later_head)
