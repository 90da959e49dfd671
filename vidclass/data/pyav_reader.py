"""PyAV: packets of any file, and frames of those that decord gets wrong or gives up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vidclass.data.containers import is_avi
from vidclass.data.decoded import (
    Begin,
    Decoded,
    DecodeError,
    Frames,
    ProbeResult,
    Write,
    file_facts,
)
from vidclass.data.frame_choice import FrameChoice, choose_frames, frames_of_part, scaled_size

__all__ = ["CHUNK_BYTES", "Scan", "open_container", "probe_pyav", "read_pyav", "scan", "stream_of"]

CHUNK_BYTES = 64 * 2**20  # decoded frames held at once, so that an hour of video fits in memory
COMPLETE = 0.95  # share of a file's frames that must decode; below, it counts as damaged


@dataclass(frozen=True)
class Scan:
    """When each frame is shown, as the packets say; nothing was decoded.

    Attributes:
        times_s: sorted.
        fps: averaged over the file.
        keys_in_order: whether each key frame is stored where it is shown. Where not (open groups
            of pictures), frames that are shown before a key frame need what lies before it.
    """

    times_s: npt.NDArray[np.float64]
    fps: float
    keys_in_order: bool


def stream_of(container: Any) -> Any:
    """Return the video stream of an open container, to be decoded by one thread.

    Raises:
        DecodeError: when there is none.
    """
    stream = container.streams.best("video")
    if stream is None:
        raise DecodeError("no video stream (audio only)")
    stream.codec_context.thread_count = 1
    return stream


def open_container(path: Path) -> Any:
    """Open a file.

    Raises:
        DecodeError: when FFmpeg knows no such format.
    """
    try:
        return av.open(str(path))
    except av.error.FFmpegError as error:
        raise DecodeError(f"not a video that FFmpeg can open: {error.strerror}") from error


def scan(path: Path) -> Scan:
    """Read the packets of a file.

    Raises:
        DecodeError: also when the header of an AVI names more frames than there are packets.
    """
    with open_container(path) as container:
        stream = stream_of(container)
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
        try:
            packets = [packet for packet in container.demux(stream) if packet.size]
        except av.error.FFmpegError as error:
            raise DecodeError(f"damaged or truncated: {error.strerror}") from error
        if is_avi(path):
            _check_complete(len(packets), stream.frames)
        # 1-byte packets hold the place of a B-frame that was packed into the packet before.
        shown = [packet for packet in packets if packet.size > 1 and not packet.is_discard]
        times = [float(packet.pts * packet.time_base) for packet in shown if packet.pts is not None]
        keys = [number for number, packet in enumerate(shown) if packet.is_keyframe]
    if not rate:
        raise DecodeError("the file has no frame rate")
    if not shown:
        raise DecodeError("the video stream holds no frames")
    if len(times) < len(shown):
        return Scan(np.arange(len(shown)) / float(rate), float(rate), keys_in_order=False)
    place = np.argsort(np.argsort(times, kind="stable"), kind="stable")
    in_order = bool((place[keys] == keys).all())
    return Scan(np.sort(np.array(times)), float(rate), keys_in_order=in_order)


def probe_pyav(path: Path) -> ProbeResult:
    """Return what a file is, decoding its first frame only.

    Raises:
        DecodeError: with the reason.
    """
    packets = scan(path)
    first = next(_decoded_frames(path), None)
    if first is None:
        raise DecodeError("no frame of the video stream decodes")
    height, width = _upright(first).shape[:2]
    return file_facts(path, len(packets.times_s), packets.fps, height, width)


def read_pyav(path: Path, choice: FrameChoice, *, begin: Begin, write: Write) -> Decoded:
    """Decode a file in order; see :func:`vidclass.data.decode.decode_video`."""
    packets = scan(path)
    numbers, kept_fps = choose_frames(packets.times_s, packets.fps, choice)
    wanted = iter(numbers.tolist())
    following = next(wanted, None)
    height = width = kept_height = kept_width = seen = written = 0
    chunk: list[Frames] = []
    for frame in _decoded_frames(path):
        if seen == 0:
            height, width = _upright(frame).shape[:2]
            kept_height, kept_width = scaled_size(height, width, choice.short_side)
            begin(height, width)
        while seen == following:  # a rate wants a frame twice where the file has a gap
            chunk.append(_upright(frame, kept_height, kept_width))
            following = next(wanted, None)
        seen += 1
        if len(chunk) * kept_height * kept_width * 3 >= CHUNK_BYTES:
            write(np.stack(chunk))
            written += len(chunk)
            chunk.clear()
        if following is None and choice.is_part:
            num_frames = len(packets.times_s)  # what follows the part does not matter
            break
    else:
        _check_complete(seen, len(packets.times_s))
        num_frames = seen
    if chunk:
        write(np.stack(chunk))
        written += len(chunk)
    if not written:
        raise DecodeError("no frame of the part decodes")
    first, stop = frames_of_part(packets.times_s, choice)
    in_part = min(stop, num_frames) - first if choice.is_part else None
    facts = file_facts(path, num_frames, packets.fps, height, width, in_part=in_part)
    return Decoded(facts, written, kept_height, kept_width, kept_fps, "pyav")


def _check_complete(found: int, expected: int) -> None:
    if found < COMPLETE * expected:
        raise DecodeError(f"damaged or truncated: {found} of {expected} frames decode")


def _decoded_frames(path: Path) -> Iterator[Any]:
    with open_container(path) as container:
        try:
            yield from container.decode(stream_of(container))
        except av.error.FFmpegError:
            return  # the caller counts what came


def _upright(frame: Any, height: int | None = None, width: int | None = None) -> Frames:
    """Return a frame as upright RGB ``[H, W, 3]`` of the given size, scaled as decord does."""
    quarter_turns = round(frame.rotation / 90) % 4
    if height is not None and quarter_turns % 2:
        height, width = width, height
    image = frame.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR")
    return np.rot90(image.to_ndarray(), k=quarter_turns)
