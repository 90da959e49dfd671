"""Augmentation and normalisation of batches."""

import pytest
import torch

from vidclass.data.transforms import Augment, BatchTransform
from vidclass.errors import UserError, UserErrors

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def batch(size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (6, 3, size, size, 3), dtype=torch.uint8, generator=generator)


def apply(augment: Augment, seed: int = 1, train: bool = True) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    transform = BatchTransform(augment=augment, **PLAIN)
    return transform(batch(), train=train, generator=generator).permute(0, 1, 3, 4, 2)


@pytest.mark.parametrize("mean", [(128.0, 128.0, 128.0), (124.0, 116.0, 104.0)])
def test_normalises_each_channel_and_keeps_channels_last_memory(mean):
    x_BTHWC = batch()
    x_BTCHW = BatchTransform(mean, (64.0, 64.0, 64.0))(x_BTHWC, train=False)
    expected = ((x_BTHWC.float() - torch.tensor(mean)) / 64).permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(x_BTCHW, expected)
    assert x_BTCHW[0].is_contiguous(memory_format=torch.channels_last)


def test_a_std_of_zero_is_refused():
    with pytest.raises(UserError, match="above 0"):
        BatchTransform((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))


def test_the_batch_that_came_in_is_left_as_it_was():
    x_BTHWC = batch()
    BatchTransform((128.0,) * 3, (64.0,) * 3)(x_BTHWC, train=True)
    assert torch.equal(x_BTHWC, batch())


def test_evaluation_never_augments():
    augment = Augment(torus_roll=True, flip=True, crop_padding=2)
    assert torch.equal(apply(augment, train=False), batch().float())


def test_torus_roll_moves_the_whole_batch_alike():
    rolled = apply(Augment(torus_roll=True))
    fits = [
        (y, x)
        for y in range(8)
        for x in range(8)
        if torch.equal(rolled, torch.roll(batch(), (y, x), (2, 3)).float())
    ]
    assert len(fits) == 1 and fits != [(0, 0)]


def test_flip_mirrors_whole_clips_and_not_all():
    flipped, x_BTHWC = apply(Augment(flip=True)), batch().float()
    mirrored = [torch.equal(flipped[b], x_BTHWC[b].flip(2)) for b in range(6)]
    kept = [torch.equal(flipped[b], x_BTHWC[b]) for b in range(6)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True)) and 0 < sum(mirrored) < 6


def test_crop_padding_shifts_each_clip_as_a_whole():
    shifted, x_BTHWC = apply(Augment(crop_padding=2)).to(torch.uint8), batch()
    padded = torch.nn.functional.pad(
        x_BTHWC.permute(0, 1, 4, 2, 3).flatten(0, 1).float(), (2, 2, 2, 2), mode="replicate"
    )
    padded = padded.unflatten(0, (6, 3)).permute(0, 1, 3, 4, 2).to(torch.uint8)
    shifts = []
    for b in range(6):
        fits = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if torch.equal(shifted[b], padded[b, :, y : y + 8, x : x + 8])
        ]
        assert len(fits) == 1
        shifts += fits
    assert len(set(shifts)) > 1


def test_the_generator_fixes_what_is_drawn():
    augment = Augment(torus_roll=True, flip=True, crop_padding=2)
    assert torch.equal(apply(augment, seed=3), apply(augment, seed=3))
    assert not torch.equal(apply(augment, seed=3), apply(augment, seed=4))


CLASSES = ("left", "right", "rest")
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def train(augment: Augment, seed: int = 1, y: torch.Tensor = LABELS):
    generator = torch.Generator().manual_seed(seed)
    transform = BatchTransform(augment=augment, classes=CLASSES, **PLAIN)
    x_BTCHW, changed = transform.training(batch(), y, generator)
    return x_BTCHW.permute(0, 1, 3, 4, 2), changed


def test_training_without_augmentation_leaves_clips_and_labels():
    x_BTHWC, y_B = train(Augment())
    assert torch.equal(x_BTHWC, batch().float()) and y_B is LABELS


def test_training_draws_what_a_call_draws():
    augment = Augment(torus_roll=True, flip=True, crop_padding=2, rotation_degrees=10)
    assert torch.equal(train(augment)[0], apply(augment))


def test_a_mirrored_clip_of_a_pair_gets_the_label_of_the_other():
    flipped, y_B = train(Augment(flip=True, flip_pairs=(("left", "right"),)))
    seen = set()
    for clip in range(6):
        mirrored = torch.equal(flipped[clip], batch().float()[clip].flip(2))
        exchanged = {0: 1, 1: 0, 2: 2}[int(LABELS[clip])]
        assert int(y_B[clip]) == (exchanged if mirrored else int(LABELS[clip]))
        seen.add(mirrored)
    assert seen == {True, False}


def test_only_named_classes_are_reversed():
    augment = Augment(reverse_pairs=(("left", "right"),))
    seen = set()
    for seed in range(8):
        turned, y_B = train(augment, seed)
        for clip in range(6):
            backwards = torch.equal(turned[clip], batch().float()[clip].flip(0))
            label = int(LABELS[clip])
            assert int(y_B[clip]) == ({0: 1, 1: 0}.get(label, label) if backwards else label)
            assert not (backwards and label == 2)
            seen.add((label, backwards))
    assert {(0, True), (0, False), (1, True), (2, False)} <= seen


def test_mixing_gives_shares_of_classes():
    x_BTHWC, target_BK = train(Augment(mixup_alpha=0.4))
    assert target_BK.shape == (6, 3) and target_BK.dtype == torch.float32
    assert not torch.equal(x_BTHWC, batch().float())


def test_augmentation_that_changes_labels_is_not_made_without_them():
    with pytest.raises(AssertionError, match="training"):
        apply(Augment(mixup_alpha=0.4))


def test_a_pair_of_an_unknown_class_is_refused():
    with pytest.raises(UserErrors, match="up"):
        BatchTransform(augment=Augment(reverse_pairs=(("up", "left"),)), classes=CLASSES, **PLAIN)
