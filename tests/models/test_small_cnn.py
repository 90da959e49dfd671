import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model


@pytest.mark.parametrize(("num_convolutions", "logged"), [(2, 44_340_033), (4, 2_651_073)])
def test_counts_are_the_ancestors(num_convolutions: int, logged: int) -> None:
    with torch.device("meta"):
        model = create_model("small_cnn", 2, input_size=425, num_convolutions=num_convolutions)
    # One sigmoid unit there, one logit for each of two classes here.
    further = 64 + 1
    assert sum(weight.numel() for weight in model.parameters()) - further == logged


def test_colours_widen_the_first_convolution() -> None:
    shapes = [
        create_model("small_cnn", 2, input_size=32, num_convolutions=2, greyscale=greyscale)
        .get_submodule("convolutions.0")
        .weight.shape
        for greyscale in (True, False)
    ]
    assert shapes == [(64, 1, 3, 3), (64, 3, 3, 3)]


def test_without_colours_a_grey_clip_stays_as_it_is() -> None:
    from vidclass.models.greyscale import to_input_channels

    grey_BT1HW = torch.rand(2, 3, 1, 4, 4)
    x_BTCHW = grey_BT1HW.expand(-1, -1, 3, -1, -1)
    torch.testing.assert_close(to_input_channels(x_BTCHW, greyscale=True), grey_BT1HW)
    assert to_input_channels(x_BTCHW, greyscale=False) is x_BTCHW


@pytest.mark.parametrize(("num_convolutions", "smallest"), [(2, 10), (3, 22), (4, 38)])
def test_the_smallest_frame_leaves_one_place(num_convolutions: int, smallest: int) -> None:
    options = {"num_convolutions": num_convolutions, "num_channels": 4}
    model = create_model("small_cnn", 2, input_size=smallest, **options)
    assert model(torch.rand(2, 1, 3, smallest, smallest)).shape == (2, 2)
    with pytest.raises(UserErrors, match="fewer convolutions"):
        create_model("small_cnn", 2, input_size=smallest - 1, **options)
