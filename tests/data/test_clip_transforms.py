"""torchvision's augmentations: the same over a clip, another for each clip, and repeatable."""

import pytest
import torch

from vidclass.data.augment import Augment
from vidclass.data.clip_transforms import clip_transform, transform_clips

SIZE = 24
STRENGTHS = {
    "resized_crop": {"resized_crop": 0.3},
    "vertical_flip": {"vertical_flip": True},
    "shift": {"shift": 0.3},
    "rotation": {"rotation_degrees": 40},
    "shear": {"shear_degrees": 20},
    "zoom": {"zoom": 0.5},
    "brightness": {"brightness": 0.6},
    "contrast": {"contrast": 0.6},
    "saturation": {"saturation": 0.9},
    "hue": {"hue": 0.4},
    "randaugment": {"randaugment_ops": 3, "randaugment_magnitude": 15},
    "erasing": {"erasing": 1.0},
    "all": {
        "resized_crop": 0.4,
        "vertical_flip": True,
        "shift": 0.1,
        "rotation_degrees": 10,
        "brightness": 0.2,
        "hue": 0.1,
        "randaugment_ops": 1,
        "erasing": 0.5,
    },
}
every_strength = pytest.mark.parametrize("fields", STRENGTHS.values(), ids=STRENGTHS.keys())


def still_clips(num_clips: int = 12) -> torch.Tensor:
    """Clips of which each shows one picture all the time."""
    generator = torch.Generator().manual_seed(0)
    small = torch.randint(0, 256, (num_clips, 1, 6, 6, 3), generator=generator, dtype=torch.uint8)
    picture = small.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    return picture.expand(-1, 5, -1, -1, -1).contiguous()


def changed(fields: dict, seed: int = 1, x_BTHWC: torch.Tensor | None = None) -> torch.Tensor:
    transform = clip_transform(Augment(**fields), SIZE)
    assert transform is not None
    clips = still_clips() if x_BTHWC is None else x_BTHWC
    generator = torch.Generator().manual_seed(seed)
    return transform_clips(
        clips, transform, torch.randint(2**62, (len(clips),), generator=generator).tolist()
    )


@every_strength
def test_all_frames_of_a_clip_are_changed_alike(fields):
    y_BTHWC = changed(fields)
    assert y_BTHWC.dtype == torch.uint8 and y_BTHWC.shape == still_clips().shape
    assert torch.equal(y_BTHWC, y_BTHWC[:, :1].expand_as(y_BTHWC))


@every_strength
def test_each_clip_is_changed_in_its_own_way(fields):
    same = still_clips()[:1].expand(12, -1, -1, -1, -1)
    y_BTHWC = changed(fields, x_BTHWC=same)
    assert len({clip.numpy().tobytes() for clip in y_BTHWC}) > 1
    assert not torch.equal(y_BTHWC, same)


@every_strength
def test_the_generator_alone_decides(fields):
    torch.manual_seed(5)
    first = changed(fields)
    state = torch.get_rng_state()
    torch.rand(3)
    assert torch.equal(first, changed(fields))
    assert not torch.equal(first, changed(fields, seed=2))
    torch.set_rng_state(state)
    changed(fields)
    assert torch.equal(torch.get_rng_state(), state)  # dropout draws what it would have drawn


@every_strength
def test_a_clip_is_changed_alike_beside_other_clips(fields):
    x_BTHWC = still_clips()
    few = changed(fields, x_BTHWC=x_BTHWC[:4])
    assert torch.equal(few, changed(fields)[:4])


def test_what_is_at_its_default_makes_no_transform():
    assert clip_transform(Augment(flip=True, crop_padding=3, mixup_alpha=1.0), SIZE) is None


def test_rotation_fills_with_grey_and_leaves_the_middle():
    white = torch.full((20, 2, SIZE, SIZE, 3), 255, dtype=torch.uint8)
    turned = changed({"rotation_degrees": 45}, x_BTHWC=white)
    assert (turned[:, :, 10:14, 10:14] == 255).all()
    corners = turned[:, :, 0, 0].float().mean(dim=(1, 2))
    assert corners.min() < 140


def test_erasing_takes_a_part_of_the_area_in_all_frames():
    white = torch.full((50, 3, SIZE, SIZE, 3), 255, dtype=torch.uint8)
    share_BT = (changed({"erasing": 1.0}, x_BTHWC=white)[..., 0] == 128).float().mean(dim=(2, 3))
    assert (share_BT == share_BT[:, :1]).all()
    assert share_BT.min() > 0.005 and share_BT.max() < 0.4


def test_randaugment_keeps_what_tells_a_dark_frame_from_a_bright_one():
    """AutoContrast and Equalize would make both the same picture."""
    dark_HWC = 50 + still_clips(1)[0, 0] // 5
    clip_THWC = torch.stack([dark_HWC, dark_HWC + 100])
    many = clip_THWC.expand(150, -1, -1, -1, -1).contiguous()
    y_BTHWC = changed({"randaugment_ops": 1}, x_BTHWC=many).float()
    differ_B = (y_BTHWC[:, 0] - y_BTHWC[:, 1]).abs().mean(dim=(1, 2, 3))
    assert (differ_B > 1).all()
