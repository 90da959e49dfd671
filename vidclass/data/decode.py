"""Probing and decoding of one video file, with every failure given a name.

decord decodes, with its own resize (scaling inside the decoder is what makes it fast, see
docs). PyAV takes over where decord is wrong or gives up: AV1, transport streams, raw streams, and
frames that an edit list cuts away. All frames are upright RGB: rotation in the metadata is applied.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vidclass.data.containers import is_avi, is_turned, missing_bytes

__all__ = [
    "DECODER_VERSION",
    "DecodeError",
    "Decoded",
    "ProbeResult",
    "choose_frames",
    "decode",
    "decode_video",
    "probe",
    "scaled_size",
]

# Part of every store's key. Raise it when the same file and options would give other bytes.
DECODER_VERSION = "decord-0.6/1"

Frames = npt.NDArray[np.uint8]
CHUNK_BYTES = 64 * 2**20  # decoded frames held at once, so that an hour of video fits in memory
SMALL_FILE = 64 * 2**10  # bytes
COMPLETE = 0.95  # share of a file's frames that must decode; below, it counts as damaged


class DecodeError(Exception):
    """A file that cannot be decoded, and why, in words for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _NotForDecord(Exception):
    """decord would open this file but show other frames than a player does."""


@dataclass(frozen=True)
class ProbeResult:
    """What a file is: upright width and height in pixels, fps averaged over the file."""

    num_frames: int
    fps: float
    width: int
    height: int
    duration_s: float
    bitrate_bps: float


@dataclass(frozen=True)
class Decoded:
    """What was decoded: the file, and the frames that were kept of it."""

    probe: ProbeResult
    num_frames: int
    height: int
    width: int
    fps: float


@dataclass(frozen=True)
class FrameChoice:
    """Size and rate to decode at; see :class:`vidclass.data.frame_store.StoreOptions`."""

    short_side: int | None = None
    fps: float | None = None
    stride: int | None = None
    num_frames: int | None = None


def scaled_size(height: int, width: int, short_side: int | None) -> tuple[int, int]:
    """Return height and width with the short side scaled down to ``short_side``, never up."""
    if short_side is None or min(height, width) <= short_side:
        return height, width
    factor = short_side / min(height, width)
    return round(height * factor), round(width * factor)


def choose_frames(
    times_s: npt.NDArray[np.float64], fps: float, choice: FrameChoice
) -> tuple[npt.NDArray[np.int64], float]:
    """Return which of the frames shown at ``times_s`` are kept, and the rate of those.

    A rate is met by the nearest frame in time, so that files of varying rate keep their speed. A
    file slower than the rate keeps all its frames and its own rate.
    """
    total = len(times_s)
    if choice.stride is not None:
        return np.arange(0, total, choice.stride), fps / choice.stride
    if choice.num_frames is not None and choice.num_frames < total:
        middles = (np.arange(choice.num_frames) + 0.5) * total / choice.num_frames
        return middles.astype(np.int64), fps * choice.num_frames / total
    if choice.fps is None or choice.fps >= fps:
        return np.arange(total), fps
    span_s = times_s[-1] - times_s[0]
    wanted = times_s[0] + np.arange(int(span_s * choice.fps + 1e-6) + 1) / choice.fps
    middles = (times_s[1:] + times_s[:-1]) / 2  # frame k is nearest between two middles
    return np.searchsorted(middles, wanted - 1e-6), choice.fps


def decode(
    path: Path | str,
    short_side: int | None = None,
    fps: float | None = None,
    stride: int | None = None,
    num_frames: int | None = None,
) -> tuple[Frames, float]:
    """Return the frames of a file, uint8 RGB ``[T, H, W, 3]``, and their rate.

    Raises:
        DecodeError: with the reason.
    """
    chunks: list[Frames] = []
    choice = FrameChoice(short_side, fps, stride, num_frames)
    decoded = decode_video(Path(path), choice, begin=chunks.clear, write=chunks.append)
    return np.concatenate(chunks), decoded.fps


def decode_video(
    path: Path,
    choice: FrameChoice,
    *,
    begin: Callable[[], object],
    write: Callable[[Frames], object],
    only_pyav: bool = False,
) -> Decoded:
    """Decode a file chunk by chunk.

    Args:
        path: the file.
        choice: size and rate.
        begin: called before the first chunk, and again if another reader starts over.
        write: called with each chunk, uint8 ``[t, H, W, 3]``.
        only_pyav: leave decord out, for a file that made it crash.

    Raises:
        DecodeError: with the reason; chunks that were written before it are void.
    """
    _check_file(path)
    if not only_pyav:
        try:
            begin()
            return _read_decord(path, choice, write)
        except (_decord().DECORDError, RuntimeError, _NotForDecord):
            pass  # PyAV reads it, or says why nobody can
    begin()
    return _read_pyav(path, choice, write)


def probe(path: Path | str) -> ProbeResult:
    """Return what a file is, decoding its first frame only.

    Raises:
        DecodeError: with the reason.
    """
    path = Path(path)
    _check_file(path)
    scan = _scan(path)
    first = next(_pyav_frames(path), None)
    if first is None:
        raise DecodeError("no frame of the video stream decodes")
    height, width = _upright(first).shape[:2]
    return _result(path, len(scan.times_s), scan.fps, height, width)


def _check_file(path: Path) -> None:
    try:
        if path.stat().st_size == 0:
            raise DecodeError("the file is empty (0 bytes)")
        missing = missing_bytes(path)
    except OSError as error:
        raise DecodeError(f"the file cannot be read: {error.strerror}") from error
    if missing:
        raise DecodeError(f"truncated: the container says that {missing} more bytes follow")


def _result(path: Path, num_frames: int, fps: float, height: int, width: int) -> ProbeResult:
    duration_s = num_frames / fps
    bitrate_bps = path.stat().st_size * 8 / duration_s
    return ProbeResult(num_frames, fps, width, height, duration_s, bitrate_bps)


def _check_complete(found: int, expected: int) -> None:
    if found < COMPLETE * expected:
        raise DecodeError(f"damaged or truncated: {found} of {expected} frames decode")


@functools.cache
def _decord() -> Any:
    """Import decord once, without its log."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _read_decord(path: Path, choice: FrameChoice, write: Callable[[Frames], object]) -> Decoded:
    decord = _decord()
    # One thread: the cores are filled by files, and a thread pool a file costs more than it gives.
    known = _header_size(path) if choice.short_side is not None else None
    sized = _resize_arguments(known, choice)
    reader = decord.VideoReader(str(path), num_threads=1, **sized)
    fps = float(reader.get_avg_fps())
    total = len(reader)
    if is_avi(path):
        # decord counts the 1-byte place holders of packed B-frames and repeats the last frame.
        total = min(total, len(_scan(path).times_s))
    if total == 0 or not np.isfinite(fps) or fps <= 0:
        raise _NotForDecord
    times_s = _decord_times(reader, total, fps)
    first = reader.next().asnumpy()
    height, width = known if sized and known else first.shape[:2]
    kept_height, kept_width = scaled_size(height, width, choice.short_side)
    if first.shape[:2] != (kept_height, kept_width):
        again = _resize_arguments((height, width), choice)
        reader = decord.VideoReader(str(path), num_threads=1, **again)
        first = None
    numbers, kept_fps = choose_frames(times_s, fps, choice)
    step = max(1, CHUNK_BYTES // (kept_height * kept_width * 3))
    written = 0
    if numbers[0] == 0 and first is not None:
        # Going back to frame 0 would start the decoder anew, half the time of a tiny file.
        write(first[None])
        written = 1
    for start in range(written, len(numbers), step):
        write(reader.get_batch(numbers[start : start + step].tolist()).asnumpy())
    facts = _result(path, total, fps, height, width)
    return Decoded(facts, len(numbers), kept_height, kept_width, kept_fps)


def _header_size(path: Path) -> tuple[int, int] | None:
    """Return height and width before the first frame is decoded; None where only that one tells.

    Opening a small file costs more than decoding its first frame, and a turned one's header holds
    the sides before turning.
    """
    if path.stat().st_size < SMALL_FILE or is_turned(path):
        return None
    with _open(path) as container:
        context = _video_stream(container).codec_context
        return (context.height, context.width) if context.height and context.width else None


def _resize_arguments(size: tuple[int, int] | None, choice: FrameChoice) -> dict[str, int]:
    """Return what makes decord scale; nothing where it does not have to."""
    if size is None or scaled_size(*size, choice.short_side) == size:
        return {}
    height, width = scaled_size(*size, choice.short_side)
    return {"height": height, "width": width}


def _decord_times(reader: Any, total: int, fps: float) -> npt.NDArray[np.float64]:
    """Return the time of each frame in seconds; even steps where the container has none."""
    times_s: npt.NDArray[np.float64] = reader.get_frame_timestamp(range(total))[:, 0]
    if not (np.abs(times_s) < 1e9).all() or (np.diff(times_s) < 0).any():
        return np.arange(total) / fps  # AVI and MPEG-PS leave the time of some packets open
    if times_s[0] < -0.5 / fps:
        raise _NotForDecord  # an edit list cuts these frames away; decord shows them
    return times_s.astype(np.float64)


@dataclass(frozen=True)
class _Scan:
    """When each frame is shown, as the packets say; nothing was decoded."""

    times_s: npt.NDArray[np.float64]
    fps: float


def _video_stream(container: Any) -> Any:
    stream = container.streams.best("video")
    if stream is None:
        raise DecodeError("no video stream (audio only)")
    stream.codec_context.thread_count = 1
    return stream


def _open(path: Path) -> Any:
    try:
        return av.open(str(path))
    except av.error.FFmpegError as error:
        raise DecodeError(f"not a video that FFmpeg can open: {error.strerror}") from error


def _scan(path: Path) -> _Scan:
    """Read the packets of a file.

    Raises:
        DecodeError: also when the header of an AVI names more frames than there are packets.
    """
    with _open(path) as container:
        stream = _video_stream(container)
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
    if not rate:
        raise DecodeError("the file has no frame rate")
    if not shown:
        raise DecodeError("the video stream holds no frames")
    if len(times) < len(shown):
        return _Scan(np.arange(len(shown)) / float(rate), float(rate))
    return _Scan(np.sort(np.array(times)), float(rate))


def _pyav_frames(path: Path) -> Iterator[Any]:
    with _open(path) as container:
        try:
            yield from container.decode(_video_stream(container))
        except av.error.FFmpegError:
            return  # the caller counts what came


def _upright(frame: Any, height: int | None = None, width: int | None = None) -> Frames:
    """Return a frame as upright RGB ``[H, W, 3]`` of the given size, scaled as decord does."""
    quarter_turns = round(frame.rotation / 90) % 4
    if height is not None and quarter_turns % 2:
        height, width = width, height
    image = frame.reformat(width=width, height=height, format="rgb24", interpolation="BILINEAR")
    return np.rot90(image.to_ndarray(), k=quarter_turns)


def _read_pyav(path: Path, choice: FrameChoice, write: Callable[[Frames], object]) -> Decoded:
    scan = _scan(path)
    numbers, kept_fps = choose_frames(scan.times_s, scan.fps, choice)
    wanted = iter(numbers.tolist())
    following = next(wanted, None)
    height = width = kept_height = kept_width = seen = written = 0
    chunk: list[Frames] = []
    for frame in _pyav_frames(path):
        if seen == 0:
            height, width = _upright(frame).shape[:2]
            kept_height, kept_width = scaled_size(height, width, choice.short_side)
        if seen == following:
            chunk.append(_upright(frame, kept_height, kept_width))
            following = next(wanted, None)
        seen += 1
        if len(chunk) * kept_height * kept_width * 3 >= CHUNK_BYTES:
            write(np.stack(chunk))
            written += len(chunk)
            chunk.clear()
    _check_complete(seen, len(scan.times_s))
    if chunk:
        write(np.stack(chunk))
        written += len(chunk)
    facts = _result(path, seen, scan.fps, height, width)
    return Decoded(facts, written, kept_height, kept_width, kept_fps)
