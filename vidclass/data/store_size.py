"""How large a frame store will be, before anything is decoded."""

import numpy as np
import pandas as pd

from vidclass.data.decode import decode, probe
from vidclass.data.decoded import DecodeError
from vidclass.data.frame_changes import to_grey
from vidclass.data.frame_choice import choose_frames, scaled_size
from vidclass.data.frame_store import StoreOptions
from vidclass.data.jpeg import encode_frame
from vidclass.data.manifest import segments
from vidclass.data.shards import Source

__all__ = ["sources", "store_bytes"]

NUM_PROBED = 32  # files that the estimate looks at


def store_bytes(videos: pd.DataFrame, options: StoreOptions) -> float:
    """Return about how many bytes the frames of ``videos`` will take, from a few files.

    Their headers tell the raw size; of what JPEG makes of it, their first frames.

    Args:
        videos: rows of a manifest with ``size_bytes``.
        options: of the store.
    """
    sample = videos.sample(min(NUM_PROBED, len(videos)), random_state=0)
    stored = compressed = 0.0
    for row, source in zip(sample.itertuples(), sources(sample), strict=True):
        try:
            found = probe(source.path)
            times_s = np.arange(found.num_frames) / found.fps
            numbers, _ = choose_frames(
                times_s, found.fps, options.choice(source.start_s, source.end_s)
            )
            height, width = scaled_size(found.height, found.width, options.short_side)
            raw = float(len(numbers) * height * width * options.num_channels)
            stored += raw * _jpeg_share(source.path, options)
        except DecodeError:
            continue
        compressed += float(row.size_bytes)  # type: ignore[arg-type]
    return stored / compressed * float(videos["size_bytes"].sum()) if compressed else 0.0


def sources(videos: pd.DataFrame) -> list[Source]:
    """Return what to decode for each row of a manifest."""
    part = segments(videos)
    part = part.astype(object).where(part.notna(), None)
    rows = zip(videos["video_id"], videos["path"], part["start_s"], part["end_s"], strict=True)
    return [Source(*row) for row in rows]


def _jpeg_share(path: str, options: StoreOptions) -> float:
    """Return how many bytes are stored for each of a raw frame, of the file's first one."""
    if options.format == "raw":
        return 1.0
    frames, _ = decode(path, short_side=options.short_side, end_s=0.0)
    frame = to_grey(frames)[0] if options.greyscale else frames[0]
    return len(encode_frame(frame, options.jpeg_quality)) / int(frame.size)
