import pytest
import torch

from vidclass.models import Pretrains, create_model
from vidclass.models.autoencoder import Autoencoder


def conv(inside: int, outside: int, kernel: int) -> int:
    return outside * (inside * kernel**2 + 1)


def conv_lstm(inside: int, state: int) -> int:
    """One bias a gate, in Keras as here, so that no difference is to be derived."""
    return 4 * state * (9 * (inside + state) + 1)


def autoencoder(**options: object) -> Autoencoder:
    model = create_model("convlstm_autoencoder", 2, **options)
    assert isinstance(model, Autoencoder)
    return model


@pytest.mark.parametrize(
    ("code", "states", "logged"),
    [(8, (64, 32, 8, 32, 64), 2_016_049), (32, (64, 32, 64), 1_958_209)],
)
def test_counts_are_the_logged_ones(code: int, states: tuple[int, ...], logged: int) -> None:
    frames = [conv(1, 128, 11), conv(128, 64, 5)]
    back = [conv(64, 64, 5), conv(64, 128, 11), conv(128, 1, 11)]
    recurrent = [conv_lstm(i, s) for i, s in zip((64, *states), states, strict=False)]
    norms = 2 * sum((128, 64, *states, 64, 128))
    assert sum(frames + recurrent + back) + norms == logged
    with torch.device("meta"):
        model = autoencoder(code_channels=code)
        # 10 x 256 x 256 x 1, and a code of 10 x 32 x 32
        assert model.codes(torch.empty(1, 10, 3, 256, 256)).shape == (1, 10, code, 32, 32)
        assert model.reconstruct(torch.empty(1, 10, 3, 256, 256)).shape == (1, 10, 1, 256, 256)
    classifier = sum(weight.numel() for weight in model.classifier.parameters())
    assert sum(weight.numel() for weight in model.parameters()) - classifier == logged


def test_the_code_is_a_named_layer() -> None:
    model = autoencoder(input_size=16, window_frames=3, width=0.125)
    seen: list[torch.Tensor] = []
    model.get_submodule("code").register_forward_hook(lambda layer, given, made: seen.append(made))
    x_BTCHW = torch.rand(2, 3, 3, 16, 16)
    features_BD = model.features(x_BTCHW)
    assert seen[0].shape == (2, 3, 8, 2, 2)
    assert torch.equal(features_BD, seen[0][:, -1].flatten(1))


@pytest.mark.parametrize("name", ["convlstm_autoencoder", "frame_autoencoder"])
@pytest.mark.parametrize(("greyscale", "channels"), [(True, 1), (False, 3)])
def test_reconstructions_have_the_form_of_what_is_seen(
    name: str, greyscale: bool, channels: int
) -> None:
    options = {"input_size": 16, "window_frames": 2, "width": 0.125}
    model = create_model(name, 2, greyscale=greyscale, **options)
    assert isinstance(model, Autoencoder) and isinstance(model, Pretrains)
    made = model.reconstruct(torch.rand(2, 2, 3, 16, 16))
    assert made.shape == (2, 2, channels, 16, 16)
    assert 0 <= made.min() and made.max() <= 1


def test_the_decoder_is_no_part_of_the_classifier() -> None:
    model = autoencoder(input_size=16, window_frames=2, width=0.125)
    model(torch.rand(2, 2, 3, 16, 16)).sum().backward()
    without = {key.split(".")[0] for key, w in model.named_parameters() if w.grad is None}
    assert without == {"after_code", "decoder"}
