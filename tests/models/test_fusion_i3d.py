from typing import Any

import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model, model_entry, validate_options
from vidclass.models.profile import profile

QUICK = {"width": 0.125, "input_size": 32, "window_frames": 10}


def clips(frames: int) -> torch.Tensor:
    return torch.randn(2, frames, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["i3d_single_frame", "i3d_late_fusion", "i3d_slow_fusion"])
def test_clips_are_by_default_those_of_i3d(name: str) -> None:
    options = validate_options(name, {})
    assert (options.input_size, options.window_frames) == (224, 64)


def test_a_single_frame_is_i3d_of_one_frame() -> None:
    model = create_model("i3d_single_frame", 3, **QUICK).eval()
    x_BTCHW = clips(1)
    trunk = model.towers.layers[0]
    torch.testing.assert_close(model(x_BTCHW), model.head(trunk(x_BTCHW.transpose(1, 2))))


def test_late_fusion_joins_both_halves() -> None:
    model = create_model("i3d_late_fusion", 3, **{**QUICK, "window_frames": 5}).eval()
    x_BTCHW = clips(5)
    trunk = model.towers.layers[0]
    halves = [trunk(part.transpose(1, 2)) for part in (x_BTCHW[:, :2], x_BTCHW[:, 3:])]
    torch.testing.assert_close(model(x_BTCHW), model.head(torch.stack(halves, dim=1)))


def test_slow_fusion_sees_overlapping_groups() -> None:
    model = create_model("i3d_slow_fusion", 3, **QUICK).eval()
    x_BTCHW = clips(10)
    trunk = model.towers.layers[0]
    groups = [trunk(x_BTCHW[:, t : t + 4].transpose(1, 2)) for t in (0, 2, 4, 6)]
    torch.testing.assert_close(model(x_BTCHW), model.head(torch.stack(groups, dim=1)))


@pytest.mark.parametrize(("window", "seen"), [(10, 10), (64, 60), (5, 5)])
def test_slow_fusion_sees_whole_steps(window: int, seen: int) -> None:
    options = validate_options("i3d_slow_fusion", {**QUICK, "window_frames": window})
    assert model_entry("i3d_slow_fusion").num_frames(options) == seen


@pytest.mark.parametrize(("name", "towers"), [("i3d_late_fusion", 2), ("i3d_slow_fusion", 4)])
def test_separate_towers_have_a_net_each(name: str, towers: int) -> None:
    shared, separate = (
        profile(name, 8, **QUICK, shared_towers=value).parameters for value in (True, False)
    )
    trunk = profile("i3d", 8, **QUICK).parameters - (128 + 1) * 8
    assert separate - shared == (towers - 1) * trunk


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("i3d_late_fusion", {"window_frames": 1}), ("i3d_slow_fusion", {"window_frames": 4})],
)
def test_short_windows_are_told(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserErrors, match="every group of frames has one at least"):
        validate_options(name, {**QUICK, **wrong})
