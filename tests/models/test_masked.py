import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.masked import QUICK, MaskedTransformer, place_embedding

OPTIONS = {**QUICK, "input_size": 32, "window_frames": 6, "patch_size": 8}


def model(**options: object) -> MaskedTransformer:
    made = create_model("masked_transformer", 3, **{**OPTIONS, **options})
    assert isinstance(made, MaskedTransformer)
    return made


def test_the_mask_is_a_tube() -> None:
    net = model(mask_share=0.75)
    seen_S, hidden_N = net._tube(torch.device("cpu"))
    assert len(seen_S) == 3 * 4 and len(hidden_N) == 3 * 12
    assert sorted([*seen_S.tolist(), *hidden_N.tolist()]) == list(range(48))
    places = seen_S.view(3, 4) % 16
    assert torch.equal(places[0], places[1]) and torch.equal(places[0], places[2])


@pytest.mark.parametrize(("share", "num_seen"), [(0.001, 15), (0.5, 8), (0.999, 1)])
def test_something_is_hidden_and_something_seen(share: float, num_seen: int) -> None:
    seen_S, _ = model(mask_share=share)._tube(torch.device("cpu"))
    assert len(seen_S) == 3 * num_seen


def test_tubelets_come_in_the_order_of_the_tokens() -> None:
    net = model()
    x_BTCHW = torch.randn(2, 6, 3, 32, 32)
    tubelets_BNP = net.tubelets(x_BTCHW)
    assert tubelets_BNP.shape == (2, 48, 2 * 8 * 8 * 3)
    time, row, column = 1, 2, 3
    block = x_BTCHW[1, 2:4, :, 16:24, 24:32].permute(0, 2, 3, 1).flatten()
    assert torch.equal(tubelets_BNP[1, time * 16 + row * 4 + column], block)
    with torch.no_grad():
        # A token without its place is the convolution's product with those very pixels.
        weight_DP = net.enter.weight.permute(0, 2, 3, 4, 1).flatten(1)
        wanted_BND = tubelets_BNP @ weight_DP.T + net.enter.bias + net.places_ND
        torch.testing.assert_close(net.tokens(x_BTCHW), wanted_BND, rtol=1e-4, atol=1e-5)


def test_what_is_hidden_does_not_reach_the_encoder() -> None:
    net = model(mask_share=0.75).eval()
    x_BTCHW = torch.randn(1, 6, 3, 32, 32)
    torch.manual_seed(7)
    seen_S, hidden_N = net._tube(torch.device("cpu"))
    read: list[torch.Tensor] = []
    net.encoder.register_forward_hook(lambda layer, given, made: read.append(given[0]))
    torch.manual_seed(7)
    net.pretrain_loss(x_BTCHW)
    assert torch.equal(read[0], net.tokens(x_BTCHW)[:, seen_S])
    assert not set(seen_S.tolist()) & set(hidden_N.tolist())


def test_places_are_told_apart() -> None:
    places_ND = place_embedding(3, 4, 24)
    assert places_ND.shape == (48, 24)
    assert len(places_ND.unique(dim=0)) == 48


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window_frames": 5}, "tubelets fill the clip"),
        ({"patch_size": 7}, "tubelets fill the clip"),
        ({"patch_size": 32}, "a smaller patch_size"),
        ({"num_features": 26, "num_heads": 2}, "that 4 divides"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(UserErrors, match=told):
        model(**options)
