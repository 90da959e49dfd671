import pytest
import torch
from torch import nn

from vidclass.training.config import TrainConfig
from vidclass.training.optimizers import WeightAverage, initialise, make_optimizer


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop"])
def test_only_weights_of_layers_decay(make_model, name):
    model = make_model()
    optimizer = make_optimizer(model, TrainConfig(optimizer=name, weight_decay=0.02))
    decay = {
        id(weight): group["weight_decay"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    expected = {
        "conv1.weight": 0.02,
        "conv1.bias": 0.0,
        "norm1.weight": 0.0,
        "dense.weight": 0.02,
        "dense.bias": 0.0,
    }
    named = dict(model.named_parameters())
    assert {name: decay[id(named[name])] for name in expected} == expected
    assert len(decay) == len(named)


def test_frozen_weights_are_left_out(make_model):
    model = make_model()
    model.conv1.requires_grad_(False)
    held = {id(w) for g in make_optimizer(model, TrainConfig()).param_groups for w in g["params"]}
    assert id(model.conv1.weight) not in held
    assert id(model.conv2.weight) in held


def test_settings_reach_the_optimizer(make_model):
    config = TrainConfig(optimizer="rmsprop", lr=0.5, epsilon=1e-3, momentum=0.4)
    group = make_optimizer(make_model(), config).param_groups[0]
    assert (group["lr"], group["eps"], group["momentum"]) == (0.5, 1e-3, 0.4)


LR, DECAY, EPSILON = 0.01, 0.1, 1e-3


def by_equations(name, weight, gradients, momentum):
    """Return the weight after a step a gradient, by the equations of the papers."""
    first = second = buffer = torch.zeros_like(weight)
    for step, gradient in enumerate(gradients, start=1):
        if name != "adamw":  # decay as a part of the loss; AdamW's (2019) stands beside it
            gradient = gradient + DECAY * weight
        if name == "sgd":
            buffer = gradient if step == 1 else momentum * buffer + gradient
            weight = weight - LR * buffer
        elif name == "rmsprop":
            second = 0.99 * second + 0.01 * gradient**2
            buffer = momentum * buffer + gradient / (second.sqrt() + EPSILON)
            weight = weight - LR * buffer
        else:
            first = momentum * first + (1 - momentum) * gradient
            second = 0.999 * second + 0.001 * gradient**2
            mean, square = first / (1 - momentum**step), second / (1 - 0.999**step)
            weight = weight * (1 - LR * DECAY) if name == "adamw" else weight
            weight = weight - LR * mean / (square.sqrt() + EPSILON)
    return weight


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimizer_follows_its_equations(name, momentum):
    torch.manual_seed(0)
    layer = nn.Linear(5, 4, bias=False)
    config = TrainConfig(
        optimizer=name, lr=LR, weight_decay=DECAY, epsilon=EPSILON, momentum=momentum
    )
    optimizer = make_optimizer(layer, config)
    gradients = [torch.randn(4, 5) for _ in range(4)]
    expected = by_equations(name, layer.weight.detach().clone(), gradients, momentum)
    for gradient in gradients:
        layer.weight.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), expected, rtol=1e-5, atol=1e-6)


def test_glorot_has_its_variance_and_zero_biases():
    layer = nn.Conv2d(16, 32, 3)
    initialise(layer, "glorot")
    expected = 2 / (16 * 9 + 32 * 9)
    assert layer.weight.var().item() == pytest.approx(expected, rel=0.1)
    assert not layer.bias.any()


def test_default_start_is_the_layers_own_and_statistics_are_forgotten(make_model):
    torch.manual_seed(0)
    expected = make_model().state_dict()
    model = make_model()
    model(torch.randn(8, 4, 3, 16, 16))
    torch.manual_seed(0)
    initialise(model, "default")
    for name, part in model.state_dict().items():
        assert torch.equal(part, expected[name]), name


def test_average_follows_its_formula_and_copies_statistics():
    model = nn.BatchNorm1d(1)
    average = WeightAverage(model, decay=0.9)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(5.0)
    average.update(model)  # decay min(0.9, 2 / 11): 1 * 2/11 + 3 * 9/11
    assert average.model.weight.item() == pytest.approx(29 / 11)
    assert average.model.running_mean.item() == 5.0
    assert not average.model.weight.requires_grad
