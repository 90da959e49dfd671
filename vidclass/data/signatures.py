"""What a video looks like, in a few kilobytes: small grey pictures and a perceptual hash of each.

The pictures lie on a grid in time (four a second; more of a short video, fewer of a long one, by
powers of two), so that a copy with another frame rate, size or compression is seen at the same
moments. The hash is pHash (the signs of the 64
lowest DCT coefficients of a 32 x 32 picture), for all pictures at once; tests hold it equal to that
of the package ``imagehash``, which takes one picture at a time and is tens of times slower.

What is hashed is the *difference to the video's own mean picture*: cameras that do not move would
else make all videos of one cage look alike. Where nothing moves, it is the picture itself.

Legend: F pictures, T frames, H height, W width.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import fft

__all__ = [
    "SIDE",
    "Signature",
    "signature_of",
    "grid_frames",
    "perceptual_hash",
    "small_pictures",
]

STEP_S = 0.25
FEWEST, MOST = 16, 64
HASH_SIDE = 32
SIDE = 16
LOW_FREQUENCIES = 8
MOVES = 1.5
"""Standard deviation over time, in grey levels, below which nothing but noise moves."""

UInt8 = npt.NDArray[np.uint8]
UInt64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Signature:
    """What is kept of a video.

    Attributes:
        step_s: seconds between two pictures.
        small_FHW: grey pictures, uint8 ``[F, 16, 16]``.
        hash_F: perceptual hashes, uint64.
        moves: whether anything moves; else the hashes are of the pictures themselves.
    """

    step_s: float
    small_FHW: UInt8
    hash_F: UInt64
    moves: bool


def grid_frames(num_frames: int, fps: float) -> tuple[npt.NDArray[np.int64], float]:
    """Return the frames that are looked at, and the seconds between them.

    Args:
        num_frames: of the video.
        fps: of the video.
    """
    duration_s = num_frames / fps
    step_s = STEP_S
    while duration_s / step_s < FEWEST:
        step_s /= 2
    while duration_s / step_s > MOST:
        step_s *= 2
    count = max(1, int(duration_s / step_s))
    frames = np.rint(np.arange(count) * step_s * fps).astype(np.int64)
    return np.unique(np.minimum(frames, num_frames - 1)), step_s


def small_pictures(frames_FHWC: UInt8, side: int = HASH_SIDE) -> UInt8:
    """Return frames as grey pictures ``[F, side, side]``, each pixel the mean of what it covers."""
    pictures = [
        Image.fromarray(frame).convert("L").resize((side, side), Image.Resampling.BOX)
        for frame in frames_FHWC
    ]
    return np.stack([np.asarray(picture) for picture in pictures])


def perceptual_hash(pictures_FHW: npt.NDArray[np.floating] | UInt8) -> UInt64:
    """Return the pHash of 32 x 32 pictures, uint64 ``[F]``: the first bit is the highest."""
    spectrum = fft.dct(fft.dct(np.asarray(pictures_FHW, np.float64), axis=1), axis=2)
    low_FK = spectrum[:, :LOW_FREQUENCIES, :LOW_FREQUENCIES].reshape(len(spectrum), -1)
    bits_FK = low_FK > np.median(low_FK, axis=1, keepdims=True)
    packed: UInt64 = np.packbits(bits_FK, axis=1).view(">u8")[:, 0].astype(np.uint64)
    return packed


def signature_of(pictures_FHW: UInt8, step_s: float) -> Signature:
    """Return the signature of a video from its 32 x 32 pictures."""
    values = pictures_FHW.astype(np.float64)
    centred = values - values.mean(axis=0)
    moves = bool(len(values) > 1 and centred.std() > MOVES)
    block = HASH_SIDE // SIDE
    small = values.reshape(len(values), SIDE, block, SIDE, block).mean(axis=(2, 4))
    return Signature(
        step_s=step_s,
        small_FHW=small.round().astype(np.uint8),
        hash_F=perceptual_hash(centred if moves else values),
        moves=moves,
    )
