from pathlib import Path

import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.profile import profile
from vidclass.models.residual_ladder import matched_channels

PUBLISHED = ["mc3_18", "r3d_18", "r2plus1d_18"]


def num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def reference(name: str, num_classes: int = 5) -> nn.Module:
    from torchvision.models import get_model

    torch.manual_seed(0)
    model: nn.Module = get_model(name, num_classes=num_classes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def renamed(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        key.replace("fc.", "classifier.") if key.startswith("fc.") else f"trunk.{key}": value
        for key, value in state.items()
    }


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        # Table 1 of Tran et al. (2018), in millions: 11.4, 11.4, 11.7, 33.4, 33.3
        ("r2d_18", {"window_frames": 8}, 11_447_568),
        ("fr2d_18", {}, 11_381_712),
        ("mc3_18", {}, 11_695_440),
        ("r3d_18", {}, 33_371_472),
        ("r2plus1d_18", {}, 31_505_325),
        ("r2plus1d_18", {"middle": "layer"}, 33_370_839),
    ],
)
def test_counts_with_the_400_classes_of_kinetics(
    name: str, options: dict[str, object], count: int
) -> None:
    with torch.device("meta"):
        assert num_parameters(create_model(name, 400, **options)) == count


@pytest.mark.parametrize(("inside", "outside"), [(64, 64), (64, 128), (256, 512)])
def test_a_factorised_pair_has_the_weights_of_the_convolution_it_replaces(
    inside: int, outside: int
) -> None:
    middle = matched_channels(inside, outside)
    whole, pair = 27 * inside * outside, 9 * inside * middle + 3 * middle * outside
    assert 0 <= whole - pair < 9 * inside + 3 * outside


def test_multiply_accumulates_are_the_published_ones() -> None:
    assert round(profile("r3d_18", 400).gmacs, 1) == 40.7
    assert round(profile("mc3_18", 400).gmacs, 1) == 43.3
    assert round(profile("r2plus1d_18", 400).gmacs, 1) == 40.5


@pytest.mark.parametrize("name", PUBLISHED)
def test_logits_equal_those_of_torchvision(name: str) -> None:
    wanted = reference(name)
    model = create_model(name, 5, window_frames=4, input_size=24).eval()
    model.load_state_dict(renamed(wanted.state_dict()))
    x_BTCHW = torch.randn(2, 4, 3, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            model(x_BTCHW), wanted(x_BTCHW.transpose(1, 2)), rtol=1e-5, atol=1e-5
        )


def test_r2d_is_a_2d_convolution_over_stacked_frames() -> None:
    model = create_model("r2d_18", 5, width=0.125, window_frames=3, input_size=16)
    convolution = model.get_submodule("trunk.stem.0")
    x_BTCHW = torch.randn(2, 3, 3, 16, 16)
    stacked_BCHW = x_BTCHW.transpose(1, 2).flatten(1, 2)
    wanted = nn.functional.conv2d(stacked_BCHW, convolution.weight.flatten(1, 2), None, 2, 3)
    got = convolution(x_BTCHW.transpose(1, 2))
    assert got.shape[2] == 1
    torch.testing.assert_close(got.squeeze(2), wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture
def kinetics(home: Path) -> dict[str, torch.Tensor]:
    """A file under the published name, made with the published keys and shapes."""
    state = reference("mc3_18", 400).state_dict()
    folder = home / "weights"
    folder.mkdir()
    torch.save(state, folder / "mc3_18-a90a0ba3.pth")
    return state


OPTIONS = {"window_frames": 2, "input_size": 16, "weights": "kinetics"}


def test_published_weights_need_no_network_where_their_file_lies(
    kinetics: dict[str, torch.Tensor],
) -> None:
    from vidclass.training.optimizers import initialise

    model = create_model("mc3_18", 5, **OPTIONS)
    for _ in range(2):
        weight = model.get_parameter("trunk.net.layer4.1.conv2.0.weight")
        assert torch.equal(weight, kinetics["layer4.1.conv2.0.weight"])
        initialise(model, "glorot")  # a training starts from them too


@pytest.mark.usefixtures("kinetics")
def test_what_is_frozen_is_not_trained() -> None:
    def trained(**options: object) -> set[str]:
        model = create_model("mc3_18", 5, **OPTIONS, **options)
        return {key for key, weight in model.named_parameters() if weight.requires_grad}

    head = {"classifier.weight", "classifier.bias"}
    assert trained(freeze="frozen") == head
    last = trained(freeze="last", last_layers=1) - head
    assert last == {
        f"trunk.net.layer4.1.conv2.{part}" for part in ("0.weight", "1.weight", "1.bias")
    }
    assert len(trained()) > 50


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: state.pop("stem.0.weight"), "every key of the net.*stem.0.weight"),
        (lambda state: state.update(extra=torch.ones(1)), "no key that the net has not.*extra"),
        (
            lambda state: state.update({"layer1.0.conv1.0.weight": torch.ones(1)}),
            r"the net's shapes.*layer1.0.conv1.0.weight \[1\] for \[64, 64, 3, 3, 3\]",
        ),
    ],
)
def test_a_file_that_does_not_fit_is_told_by_its_keys(
    change, told: str, kinetics: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    change(kinetics)
    torch.save(kinetics, tmp_path / "other.pth")
    options = {**OPTIONS, "weights": str(tmp_path / "other.pth")}
    with pytest.raises(UserErrors, match=told):
        create_model("mc3_18", 5, **options)


def test_weights_are_those_of_the_full_width() -> None:
    with pytest.raises(UserErrors, match="full width"):
        create_model("r3d_18", 5, width=0.5, weights="kinetics")
