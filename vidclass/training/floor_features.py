"""What the floors know of a video: its file's figures, and fixed features of frames of its window.

The frames are those of the centred window that single-view arms are scored on. Their features are
those of a frozen backbone, where the study names one for its floors; or nothing is learned or
downloaded: colours and gradients of the frame, cut to 32 x 32 by the study's geometry.

Legend: N samples, T frames, F frames of a chunk, H height, W width, C channels, D features,
M figures of a file.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vidclass.data.feature_dataset import FeatureDataset
from vidclass.data.feature_store import FeatureStore
from vidclass.data.frame_store import FrameStore
from vidclass.data.sampling import ClipDataset, FramePositions, Geometry, Window

__all__ = [
    "METADATA_COLUMNS",
    "NUM_FRAME_FEATURES",
    "FloorFeatures",
    "floor_features",
    "frame_features",
]

Float32 = npt.NDArray[np.float32]

METADATA_COLUMNS = ("width", "height", "duration_s", "num_frames", "fps", "bitrate_bps")
NUM_BAG_FRAMES = 8
FRAME_SIZE = 32
COLOUR_CELLS = 8
GRADIENT_CELLS = 4
NUM_ORIENTATIONS = 8
NUM_FRAME_FEATURES = COLOUR_CELLS**2 * 3 + GRADIENT_CELLS**2 * NUM_ORIENTATIONS
CHUNK_SAMPLES = 128  # temporaries of a few tens of MB

_PIXEL = np.arange(FRAME_SIZE) * GRADIENT_CELLS // FRAME_SIZE
_CELL_HW = _PIXEL[:, None] * GRADIENT_CELLS + _PIXEL[None, :]


@dataclass(frozen=True)
class FloorFeatures:
    """The inputs of all floors, one row a sample.

    Args:
        sample_ids: of the rows.
        metadata_NM: the columns ``METADATA_COLUMNS`` of its video in the manifest.
        middle_ND: features of the window's middle frame.
        mean_ND: mean over the bag's frames.
        deviation_ND: standard deviation over the bag's frames.
        difference_ND: mean absolute difference between one frame of the bag and the next.
    """

    sample_ids: list[str]
    metadata_NM: npt.NDArray[np.float64]
    middle_ND: Float32
    mean_ND: Float32
    deviation_ND: Float32
    difference_ND: Float32


def frame_features(frames_FHWC: npt.NDArray[np.uint8]) -> Float32:
    """Return the features of frames, ``[F, 320]``.

    An 8 x 8 grid of mean colours (0..1), then 4 x 4 cells of 8 unsigned gradient orientations,
    weighted by magnitude and scaled to unit length a frame (Dalal and Triggs, 2005, without
    blocks).

    Args:
        frames_FHWC: uint8 ``[F, 32, 32, 3]``.
    """
    num_frames = len(frames_FHWC)
    pixels = frames_FHWC.astype(np.float32)
    step = FRAME_SIZE // COLOUR_CELLS
    # Rows first, then columns: long contiguous sums instead of many short ones.
    rows = pixels.reshape(num_frames, COLOUR_CELLS, step, -1).sum(axis=2)
    grid = rows.reshape(num_frames, COLOUR_CELLS, COLOUR_CELLS, step, 3).sum(axis=3)
    grid /= 255.0 * step**2

    # Sums of whole numbers are exact, and so is the comparison of slopes below.
    grey_FHW = pixels[..., 0] + pixels[..., 1] + pixels[..., 2]
    dx, dy = np.zeros_like(grey_FHW), np.zeros_like(grey_FHW)
    np.subtract(grey_FHW[:, :, 2:], grey_FHW[:, :, :-2], out=dx[:, :, 1:-1])
    np.subtract(grey_FHW[:, 2:], grey_FHW[:, :-2], out=dy[:, 1:-1])
    # The bin of an angle by comparing slopes, which is several times faster than its arc tangent.
    steep, flat = np.abs(dy), np.abs(dx)
    bin_FHW = (dx * dy < 0).astype(np.uint8) * np.uint8(NUM_ORIENTATIONS // 2)
    for k in range(1, NUM_ORIENTATIONS // 2):
        bin_FHW += steep >= np.float32(np.tan(np.pi * k / NUM_ORIENTATIONS)) * flat
    num_bins = GRADIENT_CELLS**2 * NUM_ORIENTATIONS
    first_F11 = np.arange(num_frames)[:, None, None] * num_bins
    place_FHW = first_F11 + _CELL_HW * NUM_ORIENTATIONS + bin_FHW
    weight_FHW = np.sqrt(dx * dx + dy * dy)
    histogram = np.bincount(place_FHW.ravel(), weight_FHW.ravel(), minlength=num_frames * num_bins)
    histogram_FB = histogram.reshape(num_frames, num_bins)
    length_F1 = np.linalg.norm(histogram_FB, axis=1, keepdims=True) + 1e-6
    return np.hstack([grid.reshape(num_frames, -1), histogram_FB / length_F1]).astype(np.float32)


def floor_features(
    store: FrameStore,
    samples: pd.DataFrame,
    manifest: pd.DataFrame,
    window: Window,
    *,
    geometry: Geometry = "crop",
    encoded: FeatureStore | None = None,
) -> FloorFeatures:
    """Compute the inputs of all floors, once for a study and window.

    Args:
        store: holds the frames of all videos, 32 pixels or more a side.
        samples: a sample table (:mod:`vidclass.data.samples`), labels apart; it gives the order.
        manifest: ``video_id`` and ``METADATA_COLUMNS`` of its videos.
        window: the study's.
        geometry: the study's.
        encoded: what a frozen backbone made of those frames; None: colours and gradients.

    Raises:
        UserError: when a stored frame is smaller than 32 pixels, or a video is not stored.
    """
    num_bag = min(NUM_BAG_FRAMES, window.num_frames)
    bag = np.linspace(0, window.num_frames - 1, num_bag).round().astype(int)
    table = samples.drop(columns="label_ids", errors="ignore").assign(label_id=0, group="")
    settings: dict[str, Any] = {
        "window": window,
        "positions": FramePositions((*bag.tolist(), window.num_frames // 2)),
        "input_size": FRAME_SIZE,
        "geometry": geometry,
    }
    if encoded is None:
        data, num_features = ClipDataset(store, table, **settings), NUM_FRAME_FEATURES
    else:
        data = FeatureDataset(store, encoded, table, **settings)
        num_features = encoded.num_features
    num_samples, files = data.num_samples, manifest.set_index("video_id")
    middle_ND, mean_ND, deviation_ND, difference_ND = (
        np.empty((num_samples, num_features), dtype=np.float32) for _ in range(4)
    )
    for start in range(0, num_samples, CHUNK_SAMPLES):
        rows = np.arange(start, min(start + CHUNK_SAMPLES, num_samples))
        features_BTD = data.read(rows, epoch=0, train=False).numpy()
        if encoded is None:
            frames = features_BTD.reshape(-1, FRAME_SIZE, FRAME_SIZE, 3)
            features_BTD = frame_features(frames).reshape(len(rows), num_bag + 1, num_features)
        bag_BTD = features_BTD[:, :-1]
        middle_ND[rows] = features_BTD[:, -1]
        mean_ND[rows] = bag_BTD.mean(axis=1)
        deviation_ND[rows] = bag_BTD.std(axis=1)
        # A window of a single frame has no differences.
        steps_BTD = np.abs(np.diff(bag_BTD, axis=1))
        difference_ND[rows] = steps_BTD.mean(axis=1) if num_bag > 1 else 0.0
    return FloorFeatures(
        sample_ids=data.samples.sample_ids,
        metadata_NM=files.loc[data.samples.video_ids, list(METADATA_COLUMNS)].to_numpy(np.float64),
        middle_ND=middle_ND,
        mean_ND=mean_ND,
        deviation_ND=deviation_ND,
        difference_ND=difference_ND,
    )
