from pathlib import Path

import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.i3d_weights import port_names
from vidclass.models.profile import profile

# Of the published nets: inputs of a block, then its branches.
MIXED = {
    "3b": (192, 64, 96, 128, 16, 32, 32),
    "3c": (256, 128, 128, 192, 32, 96, 64),
    "4b": (480, 192, 96, 208, 16, 48, 64),
    "4c": (512, 160, 112, 224, 24, 64, 64),
    "4d": (512, 128, 128, 256, 24, 64, 64),
    "4e": (512, 112, 144, 288, 32, 64, 64),
    "4f": (528, 256, 160, 320, 32, 128, 128),
    "5b": (832, 256, 160, 320, 32, 128, 128),
    "5c": (832, 384, 192, 384, 48, 128, 128),
}
SMALL = {"window_frames": 2, "input_size": 32}


def units(colours: int) -> dict[str, tuple[int, int, int]]:
    """Every unit of the published net: outputs, inputs, kernel."""
    found = {
        "Conv3d_1a_7x7": (64, colours, 7),
        "Conv3d_2b_1x1": (64, 64, 1),
        "Conv3d_2c_3x3": (192, 64, 3),
    }
    for name, (inside, b0, b1a, b1b, b2a, b2b, b3b) in MIXED.items():
        found |= {
            f"Mixed_{name}.b0": (b0, inside, 1),
            f"Mixed_{name}.b1a": (b1a, inside, 1),
            f"Mixed_{name}.b1b": (b1b, b1a, 3),
            f"Mixed_{name}.b2a": (b2a, inside, 1),
            f"Mixed_{name}.b2b": (b2b, b2a, 3),
            f"Mixed_{name}.b3b": (b3b, inside, 1),
        }
    return found


def port_state(colours: int = 3) -> dict[str, torch.Tensor]:
    """A checkpoint with the keys and shapes of the PyTorch port."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, (outside, inside, kernel) in units(colours).items():
        shape = (outside, inside, kernel, kernel, kernel)
        state[f"{name}.conv3d.weight"] = 0.05 * torch.randn(shape, generator=generator)
        for part in ("bias", "running_mean"):
            state[f"{name}.bn.{part}"] = torch.randn(outside, generator=generator)
        for part in ("weight", "running_var"):
            state[f"{name}.bn.{part}"] = torch.rand(outside, generator=generator) + 0.5
        state[f"{name}.bn.num_batches_tracked"] = torch.tensor(1)
    state["logits.conv3d.weight"] = torch.randn(400, 1024, 1, 1, 1, generator=generator)
    state["logits.conv3d.bias"] = torch.randn(400, generator=generator)
    return state


def original_state(state: dict[str, torch.Tensor], scope: str) -> dict[str, torch.Tensor]:
    """The same as the original's variables, which have no scale."""
    branches = {
        "b0": "Branch_0/Conv3d_0a_1x1",
        "b1a": "Branch_1/Conv3d_0a_1x1",
        "b1b": "Branch_1/Conv3d_0b_3x3",
        "b2a": "Branch_2/Conv3d_0a_1x1",
        "b2b": "Branch_2/Conv3d_0b_3x3",
        "b3b": "Branch_3/Conv3d_0b_1x1",
    }
    parts = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    found = {}
    for key, value in state.items():
        place, layer, part = key.rsplit(".", 2)
        block, _, unit = place.partition(".")
        path = "Logits/Conv3d_0c_1x1" if block == "logits" else block
        path += f"/{branches[unit]}" if unit else ""
        if (block, unit) == ("Mixed_5b", "b2b"):
            path = path.replace("0b_3x3", "0a_3x3")
        if layer == "conv3d":
            value = value.permute(2, 3, 4, 1, 0) if part == "weight" else value
            found[f"{scope}/inception_i3d/{path}/conv_3d/{'w' if part == 'weight' else 'b'}"] = (
                value
            )
        elif part in parts:
            found[f"{scope}/inception_i3d/{path}/batch_norm/{parts[part]}"] = value.reshape(
                1, 1, 1, 1, -1
            )
    return found


def num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def test_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        colours = create_model("i3d", 400)
        flow = create_model("i3d", 400, stream="flow")
    assert num_parameters(colours) == 12_697_264
    assert num_parameters(colours.get_submodule("trunk")) == 12_287_264
    assert num_parameters(flow) == 12_675_312


def test_cost_is_the_published_one() -> None:
    # 108 in later papers' tables, at 64 frames of 224 pixels
    assert profile("i3d", 400).gmacs == pytest.approx(108, rel=0.03)


@pytest.mark.parametrize(("stream", "colours"), [("rgb", 3), ("flow", 2)])
def test_a_checkpoint_of_the_port_fits(stream: str, colours: int, tmp_path: Path) -> None:
    state = port_state(colours)
    torch.save(state, tmp_path / "port.pt")
    model = create_model("i3d", 5, stream=stream, weights=str(tmp_path / "port.pt"), **SMALL)
    got = model.get_submodule("trunk.net").state_dict()
    assert set(got) == {key for key in state if not key.startswith("logits.")}
    assert all(torch.equal(got[key], state[key]) for key in got if "tracked" not in key)


@pytest.mark.parametrize("scope", ["RGB", "Flow"])
def test_the_originals_variables_fit_and_their_scale_is_one(scope: str, tmp_path: Path) -> None:
    colours = 2 if scope == "Flow" else 3
    state = port_state(colours)
    torch.save(original_state(state, scope), tmp_path / "original.pt")
    stream = "flow" if scope == "Flow" else "rgb"
    options = {"stream": stream, "weights": str(tmp_path / "original.pt"), **SMALL}
    got = create_model("i3d", 5, **options).get_submodule("trunk.net").state_dict()
    for key, value in got.items():
        if key.endswith("bn.weight"):
            assert torch.equal(value, torch.ones_like(value)), key
        elif not key.endswith("num_batches_tracked"):
            assert torch.equal(value, state[key]), key


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("Mixed_4c.b1b.conv3d.weight"), "every key.*Mixed_4c.b1b.conv3d.weight"),
        (lambda s: s.update({"RGB/inception_i3d/Mixed_9z/x": torch.ones(1)}), "no key.*Mixed_9z"),
        (lambda s: s.update({"Mixed_3b.b0.bn.bias": torch.ones(2)}), r"Mixed_3b.b0.bn.bias \[2\]"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_told(change, told: str, tmp_path: Path) -> None:
    state = port_state()
    change(state)
    torch.save(state, tmp_path / "port.pt")
    with pytest.raises(UserErrors, match=told):
        create_model("i3d", 5, weights=str(tmp_path / "port.pt"), **SMALL)


def test_a_checkpoint_of_colours_does_not_fit_flow(tmp_path: Path) -> None:
    torch.save(port_state(), tmp_path / "port.pt")
    with pytest.raises(UserErrors, match=r"Conv3d_1a_7x7.conv3d.weight \[64, 3, 7, 7, 7\]"):
        create_model("i3d", 5, stream="flow", weights=str(tmp_path / "port.pt"), **SMALL)


def test_no_library_publishes_it() -> None:
    with pytest.raises(UserErrors, match="no library publishes"):
        create_model("i3d", 5, weights="kinetics")


def test_keys_of_neither_form_stay() -> None:
    assert set(port_names({"Mixed_3b.b0.other": torch.ones(1)})) == {"Mixed_3b.b0.other"}


def test_flow_sees_the_first_two_channels_alone() -> None:
    model = create_model("i3d", 5, stream="flow", width=0.125, **SMALL).eval()
    x_BTCHW = torch.randn(2, 2, 3, 32, 32)
    other = x_BTCHW.clone()
    other[:, :, 2] = 7
    assert torch.equal(model(x_BTCHW), model(other))


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (2, 2), (3, 1)])
def test_padding_gives_n_over_stride_places_the_odd_one_behind(
    size: int, kernel: int, stride: int
) -> None:
    from vidclass.models.i3d import _same_padding

    shape = torch.Size((1, 1, size, size, size))
    before, behind = _same_padding(shape, (kernel,) * 3, (stride,) * 3)[:2]
    assert (size + before + behind - kernel) // stride + 1 == -(-size // stride)
    assert 0 <= behind - before <= 1


@pytest.mark.slow  # torchvision takes no smaller clips
def test_s3d_equals_torchvisions() -> None:
    from torchvision.models.video import s3d

    torch.manual_seed(0)
    wanted = s3d(num_classes=5).eval()
    model = create_model("s3d", 5, window_frames=14, input_size=224).eval()
    state = wanted.state_dict()
    dense = {f"classifier.{part}": state.pop(f"classifier.1.{part}") for part in ("weight", "bias")}
    dense["classifier.weight"] = dense["classifier.weight"].flatten(1)
    model.load_state_dict({**{f"trunk.{key}": state[key] for key in state}, **dense})
    x_BTCHW = torch.randn(1, 14, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(
            model(x_BTCHW), wanted(x_BTCHW.transpose(1, 2)), rtol=1e-5, atol=1e-5
        )
