from typing import Any

import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import create_model, validate_options
from vidclass.models.profile import profile
from vidclass.models.recurrent import LrcnOptions, SequenceLayer, StepDropout, run_recurrent

QUICK = {"backbone": "squeezenet1_1", "weights": "none", "input_size": 32}
FEATURES = 512


def lrcn(**values: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model("lrcn", 3, **QUICK, **values).eval()


def test_lstm_follows_its_equations() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(5, 4, batch_first=True)
    x_BTD = torch.randn(3, 6, 5)
    hidden_BH, cell_BH = torch.zeros(3, 4), torch.zeros(3, 4)
    steps = []
    for t in range(6):
        gates = (
            x_BTD[:, t] @ layer.weight_ih_l0.T
            + layer.bias_ih_l0
            + hidden_BH @ layer.weight_hh_l0.T
            + layer.bias_hh_l0
        )
        taken, kept, new, shown = gates.chunk(4, dim=1)
        cell_BH = kept.sigmoid() * cell_BH + taken.sigmoid() * new.tanh()
        hidden_BH = shown.sigmoid() * cell_BH.tanh()
        steps.append(hidden_BH)
    torch.testing.assert_close(
        run_recurrent(layer, x_BTD), torch.stack(steps, dim=1), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("values", "num_classes", "logged", "second_biases"),
    [
        (
            {"backbone": "resnet50", "num_frames": 5, "num_recurrent": 2}
            | {"size_1": 256, "size_2": 128},
            2,
            2_557_698,
            4 * 256 + 4 * 128,
        ),
        *(
            (
                {"backbone": "vgg16", "num_frames": 20, "window_frames": 20, "num_recurrent": 2}
                | {"size_1": 256, "size_2": 512, "size_3": 256, "readout": "flatten"},
                num_classes,
                logged,
                4 * 256 + 4 * 512,
            )
            for num_classes, logged in ((2, 4_984_578), (7, 4_985_863))
        ),
    ],
)
def test_counts_are_those_of_the_ancestor(
    values: dict[str, Any], num_classes: int, logged: int, second_biases: int
) -> None:
    """PyTorch's LSTM has two biases a gate where the ancestor's framework has one."""
    costs = profile("lrcn", num_classes, **values)
    assert costs.trained_parameters - second_biases == logged


def test_gates_of_each_layer_have_one_bias_too_many() -> None:
    layer = nn.LSTM(512, 256)
    assert layer.bias_hh_l0.numel() == 4 * 256


@pytest.mark.parametrize("sequence_model", ["lstm", "gru", "rnn"])
def test_both_directions_end_where_they_end(sequence_model: str) -> None:
    values = {"sequence_model": sequence_model, "size_1": 4, "bidirectional": True}
    options = LrcnOptions.model_validate({**QUICK, **values})
    layer = SequenceLayer(5, 4, options).eval()
    x_BTD = torch.randn(2, 6, 5)
    steps_BTH, last_BH = layer(x_BTD)
    _, final = layer.layer(x_BTD)
    hidden = final[0] if sequence_model == "lstm" else final
    assert steps_BTH.shape == (2, 6, 8)
    torch.testing.assert_close(last_BH, torch.cat([hidden[0], hidden[1]], dim=1))


@pytest.mark.parametrize("readout", ["last", "mean", "flatten"])
def test_readouts_read_the_last_layer(readout: str) -> None:
    model = lrcn(num_recurrent=2, size_1=8, size_2=6, readout=readout)
    f_BTD = torch.randn(2, 5, FEATURES)
    steps_BTH, _ = model.head.layers[1](model.head.layers[0](f_BTD)[0])
    read = {
        "last": steps_BTH[:, -1],
        "mean": steps_BTH.mean(1),
        "flatten": steps_BTH.flatten(1),
    }[readout]
    torch.testing.assert_close(model(f_BTD), model.head.dense(read))


def test_convolutions_over_time_shorten_the_sequence() -> None:
    model = lrcn(sequence_model="conv1d", num_recurrent=2, size_1=8, size_2=6, readout="flatten")
    assert model.head.dense[-1].in_features == (5 - 2 * 2) * 6
    steps_BTH, last_BH = model.head.layers[0](torch.randn(2, 5, FEATURES))
    assert steps_BTH.shape == (2, 3, 8) and torch.equal(last_BH, steps_BTH[:, -1])
    assert float(steps_BTH.detach().min()) == 0.0


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"num_recurrent": 2, "size_1": 8}, "every layer over time has a size"),
        ({"size_1": 8, "size_2": 0, "size_3": 4}, "a layer of size 0 is dropped"),
        ({"sequence_model": "conv1d", "num_frames": 2}, "leave at least one step"),
        ({"sequence_model": "conv1d", "bidirectional": True}, "looks both ways already"),
        ({"num_frames": 11}, "lie in the window of 10 frames"),
        ({"size_1": 0}, "size_1"),
        ({"num_recurrent": 4}, "num_recurrent"),
    ],
)
def test_layers_that_do_not_fit_are_told(wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(UserErrors, match=rule):
        validate_options("lrcn", {**QUICK, **wrong})


def test_a_size_of_zero_drops_the_dense_layer() -> None:
    short, long = lrcn(size_1=8), lrcn(size_1=8, size_2=6)
    kinds = [[type(part).__name__ for part in model.head.dense] for model in (short, long)]
    assert kinds == [["Dropout", "Linear"], ["Linear", "ReLU", "Dropout", "Linear"]]


def test_dropout_inside_is_the_same_at_every_step() -> None:
    torch.manual_seed(0)
    dropout = StepDropout(0.5).train()
    dropped_BTD = dropout(torch.ones(4, 6, 200))
    assert torch.equal(dropped_BTD, dropped_BTD[:, :1].expand(-1, 6, -1))
    assert set(dropped_BTD.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < float((dropped_BTD == 0).float().mean()) < 0.6
    assert torch.equal(dropout.eval()(torch.ones(1, 2, 3)), torch.ones(1, 2, 3))


def test_dropout_inside_acts_in_training_only() -> None:
    model = lrcn(size_1=8, dropout_inside=0.5, dropout=0.0)
    f_BTD = torch.randn(2, 5, FEATURES)
    assert torch.equal(model(f_BTD), model(f_BTD))
    assert not torch.equal(model.train()(f_BTD), model(f_BTD))


def test_joined_frames_are_one_long_vector() -> None:
    model = create_model("concat_mlp", 3, **QUICK, num_frames=4, size_1=16, size_2=8).eval()
    f_BTD = torch.randn(2, 4, FEATURES)
    torch.testing.assert_close(model(f_BTD), model.head.dense(f_BTD.reshape(2, -1)))
    assert [part.out_features for part in model.head.dense if isinstance(part, nn.Linear)] == [
        16,
        8,
        3,
    ]
