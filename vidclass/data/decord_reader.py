"""decord: fast, since it scales inside the decoder; read so that no seek can give a wrong frame.

decord finds frames by counting packets. In files whose key frames are not stored where they are
shown (open groups of pictures, packed B-frames) its random access then gives other frames than
reading in order does. So it seeks only where that saves most of the work, after looking at the
file's packets and comparing frames of both ways; else all frames are decoded in turn.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidclass.data.containers import is_avi, is_turned
from vidclass.data.decoded import Begin, Decoded, Frames, Write, file_facts
from vidclass.data.frame_choice import FrameChoice, choose_frames, frames_of_part, scaled_size
from vidclass.data.pyav_reader import CHUNK_BYTES, open_container, scan, stream_of

__all__ = ["NotForDecord", "decord_errors", "read_decord"]

Int64 = npt.NDArray[np.int64]
SMALL_FILE = 64 * 2**10  # bytes
SPARSE = (
    0.5  # share of the frames up to the last wanted one; seeking that decodes fewer is worth it
)


class NotForDecord(Exception):
    """decord would open this file but show other frames than a player does."""


def decord_errors() -> tuple[type[Exception], ...]:
    """Return what is raised where decord cannot read a file, so that another reader has to."""
    return (_decord().DECORDError, RuntimeError, StopIteration, NotForDecord)


def read_decord(path: Path, choice: FrameChoice, *, begin: Begin, write: Write) -> Decoded:
    """Decode a file; see :func:`vidclass.data.decode.decode_video`.

    Raises:
        Exception: one of :func:`decord_errors`.
        DecodeError: when the part that is wanted lies behind the end of the file.
    """
    known = _header_size(path) if choice.short_side is not None else None
    reader = _open(path, known, choice)
    fps = float(reader.get_avg_fps())
    total = len(reader)
    if is_avi(path):
        # decord counts the 1-byte place holders of packed B-frames and repeats the last frame.
        total = min(total, len(scan(path).times_s))
    if total == 0 or not np.isfinite(fps) or fps <= 0:
        raise NotForDecord
    times_s, each_differs = _times(reader, total, fps)
    first = _three_channels(reader.next().asnumpy())
    height, width = known if known and _resized(known, choice) else first.shape[:2]
    kept_height, kept_width = scaled_size(height, width, choice.short_side)
    if first.shape[:2] != (kept_height, kept_width):
        reader = _open(path, (height, width), choice)
        first = _three_channels(reader.next().asnumpy())
    numbers, kept_fps = choose_frames(times_s, fps, choice)
    wanted, times_wanted = np.unique(numbers, return_counts=True)
    in_order = _InOrder(reader, first, can_skip=each_differs)
    frames: _InOrder | _BySeeking = in_order
    reader_name = "decord"
    if _worth_seeking(wanted, in_order.keys):
        if _seeks_right(path, in_order, total):
            frames = _BySeeking(reader)
        else:
            reader_name = "decord, in order"
            reader = _open(path, (height, width), choice)
            frames = _InOrder(reader, None, can_skip=each_differs)
    begin(height, width)
    step = max(1, CHUNK_BYTES // (kept_height * kept_width * 3))
    for start in range(0, len(wanted), step):
        part = slice(start, start + step)
        chunk = frames.read(wanted[part])
        repeated = (times_wanted[part] > 1).any()
        write(np.repeat(chunk, times_wanted[part], axis=0) if repeated else chunk)
    begins, ends = frames_of_part(times_s, choice)
    in_part = ends - begins if choice.is_part else None
    facts = file_facts(path, total, fps, height, width, in_part=in_part)
    return Decoded(facts, len(numbers), kept_height, kept_width, kept_fps, reader_name)


@functools.cache
def _decord() -> Any:
    """Import decord once, without its log."""
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord


def _open(path: Path, size: tuple[int, int] | None, choice: FrameChoice) -> Any:
    # One thread: the cores are filled by files, and a thread pool a file costs more than it gives.
    return _decord().VideoReader(str(path), num_threads=1, **_resized(size, choice))


def _header_size(path: Path) -> tuple[int, int] | None:
    """Return height and width before the first frame is decoded; None where only that one tells.

    Opening a small file costs more than decoding its first frame, and a turned one's header holds
    the sides before turning.
    """
    if path.stat().st_size < SMALL_FILE or is_turned(path):
        return None
    with open_container(path) as container:
        context = stream_of(container).codec_context
        return (context.height, context.width) if context.height and context.width else None


def _resized(size: tuple[int, int] | None, choice: FrameChoice) -> dict[str, int]:
    """Return what makes decord scale; nothing where it does not have to."""
    if size is None or scaled_size(*size, choice.short_side) == size:
        return {}
    height, width = scaled_size(*size, choice.short_side)
    return {"height": height, "width": width}


def _three_channels(frame: Frames) -> Frames:
    if frame.shape[2] != 3:
        # Widths such as 48: decord takes the padding of FFmpeg's rows for further channels.
        raise NotForDecord
    return frame


def _times(reader: Any, total: int, fps: float) -> tuple[npt.NDArray[np.float64], bool]:
    """Return the time of each frame in seconds, and whether the container gives each its own.

    Even steps where it does not.
    """
    times_s: npt.NDArray[np.float64] = reader.get_frame_timestamp(range(total))[:, 0]
    steps_s = np.diff(times_s)
    if not (np.abs(times_s) < 1e9).all() or (steps_s < 0).any():
        return np.arange(total) / fps, False  # AVI and MPEG-PS leave the time of some packets open
    if times_s[0] < -0.5 / fps:
        raise NotForDecord  # an edit list cuts these frames away; decord shows them
    return times_s.astype(np.float64), bool((steps_s > 0).all())


class _InOrder:
    """Reads frames without ever seeking: what lies between is decoded and dropped.

    Args:
        reader: an open VideoReader.
        first: its first frame where it was read already; going back to it would start the decoder
            anew, half the time of a tiny file.
        can_skip: whether decord can tell frames by their time, and so need not convert those that
            are dropped.
    """

    def __init__(self, reader: Any, first: Frames | None, *, can_skip: bool) -> None:
        self.reader = reader
        self.keys: Int64 = np.array(reader.get_key_indices(), dtype=np.int64)
        self._can_skip = can_skip and len(self.keys) > 0 and self.keys[0] == 0
        self._next = 0 if first is None else 1
        self._first = first

    def read(self, numbers: Int64) -> Frames:
        """Return frames ``numbers``: increasing, and behind those of the call before."""
        parts: list[Frames] = []
        for start, stop in _runs(numbers):
            if start == 0 and self._first is not None:
                parts.append(self._first[None])
                start = 1
            if start < stop:
                self._advance(start)
                parts.append(self.reader.get_batch(range(start, stop)).asnumpy())
                self._next = stop
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _advance(self, number: int) -> None:
        while self._next < number:
            # skip_frames seeks where it would pass a key frame, so that one is read instead.
            border = int(np.searchsorted(self.keys, self._next, side="right"))
            stop = int(self.keys[border]) - 1 if border < len(self.keys) else number
            count = min(number, stop) - self._next
            if self._can_skip and count > 0:
                self.reader.skip_frames(count)
                self._next += count
            else:
                self.reader.next()
                self._next += 1


class _BySeeking:
    """Reads frames by decord's random access."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def read(self, numbers: Int64) -> Frames:
        """Return frames ``numbers``."""
        frames: Frames = self._reader.get_batch(numbers.tolist()).asnumpy()
        return frames


def _runs(numbers: Int64) -> Iterator[tuple[int, int]]:
    """Yield the first of each run of consecutive numbers, and the one behind its last."""
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    for run in np.split(numbers, cuts):
        yield int(run[0]), int(run[-1]) + 1


def _worth_seeking(numbers: Int64, keys: Int64) -> bool:
    """Say whether seeking decodes far fewer frames than reading in order up to the last one."""
    if len(keys) < 2 or keys[0] != 0:
        return False
    group = np.searchsorted(keys, numbers, side="right") - 1
    last_of_group = np.append(np.diff(group) > 0, True)
    decoded = (numbers[last_of_group] - keys[group[last_of_group]] + 1).sum()
    return bool(decoded < SPARSE * (numbers[-1] + 1))


def _seeks_right(path: Path, frames: _InOrder, total: int) -> bool:
    """Say whether random access gives the frames that reading in order gives.

    All key frames have to be stored where they are shown; and three frames around the second key
    frame, read in order (one group of pictures), have to be those that seeking finds.
    """
    packets = scan(path)
    if not packets.keys_in_order or len(packets.times_s) != len(frames.reader):
        return False
    border = int(frames.keys[1])
    looked_at = np.array([n for n in (border - 1, border, border + 2) if n < total])
    in_order = frames.read(looked_at)
    return all(
        np.array_equal(_seek(frames.reader, [number])[0], expected)
        for number, expected in zip(looked_at[::-1].tolist(), in_order[::-1], strict=True)
    )


def _seek(reader: Any, numbers: Sequence[int]) -> Frames:
    frames: Frames = reader.get_batch(numbers).asnumpy()
    return frames
