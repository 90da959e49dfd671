"""A single video as a frame store would give it, without a store: for models in use."""

from pathlib import Path

import numpy as np

from vidclass.data.decode import decode_video
from vidclass.data.decoded import Frames
from vidclass.data.frame_changes import FrameChanges
from vidclass.data.jpeg import through_jpeg
from vidclass.data.store_options import StoreOptions
from vidclass.data.video_frames import in_three_channels

__all__ = ["read_as_stored"]


def read_as_stored(
    path: Path | str,
    options: StoreOptions,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
) -> tuple[Frames, float]:
    """Return the frames of a video, uint8 ``[T, H, W, 3]``, and their rate.

    They are what ``FrameStore.frames`` gives of a store with these options: greyscale, lighting,
    masks and JPEG's losses included.

    Args:
        path: the file.
        options: the store's.
        start_s: where the video begins in the file, if not at its first frame.
        end_s: where it ends, if not with the file.

    Raises:
        DecodeError: with the reason.
    """
    chunks: list[Frames] = []
    changes = FrameChanges(options, chunks.append)

    def begin(height: int, width: int) -> None:
        chunks.clear()
        changes.begin(height, width)

    choice = options.choice(start_s, end_s)
    decoded = decode_video(Path(path), choice, begin=begin, write=changes.write)
    changes.end()
    frames = np.concatenate(chunks)
    if options.format == "jpeg":
        return through_jpeg(frames, options.jpeg_quality), decoded.fps
    return in_three_channels(frames) if options.greyscale else frames, decoded.fps
