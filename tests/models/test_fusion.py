from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vidclass.data.sampling import FramePositions
from vidclass.errors import UserError, UserErrors
from vidclass.models import create_model, model_entry, validate_options
from vidclass.models.fusion import SlowFusion, StackedFusion, join_frames, spread_positions
from vidclass.models.profile import counted_as_keras

SMALL = {"width": 0.125, "input_size": 32}
NUM_LRN = {"single_frame": 2, "early_fusion": 2, "late_fusion": 4, "slow_fusion": 6}


def clips(num_frames: int, batch: int = 3, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, num_frames, size, size, 3, generator=generator).permute(0, 1, 4, 2, 3)


@pytest.mark.parametrize(
    ("name", "norm", "logged"),
    [
        ("single_frame", "batch", 25_142_117),
        ("single_frame", "lrn_framework", 25_140_711),
        ("early_fusion", "batch", 25_455_749),
        ("early_fusion", "lrn_framework", 25_454_343),
        ("late_fusion", "batch", 33_085_029),
        ("late_fusion", "lrn_framework", 33_082_217),
        ("slow_fusion", "batch", 28_395_493),
        ("slow_fusion", "lrn_framework", 28_391_915),
    ],
)
def test_parameter_counts_equal_the_logged_ones(name: str, norm: str, logged: int) -> None:
    separate = {"shared_towers": False} if name in ("late_fusion", "slow_fusion") else {}
    with torch.device("meta"):
        model = create_model(name, 101, input_size=170, norm=norm, **separate)
    # The ancestor's framework counts one constant in each local response norm.
    constants = NUM_LRN[name] if norm == "lrn_framework" else 0
    assert counted_as_keras(model) + constants == logged


@pytest.mark.parametrize(
    ("name", "count"), [("late_fusion", 29_336_421), ("slow_fusion", 26_745_797)]
)
def test_shared_towers_have_the_stated_counts(name: str, count: int) -> None:
    with torch.device("meta"):
        assert counted_as_keras(create_model(name, 101)) == count


@pytest.mark.parametrize(
    ("name", "options", "indices"),
    [
        ("single_frame", {}, (5,)),
        ("single_frame", {"frame": "first"}, (0,)),
        ("single_frame", {"frame": "fixed", "frame_index": 7}, (7,)),
        ("early_fusion", {}, tuple(range(10))),
        ("late_fusion", {}, (3, 7)),
        ("late_fusion", {"frame_distance": 9}, (0, 9)),
        ("late_fusion", {"frame_distance": 1}, (4, 5)),
        ("slow_fusion", {}, tuple(range(10))),
        ("slow_fusion", {"window_frames": 19}, tuple(range(0, 19, 2))),
        ("average_fusion", {}, (0, 3, 6, 9)),
        ("average_fusion", {"num_frames": 2}, (0, 9)),
    ],
)
def test_arms_see_their_frames(
    name: str, options: dict[str, Any], indices: tuple[int, ...]
) -> None:
    checked = validate_options(name, options)
    positions = model_entry(name).frame_positions(checked.window_frames, checked)
    assert positions == FramePositions(indices)


def test_random_frame_is_left_to_the_sampler() -> None:
    checked = validate_options("single_frame", {"frame": "random"})
    positions = model_entry("single_frame").frame_positions(10, checked)
    assert positions.random and positions.num_frames == 1


@pytest.mark.parametrize("num_frames", range(2, 8))
@pytest.mark.parametrize("window_frames", range(8, 14))
def test_spread_positions_reach_both_ends_evenly(num_frames: int, window_frames: int) -> None:
    indices = spread_positions(num_frames, window_frames).indices
    steps = {after - before for before, after in zip(indices, indices[1:], strict=False)}
    assert (indices[0], indices[-1]) == (0, window_frames - 1)
    assert max(steps) - min(steps) <= 1


def test_join_frames_stacks_neighbours_on_the_channels() -> None:
    x_BTCHW = clips(10, batch=2, size=4)
    joined_bCHW = join_frames(x_BTCHW, span=4, stride=2)
    assert joined_bCHW.shape == (8, 12, 4, 4)
    assert joined_bCHW.is_contiguous(memory_format=torch.channels_last)
    for clip in range(2):
        for tower in range(4):
            frames = x_BTCHW[clip, 2 * tower : 2 * tower + 4]
            assert torch.equal(joined_bCHW[4 * clip + tower], frames.flatten(0, 1))


def test_early_fusion_equals_a_3d_convolution_over_all_frames() -> None:
    model = create_model("early_fusion", 5, norm="none", **SMALL)
    assert isinstance(model, StackedFusion)
    conv = model.get_submodule("trunk.0.0")
    assert isinstance(conv, nn.Conv2d)
    x_BTCHW = clips(10)
    weight = conv.weight.unflatten(1, (10, 3)).transpose(1, 2)
    wanted = F.conv3d(x_BTCHW.transpose(1, 2), weight, conv.bias, (1, 2, 2), (0, 2, 2)).squeeze(2)
    got = conv(join_frames(x_BTCHW, span=10, stride=10))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["late_fusion", "slow_fusion"])
def test_separate_towers_with_equal_weights_equal_shared_ones(name: str) -> None:
    shared = create_model(name, 5, **SMALL).eval()
    separate = create_model(name, 5, shared_towers=False, **SMALL).eval()
    state = shared.state_dict()
    twins = {key: key.split(".layers.") for key in separate.state_dict()}
    separate.load_state_dict(
        {
            key: state[
                key if len(parts) == 1 else f"{parts[0]}.layers.0.{parts[1].split('.', 1)[1]}"
            ]
            for key, parts in twins.items()
        }
    )
    x_BTCHW = clips(2 if name == "late_fusion" else 10)
    torch.testing.assert_close(separate(x_BTCHW), shared(x_BTCHW), rtol=1e-4, atol=1e-5)


def test_slow_fusion_joins_four_towers_to_two_to_one() -> None:
    model = create_model("slow_fusion", 5, **SMALL).eval()
    assert isinstance(model, SlowFusion)
    sizes: list[tuple[int, ...]] = []
    for part in (model.conv1, model.conv2, model.trunk):
        part.register_forward_hook(lambda module, inputs, out: sizes.append(tuple(out.shape)))
    model(clips(10))
    assert sizes == [(3, 4, 16, 8, 8), (3, 2, 32, 4, 4), (3, 32, 2, 2)]


def test_average_fusion_is_blind_to_order() -> None:
    model = create_model("average_fusion", 5, **SMALL).eval()
    x_BTCHW = clips(4)
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        torch.testing.assert_close(model(x_BTCHW[:, order]), model(x_BTCHW), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "num_frames"), [("early_fusion", 10), ("slow_fusion", 10)])
def test_fusion_in_time_sees_the_order(name: str, num_frames: int) -> None:
    torch.manual_seed(0)
    model = create_model(name, 5, **SMALL).eval()
    x_BTCHW = clips(num_frames)
    assert (model(x_BTCHW.flip(1)) - model(x_BTCHW)).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["single_frame", "early_fusion", "late_fusion", "slow_fusion"])
def test_memory_layout_does_not_change_the_logits(name: str) -> None:
    model = create_model(name, 5, **SMALL).eval()
    checked = validate_options(name, SMALL)
    x_BTCHW = clips(model_entry(name).num_frames(checked))
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.testing.assert_close(model(x_BTCHW.contiguous()), model(x_BTCHW), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "received", "remedy"),
    [
        ("single_frame", {"input_size": 14}, "input_size 14", "15 or more"),
        ("single_frame", {"frame": "fixed"}, "frame_index None", "both, or neither"),
        ("single_frame", {"frame_index": 3}, "frame centre", "both, or neither"),
        ("single_frame", {"frame": "fixed", "frame_index": 10}, "10", "0 to 9"),
        ("late_fusion", {"frame_distance": 10}, "frame_distance 10", "below 10"),
        ("slow_fusion", {"window_frames": 9}, "window_frames 9", "10 frames or more"),
        ("average_fusion", {"num_frames": 11}, "num_frames 11", "up to 10"),
    ],
)
def test_options_that_cannot_work_are_refused(
    name: str, options: dict[str, Any], received: str, remedy: str
) -> None:
    with pytest.raises(UserErrors) as told:
        create_model(name, 5, **options)
    (error,) = told.value.errors
    assert received in str(error.received) and remedy in error.remedy


def test_clips_of_another_shape_are_refused_by_shape() -> None:
    model = create_model("slow_fusion", 5, **SMALL)
    with pytest.raises(UserError, match=r"\[3, 9, 3, 32, 32\].*\[batch, 10, 3, 32, 32\]"):
        model(clips(9))
