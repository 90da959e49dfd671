from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from vidclass.data.synthetic import PRESETS
from vidclass.data.synthetic_render import (
    MOTIONS,
    SHAPES,
    clip_generator,
    draw_scene,
    render_frames,
    trajectory,
    twin_opacity,
)

DEFAULT = PRESETS["default"]
CLEAN = replace(DEFAULT, noise_sd=0.0, texture_sd=0.0)
CLIPS_A_CLASS = 200
# All p-values of this file are compared with this: 10 tests of fixed seeds, so that a false alarm
# has a chance of 1 in 100, and none at all once it has passed.
ALARM = 0.001


def clean_clip(motion: str, seed: int = 0, **scene_fields: object) -> np.ndarray:
    """Frames without noise and distractors, float ``[T, H, W]``, the shape's own light only."""
    scene = replace(draw_scene(CLEAN, clip_generator(CLEAN, seed, 0)), **scene_fields)
    scene = replace(scene, discs=np.empty((0, 4)), colours=scene.background + [[40.0], [80.0]])
    frames = render_frames(CLEAN, scene, trajectory(CLEAN, scene, motion))
    return frames.mean(axis=3) - scene.background.mean()


@pytest.mark.parametrize(
    ("motion", "shift_yx"),
    [("left", (0, -2)), ("right", (0, 2)), ("up", (-2, 0)), ("down", (2, 0))],
)
def test_translation_goes_where_its_name_says(motion, shift_yx):
    frames = clean_clip(motion, rate=2 / 32)  # two pixels a frame
    for before, after in zip(frames[:-1], frames[1:], strict=True):
        product = np.fft.fft2(after) * np.conj(np.fft.fft2(before))
        correlation = np.fft.ifft2(product / (np.abs(product) + 1e-6)).real
        peak = np.unravel_index(correlation.argmax(), correlation.shape)
        assert peak == (shift_yx[0] % 32, shift_yx[1] % 32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("motion", "quarter_turns"), [("clockwise", -1), ("anticlockwise", 1)])
def test_turning_goes_where_its_name_says(motion, quarter_turns, shape):
    start = np.array([15.5 / 32, 15.5 / 32, 0.1, 0.4])  # in the middle between four pixels
    frames = clean_clip(motion, shape=shape, start=start, rate=1 / 16)
    turned = np.rot90(frames[0], quarter_turns)  # numpy turns anticlockwise
    # After four frames of a sixteenth of a turn; grey levels were rounded once in each.
    assert np.abs(frames[4] - turned).max() <= 1.0
    assert np.abs(frames[4] - np.rot90(frames[0], -quarter_turns)).mean() > 1.0


@pytest.mark.parametrize(("motion", "sign"), [("grow", 1), ("shrink", -1)])
def test_size_goes_where_its_name_says(motion, sign):
    start = np.array([0.5, 0.5, 0.1, 0.25 if motion == "grow" else 0.75])  # no wrap in 4 frames
    scene = draw_scene(CLEAN, clip_generator(CLEAN, 0, 0))
    path = trajectory(CLEAN, replace(scene, start=start, rate=0.08), motion)
    steps = np.diff(path.size_T[:4])
    assert np.allclose(steps, sign * 0.08 * CLEAN.size_span)
    # The first copy is brighter than none: it alone is drawn when its twin fades out.
    seen = clean_clip(motion, start=start, rate=0.08) > 20
    radii = np.sqrt(seen[:4].sum(axis=(1, 2)))
    assert (np.diff(radii) * sign > 0).mean() > 0.5


def test_no_shape_looks_the_same_after_a_turn_or_in_a_mirror():
    start = np.array([0.5, 0.5, 0.0, 0.999])  # the second copy alone, at 6 pixels
    for shape in SHAPES:
        scene = replace(draw_scene(CLEAN, clip_generator(CLEAN, 0, 0)), shape=shape, start=start)
        many = replace(CLEAN, num_frames=360)
        scene = replace(
            scene, rate=1 / 360, discs=np.empty((0, 4)), noise_THW=np.zeros((360, 32, 32))
        )
        scene = replace(scene, colours=scene.background + [[60.0], [60.0]])
        frames = render_frames(many, scene, trajectory(many, scene, "clockwise")).astype(float)
        area = np.abs(frames[0] - scene.background).sum()
        mirrored = np.roll(frames[0][:, ::-1], 1, axis=1)  # around pixel 16
        for other, angles in ((frames[0], range(20, 341)), (mirrored, range(360))):
            changed = np.array([np.abs(frames[angle] - other).sum() for angle in angles])
            assert changed.min() > 0.1 * area, shape


def test_copies_swap_places_half_a_range_apart():
    span = DEFAULT.size_span
    scene = draw_scene(CLEAN, clip_generator(CLEAN, 3, 0))
    swapped = replace(
        scene, start=(scene.start + [0, 0, 0, 0.5]) % 1.0, colours=scene.colours[::-1].copy()
    )
    for motion in ("grow", "shrink"):
        first = render_frames(CLEAN, scene, trajectory(CLEAN, scene, motion))
        second = render_frames(CLEAN, swapped, trajectory(CLEAN, swapped, motion))
        np.testing.assert_array_equal(first, second)
    assert twin_opacity(np.array([0.0, span / 2, span]), span).tolist() == [0.0, 1.0, 0.0]


def test_shrink_is_grow_backwards():
    scene = draw_scene(CLEAN, clip_generator(CLEAN, 5, 0))
    grown = trajectory(CLEAN, scene, "grow")
    end = (scene.start + [0, 0, 0, (CLEAN.num_frames - 1) * scene.rate]) % 1.0
    shrunk = trajectory(CLEAN, replace(scene, start=end), "shrink")
    np.testing.assert_array_equal(
        render_frames(CLEAN, scene, grown),
        render_frames(CLEAN, replace(scene, start=end), shrunk)[::-1],
    )


def test_size_jumps_nowhere():
    """Going around the end of the range changes no frame more than any other step does."""
    scene = draw_scene(CLEAN, clip_generator(CLEAN, 1, 0))
    scene = replace(scene, start=np.array([0.5, 0.5, 0.1, 0.5]), rate=0.01)
    many = replace(CLEAN, num_frames=100)
    scene = replace(scene, noise_THW=np.zeros((100, 32, 32), dtype=np.float32))
    frames = render_frames(many, scene, trajectory(many, scene, "grow")).astype(float)
    steps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    # At frame 50 the first copy, grown beyond its range, begins again at the smallest. Without the
    # fading all its light would go at once, 25 times as much as a step of the fading takes.
    assert steps[48:52].max() <= 2 * steps[30:48].max()


@pytest.fixture(scope="module")
def paths() -> dict[str, list]:
    """Trajectories of 1,600 clips by class, with the pixels of each clip's frames 0 and 9."""
    by_class: dict[str, list] = {motion: [] for motion in MOTIONS}
    for index in range(CLIPS_A_CLASS * len(MOTIONS)):
        motion = MOTIONS[index % len(MOTIONS)]
        scene = draw_scene(DEFAULT, clip_generator(DEFAULT, 0, index))
        path = trajectory(DEFAULT, scene, motion)
        frames = render_frames(DEFAULT, scene, path)[[0, 9]].reshape(2, -1)
        by_class[motion].append((path, frames.mean(axis=1), frames.std(axis=1)))
    return by_class


@pytest.mark.parametrize("frame", [0, 9])
@pytest.mark.parametrize(
    ("law", "whole"),
    [("x_T", 32), ("y_T", 32), ("angle_T", 2 * np.pi), ("size_T", DEFAULT.size_span)],
)
def test_place_angle_and_size_are_uniform_in_every_class(paths, law, whole, frame):
    for motion in MOTIONS:
        values = [getattr(path, law)[frame] / whole for path, _, _ in paths[motion]]
        # 64 tests in all: Bonferroni over them and the alarm of this file.
        assert stats.kstest(values, "uniform").pvalue > ALARM / 64, motion


@pytest.mark.parametrize("statistic", [1, 2], ids=["mean", "sd"])
@pytest.mark.parametrize("frame", [0, 1], ids=["first", "late"])
def test_pixel_mean_and_spread_are_the_same_in_every_class(paths, statistic, frame):
    samples = [[row[statistic][frame] for row in paths[motion]] for motion in MOTIONS]
    assert stats.kruskal(*samples).pvalue > ALARM
    # A difference of one grey level in the mean, or a tenth in the spread, would be found.
    shifted = [samples[0], *samples[2:], [value * 1.1 for value in samples[1]]]
    assert stats.kruskal(*shifted).pvalue < ALARM


def test_a_law_that_is_not_stationary_would_be_found(paths):
    late = [path.x_T[0] / 32 * 0.75 for path, _, _ in paths["left"]]
    assert stats.kstest(late, "uniform").pvalue < ALARM / 64
