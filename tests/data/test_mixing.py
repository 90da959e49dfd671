"""MixUp and CutMix: shares of pixels are shares of labels."""

import numpy as np
import pytest
import torch

from vidclass.data.mixing import mix, soft_targets

NUM_CLIPS = 16


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of one grey each, which is also their class."""
    y_B = torch.arange(NUM_CLIPS)
    x_BTHWC = y_B.float()[:, None, None, None, None].expand(-1, 3, 40, 30, 3).contiguous()
    return x_BTHWC, soft_targets(y_B, NUM_CLIPS)


def mixed(seed: int = 0, **alphas: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    options = {"mixup_alpha": 0.0, "cutmix_alpha": 0.0, **alphas}
    return mix(*batch(), **options, generator=generator)


ALPHAS = [
    {"mixup_alpha": 0.4},
    {"cutmix_alpha": 1.0},
    {"mixup_alpha": 0.4, "cutmix_alpha": 1.0},
]


@pytest.mark.parametrize("alphas", ALPHAS)
def test_the_labels_share_as_the_pixels_do(alphas):
    x_BTHWC, target_BK = mixed(**alphas)
    torch.testing.assert_close(target_BK.sum(dim=1), torch.ones(NUM_CLIPS))
    expected_B = (target_BK * torch.arange(NUM_CLIPS)).sum(dim=1)
    torch.testing.assert_close(x_BTHWC.mean(dim=(1, 2, 3, 4)), expected_B)
    assert (x_BTHWC == x_BTHWC[:, :1]).all()  # the same in all frames
    assert len({round(float(share), 4) for share in target_BK.max(dim=1).values}) > 4


@pytest.mark.parametrize("alphas", ALPHAS)
def test_the_generator_alone_decides(alphas):
    first, again, other = mixed(**alphas), mixed(**alphas), mixed(seed=1, **alphas)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_cutmix_pastes_one_rectangle():
    x_BTHWC, target_BK = mixed(cutmix_alpha=1.0)
    for clip in range(NUM_CLIPS):
        foreign = (x_BTHWC[clip, 0, :, :, 0] != clip).numpy()
        rows, columns = np.flatnonzero(foreign.any(axis=1)), np.flatnonzero(foreign.any(axis=0))
        assert foreign.sum() == len(rows) * len(columns)
        assert len(np.unique(x_BTHWC[clip, 0].numpy())) <= 2
        assert float(target_BK[clip, clip]) == pytest.approx(1 - foreign.mean(), abs=1e-5)


def test_mixup_blends_all_pixels_alike():
    x_BTHWC, _ = mixed(mixup_alpha=0.4)
    assert all(len(np.unique(clip.numpy())) == 1 for clip in x_BTHWC)


def test_both_give_each_clip_one_of_the_two():
    x_BTHWC, _ = mixed(mixup_alpha=1.0, cutmix_alpha=1.0)
    kinds = {len(np.unique(clip.numpy())) for clip in x_BTHWC}
    assert kinds == {1, 2}


def test_several_labels_stay_shares():
    y_BK = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    generator = torch.Generator().manual_seed(3)
    x_BTHWC = torch.zeros(2, 1, 8, 8, 3)
    _, target_BK = mix(x_BTHWC, y_BK, mixup_alpha=1.0, cutmix_alpha=0.0, generator=generator)
    assert (target_BK[:, 0] == target_BK[:, 1]).all() and (target_BK[:, 2] == 0).all()
    assert soft_targets(y_BK, 3) is y_BK
