from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name

from tests.sweep.noise_study import make_store
from vidclass.data.augment import Augment
from vidclass.data.frame_store import FrameStore
from vidclass.data.motion import NO_MOTION, Input, motion_frames, optical_flow, prepare_motion
from vidclass.data.transforms import BatchTransform

SIDE = 64


def texture(seed: int = 0, side: int = SIDE + 40) -> npt.NDArray[np.float32]:
    """A picture of noise, coarse and fine as natural ones are, 0 to 255."""
    torch.manual_seed(seed)
    fine = torch.zeros(side, side)
    for cell in (4, 8, 16, 32):
        coarse = cell * torch.rand(1, 1, side // cell + 1, side // cell + 1)
        fine += F.interpolate(coarse, size=(side, side), mode="bicubic")[0, 0]
    return (255 * (fine - fine.min()) / (fine.max() - fine.min())).numpy()


def shifted(picture: npt.NDArray[np.float32], right: float, down: float) -> torch.Tensor:
    """Return the middle of a picture whose content has moved."""
    side = picture.shape[0]
    grid = torch.arange(SIDE, dtype=torch.float32) + (side - SIDE) / 2
    rows, columns = torch.meshgrid(grid - down, grid - right, indexing="ij")
    places = torch.stack([(2 * columns + 1) / side - 1, (2 * rows + 1) / side - 1], dim=2)
    image = torch.from_numpy(picture)[None, None]
    return F.grid_sample(image, places[None], align_corners=False)[0, 0]


@pytest.mark.parametrize(
    ("right", "down", "off"),
    [
        (0.0, 0.0, 0.001),
        (1.0, 0.0, 0.05),
        (2.5, -1.3, 0.1),
        (-6.0, 4.0, 0.3),  # a tenth of the picture is new
        (0.3, 8.0, 0.3),
    ],
)
def test_flow_finds_how_far_a_texture_moved(right: float, down: float, off: float) -> None:
    picture = texture()
    flow_2HW = optical_flow(shifted(picture, 0, 0)[None], shifted(picture, right, down)[None])[0]
    inside = flow_2HW[:, 12:-12, 12:-12]
    error = (inside - torch.tensor([right, down])[:, None, None]).norm(dim=0)
    assert float(error.mean()) < off and float(error.quantile(0.95)) < 4 * off


def frames_of(right: float, count: int = 4) -> npt.NDArray[np.uint8]:
    picture = texture()
    grey = torch.stack([shifted(picture, n * right, 0) for n in range(count)])
    return grey.round().clamp(0, 255).byte().numpy()[..., None].repeat(3, axis=3)


def test_flow_pictures_say_pixels_and_their_sign() -> None:
    pictures = motion_frames(frames_of(3.0), "flow")[:, 16:-16, 16:-16].astype(float)
    assert abs(pictures[..., 0].mean() - (NO_MOTION + 3 * 127 / 20)) < 1.5
    assert abs(pictures[..., 1].mean() - NO_MOTION) < 1.0
    assert abs(pictures[..., 2].mean() - (NO_MOTION + 3 * 127 / 20)) < 1.5


@pytest.mark.parametrize("what", ["difference", "flow"])
@pytest.mark.parametrize("count", [1, 2, 33, 70])
def test_what_stands_still_shows_nothing(what: Input, count: int) -> None:
    still = frames_of(0.0, 1).repeat(count, axis=0)
    assert (motion_frames(still, what) == NO_MOTION).all()


def test_differences_are_those_of_neighbours_and_cut_at_the_ends() -> None:
    frames = np.zeros((4, 1, 1, 3), dtype=np.uint8)
    frames[:, 0, 0, 0] = [10, 30, 25, 255]
    shown = motion_frames(frames, "difference")[:, 0, 0, 0]
    assert shown.tolist() == [148, 148, 123, 255]
    # Stretches of a long video join without a seam.
    long = np.random.default_rng(0).integers(0, 256, (75, 2, 2, 3), dtype=np.uint8)
    changed = np.clip(np.diff(long.astype(int), axis=0), -127, 127) + NO_MOTION
    np.testing.assert_array_equal(motion_frames(long, "difference")[1:], changed)


@pytest.mark.parametrize("what", ["difference", "flow"])
def test_the_store_of_motion_holds_each_video_and_goes_on_after_a_crash(
    tmp_path: Path, what: Input
) -> None:
    make_store(tmp_path / "frames")
    frames = FrameStore.open(tmp_path / "frames")
    made = prepare_motion(frames, tmp_path, what)
    assert made.path != frames.path and made.about["input"] == what
    for video_id in ("00.mp4", "23.mp4"):
        stored = np.asarray(frames.frames(video_id))
        np.testing.assert_array_equal(made.frames(video_id), motion_frames(stored, what))
    assert prepare_motion(frames, tmp_path, "rgb") is frames

    before = {path.name: path.read_bytes() for path in made.path.glob("*.rgb")}
    (made.path / "store.json").unlink()
    torn = next(iter(made.path.glob("*.rgb")))
    torn.write_bytes(b"")
    again = prepare_motion(frames, tmp_path, what)
    assert {path.name: path.read_bytes() for path in again.path.glob("*.rgb")} == before


def test_a_mirrored_flow_runs_the_other_way() -> None:
    clips = torch.from_numpy(motion_frames(frames_of(3.0), "flow"))[None]
    transform = BatchTransform((0, 0, 0), (1, 1, 1), Augment(flip=True), shows="flow")
    drawn = [
        transform(clips, train=True, generator=torch.Generator().manual_seed(seed))
        for seed in range(8)
    ]
    means = {round(float(x_BTCHW[:, :, 0].mean())) for x_BTCHW in drawn}
    plain = round(float(clips[..., 0].float().mean()))
    assert means == {plain, 2 * NO_MOTION - plain}
