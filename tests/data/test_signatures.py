"""What a video looks like: small pictures on a grid in time, and perceptual hashes."""

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vidclass.data.signatures import (
    FEWEST,
    HASH_SIDE,
    MOST,
    grid_frames,
    perceptual_hash,
    signature_of,
    small_pictures,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_hash_is_that_of_the_package_imagehash(seed: int, side: int) -> None:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (3, 1 + 32 // side, 1 + 32 // side), dtype=np.uint8)
    pictures = coarse.repeat(side, axis=1).repeat(side, axis=2)[:, :HASH_SIDE, :HASH_SIDE]
    ours = perceptual_hash(pictures)
    for picture, found in zip(pictures, ours, strict=True):
        assert f"{found:016x}" == str(imagehash.phash(Image.fromarray(picture)))


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 300_000), st.floats(1.0, 240.0))
def test_the_grid_lies_in_the_video_and_has_a_bounded_size(num_frames: int, fps: float) -> None:
    frames, step_s = grid_frames(num_frames, fps)
    assert frames[0] == 0 and frames[-1] < num_frames
    assert (np.diff(frames) > 0).all()
    assert len(frames) <= MOST
    assert len(frames) >= min(num_frames, FEWEST) / 2
    assert np.log2(step_s / 0.25).is_integer()


@pytest.mark.parametrize("fps", [10.0, 25.0, 30.0, 60.0])
def test_the_same_moments_are_seen_at_every_frame_rate(fps: float) -> None:
    frames, step_s = grid_frames(round(4 * fps), fps)
    assert step_s == 0.25
    assert np.abs(frames / fps - 0.25 * np.arange(16)).max() <= 0.5 / fps + 1e-9


def test_small_pictures_are_means_of_what_they_cover() -> None:
    frames = np.zeros((2, 64, 96, 3), dtype=np.uint8)
    frames[1, :32] = 200
    pictures = small_pictures(frames)
    assert pictures.shape == (2, 32, 32) and not pictures[0].any()
    assert (pictures[1, :16] == 200).all() and not pictures[1, 16:].any()


def test_what_stands_still_is_hashed_as_it_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32), dtype=np.uint8)
    still = signature_of(picture.repeat(8, axis=0), 0.25)
    assert not still.moves and (still.hash_F == perceptual_hash(picture)[0]).all()
    moving = signature_of(np.stack([np.roll(picture[0], 4 * k, axis=1) for k in range(8)]), 0.25)
    assert moving.moves and len(set(moving.hash_F.tolist())) == 8
