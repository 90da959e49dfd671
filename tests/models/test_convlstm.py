import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.convlstm import ConvLstm


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_states_follow_the_equations_of_an_lstm() -> None:
    torch.manual_seed(0)
    layer = ConvLstm(3, 2).double()
    x_BTCHW = torch.randn(2, 4, 3, 5, 5, dtype=torch.double)
    with torch.no_grad():
        states_BTFHW = layer(x_BTCHW).numpy()

        def product(
            weight: torch.Tensor, maps: np.ndarray, bias: torch.Tensor | None
        ) -> np.ndarray:
            return F.conv2d(torch.from_numpy(maps), weight, bias, padding=1).numpy()

        state, cell = np.zeros((2, 2, 5, 5)), np.zeros((2, 2, 5, 5))
        for t in range(4):
            gates = product(layer.of_input.weight, x_BTCHW[:, t].numpy(), layer.of_input.bias)
            gates = gates + product(layer.of_state.weight, state, None)
            enter, forget, leave, new = np.split(gates, 4, axis=1)
            cell = sigmoid(forget + 1) * cell + sigmoid(enter) * np.tanh(new)
            state = sigmoid(leave) * np.tanh(cell)
            np.testing.assert_allclose(states_BTFHW[:, t], state, rtol=1e-5, atol=1e-7)


def test_one_bias_a_gate_as_keras_has() -> None:
    # torch's own LSTM has two; this count is that of the ancestor's framework: 4 F (9 (C + F) + 1).
    layer = ConvLstm(64, 32)
    assert sum(w.numel() for w in layer.parameters()) == 4 * 32 * (9 * (64 + 32) + 1)


def test_a_later_frame_does_not_change_an_earlier_state() -> None:
    layer = ConvLstm(1, 2)
    x_BTCHW = torch.randn(1, 4, 1, 6, 6)
    other = x_BTCHW.clone()
    other[:, 3] = 9
    assert torch.equal(layer(x_BTCHW)[:, :3], layer(other)[:, :3])


@pytest.mark.parametrize("name", ["convlstm", "convlstm_autoencoder", "frame_autoencoder"])
def test_frames_are_cut_into_places_of_eight_pixels(name: str) -> None:
    with pytest.raises(UserErrors, match="a multiple of 8"):
        create_model(name, 3, input_size=36)
