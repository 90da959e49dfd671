import numpy as np
import pandas as pd
import pytest

from vidclass.data.sampling import ClipDataset, FramePositions, Window
from vidclass.errors import UserError
from vidclass.training.floor_features import (
    METADATA_COLUMNS,
    NUM_FRAME_FEATURES,
    frame_features,
)


def frames(num_frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num_frames, 32, 32, 3)).astype(np.uint8)


def test_colour_grid_is_the_mean_of_4_by_4_blocks():
    x_FHWC = frames(3)
    grid = frame_features(x_FHWC)[:, : 8 * 8 * 3].reshape(3, 8, 8, 3)
    np.testing.assert_allclose(
        grid[1, 2, 5], x_FHWC[1, 8:12, 20:24].mean(axis=(0, 1)) / 255, rtol=1e-5
    )


def test_histograms_agree_with_the_arc_tangent():
    x_FHWC = frames(4)
    grey_FHW = x_FHWC.sum(axis=3).astype(float)
    dy, dx = np.zeros_like(grey_FHW), np.zeros_like(grey_FHW)
    dx[:, :, 1:-1] = grey_FHW[:, :, 2:] - grey_FHW[:, :, :-2]
    dy[:, 1:-1] = grey_FHW[:, 2:] - grey_FHW[:, :-2]
    angle_FHW = np.arctan2(dy, dx) % np.pi
    expected = np.zeros((4, 4, 4, 8))
    for (f, row, column), angle in np.ndenumerate(angle_FHW):
        # An angle above a right angle is counted from the other side, as a mirrored slope.
        fold = min(angle, np.pi - angle)
        k = min(int(fold / (np.pi / 8)), 3) + (
            4 if dx[f, row, column] * dy[f, row, column] < 0 else 0
        )
        expected[f, row // 8, column // 8, k] += np.hypot(dx, dy)[f, row, column]
    expected = expected.reshape(4, -1)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(frame_features(x_FHWC)[:, 192:], expected, atol=1e-4)


@pytest.mark.parametrize("value", [0, 255])
def test_a_plain_frame_has_no_gradient(value):
    features = frame_features(np.full((1, 32, 32, 3), value, dtype=np.uint8))
    assert features.shape == (1, NUM_FRAME_FEATURES)
    np.testing.assert_array_equal(features[:, 192:], 0.0)
    np.testing.assert_allclose(features[:, :192], value / 255, rtol=1e-6)


def test_features_are_of_the_window_that_arms_are_scored_on(floor_data):
    store, manifest, features = floor_data
    data = ClipDataset(
        store,
        manifest.assign(label_id=0, group=""),
        window=Window(span_s=0.6, num_frames=6),
        positions=FramePositions((0, 1, 2, 3, 4, 5)),
        input_size=32,
    )
    x_THWC = data.read(np.array([7]), epoch=0, train=False)[0].numpy()
    expected_TD = frame_features(x_THWC)
    np.testing.assert_allclose(features.middle_ND[7], expected_TD[3], rtol=1e-5)
    np.testing.assert_allclose(features.mean_ND[7], expected_TD.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(features.deviation_ND[7], expected_TD.std(axis=0), atol=1e-6)
    differences_TD = np.abs(np.diff(expected_TD, axis=0))
    np.testing.assert_allclose(features.difference_ND[7], differences_TD.mean(axis=0), atol=1e-6)
    assert features.sample_ids == manifest["video_id"].tolist()
    np.testing.assert_array_equal(
        features.metadata_NM, manifest[list(METADATA_COLUMNS)].to_numpy(dtype=float)
    )


def test_a_window_of_one_frame_has_no_differences(floor_data, make_floor_features):
    store, manifest, _ = floor_data
    features = make_floor_features(
        store, manifest[["video_id"]], manifest, Window(span_s=0.1, num_frames=1)
    )
    assert not features.difference_ND.any()
    np.testing.assert_array_equal(features.mean_ND, features.middle_ND)


def test_refuses_frames_that_are_too_small(store, make_floor_features):
    manifest = pd.DataFrame({"video_id": ["v000"], **dict.fromkeys(METADATA_COLUMNS, 1.0)})
    with pytest.raises(UserError, match="never scaled up"):
        make_floor_features(
            store, manifest[["video_id"]], manifest, Window(span_s=0.6, num_frames=6)
        )
