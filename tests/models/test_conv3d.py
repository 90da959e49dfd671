import pytest
import torch

from vidclass.errors import UserErrors
from vidclass.models import create_model
from vidclass.models.profile import profile


def num_parameters(model: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("num_classes", [7, 101])
def test_counts_are_the_logged_ones(num_classes: int) -> None:
    with torch.device("meta"):
        large = create_model("c3d", num_classes)
        small = create_model("c3d_small", num_classes)
    assert num_parameters(large) == 77_995_776 + 4_097 * num_classes
    assert num_parameters(small) == 7_834_247 + 129 * (num_classes - 7)


@pytest.mark.parametrize(
    ("name", "frames", "pixels"),
    [
        ("c3d", 16, 16),
        ("c3d", 16, 47),
        ("c3d", 33, 64),
        ("c3d_small", 11, 54),
        ("c3d_small", 12, 97),
    ],
)
def test_any_clip_that_leaves_a_place_fits(name: str, frames: int, pixels: int) -> None:
    options = {"window_frames": frames, "input_size": pixels, "width": 0.05}
    with torch.device("meta"):
        logits_BK = create_model(name, 5, **options)(torch.empty(2, frames, 3, pixels, pixels))
    assert logits_BK.shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "options", "remedy"),
    [
        ("c3d", {"window_frames": 15}, "window_frames 16 or more"),
        ("c3d", {"input_size": 15}, "input_size 16 or more"),
        ("c3d_small", {"window_frames": 10}, "window_frames 11 or more"),
        ("c3d_small", {"input_size": 53}, "input_size 54 or more"),
    ],
)
def test_clips_that_are_too_small_are_refused(
    name: str, options: dict[str, int], remedy: str
) -> None:
    with pytest.raises(UserErrors, match=remedy):
        create_model(name, 5, **options)


def test_the_small_one_keeps_all_frames_in_its_pools() -> None:
    # 16 frames lose 2 to each 3x3x3 and 1 to each 2x2x2, none to a pool.
    places = (16 - 4 * 2 - 2 * 1) * 4 * 4
    with torch.device("meta"):
        model = create_model("c3d_small", 7)
    assert model.get_submodule("trunk.17").in_features == 256 * places


def test_cost_is_the_published_one() -> None:
    assert profile("c3d", 487).gmacs == pytest.approx(38.5, abs=0.1)  # as papers print it
