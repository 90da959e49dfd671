import pytest
import torch
from torch import nn

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.training.optimizers import initialise

NETS = [
    ("mvit", {"version": "v1_b"}, "mvit_v1_b"),
    ("mvit", {"version": "v2_s"}, "mvit_v2_s"),
    ("swin3d", {"size": "t"}, "swin3d_t"),
    ("swin3d", {"size": "s"}, "swin3d_s"),
    ("swin3d", {"size": "b"}, "swin3d_b"),
]
SMALL_MVIT = {"window_frames": 4, "input_size": 32, "width": 0.08}


@pytest.mark.parametrize(("name", "options", "published"), NETS)
def test_keys_and_shapes_are_the_published_ones(
    name: str, options: dict[str, str], published: str
) -> None:
    from torchvision.models import get_model

    with torch.device("meta"):
        wanted = get_model(published).state_dict()
        got = create_model(name, 400, **options).get_submodule("trunk.net").state_dict()
    assert {key: got[key].shape for key in got} == {
        key: wanted[key].shape for key in wanted if not key.startswith("head.")
    }


@pytest.mark.parametrize(
    "published",
    [
        "swin3d_t",
        # torchvision builds these for their native clips alone
        pytest.param("mvit_v1_b", marks=pytest.mark.slow),
        pytest.param("mvit_v2_s", marks=pytest.mark.slow),
    ],
)
def test_logits_equal_those_of_torchvision(published: str) -> None:
    from torchvision.models import get_model

    name, options, _ = next(net for net in NETS if net[2] == published)
    frames, size = (4, 32) if name == "swin3d" else (16, 224)
    torch.manual_seed(0)
    wanted: nn.Module = get_model(published, num_classes=5).eval()
    model = create_model(name, 5, window_frames=frames, input_size=size, **options).eval()
    state = wanted.state_dict()
    model.get_submodule("trunk.net").load_state_dict(
        {key: state[key] for key in state if not key.startswith("head.")}
    )
    dense = "head.1." if name == "mvit" else "head."
    model.get_submodule("classifier").load_state_dict(
        {part: state[dense + part] for part in ("weight", "bias")}
    )
    x_BTCHW = torch.randn(1, frames, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(
            model(x_BTCHW), wanted(x_BTCHW.transpose(1, 2)), rtol=1e-5, atol=1e-5
        )


def test_a_training_draws_tables_of_places_anew() -> None:
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = create_model("mvit", 3, **SMALL_MVIT)
        torch.manual_seed(5)
        initialise(model, "glorot")
        states.append(model.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"window_frames": 5}, "an even window_frames"),
        ({"input_size": 30}, "that 4 divides"),
        ({"weights": "kinetics", "input_size": 112}, "window_frames: 16, input_size: 224"),
    ],
)
def test_clips_that_do_not_fit_are_refused(options: dict[str, object], remedy: str) -> None:
    with pytest.raises(UserErrors, match=remedy):
        create_model("mvit", 5, **options)
