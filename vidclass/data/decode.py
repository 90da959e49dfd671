"""Probing and decoding of one video, with every failure given a name.

decord decodes, with its own resize (scaling inside the decoder is what makes it fast, see
docs). PyAV takes over where decord is wrong or gives up: AV1, transport streams, raw streams, and
frames that an edit list cuts away. A folder of images is a video too. All frames are upright RGB:
rotation in the metadata is applied.
"""

from pathlib import Path

import numpy as np

from vidclass.data.containers import missing_bytes
from vidclass.data.decoded import Begin, Decoded, DecodeError, Frames, ProbeResult, Write
from vidclass.data.decord_reader import decord_errors, read_decord
from vidclass.data.frame_choice import FrameChoice, choose_frames, scaled_size
from vidclass.data.pyav_reader import probe_pyav, read_pyav

__all__ = [
    "DECODER_VERSION",
    "DecodeError",
    "Decoded",
    "FrameChoice",
    "Frames",
    "ProbeResult",
    "choose_frames",
    "decode",
    "decode_video",
    "probe",
    "scaled_size",
]

# Part of every store's key. Raise it when the same file and options would give other bytes.
DECODER_VERSION = "decord-0.6/1"


class _NotFromTheFile(Exception):
    """Carries what ``begin`` or ``write`` raised past the handlers of reading errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def decode(
    path: Path | str,
    short_side: int | None = None,
    fps: float | None = None,
    stride: int | None = None,
    num_frames: int | None = None,
    start_s: float | None = None,
    end_s: float | None = None,
) -> tuple[Frames, float]:
    """Return the frames of a file, uint8 RGB ``[T, H, W, 3]``, and their rate.

    Raises:
        DecodeError: with the reason.
    """
    chunks: list[Frames] = []
    choice = FrameChoice(short_side, fps, stride, num_frames, start_s, end_s)
    decoded = decode_video(Path(path), choice, begin=lambda *_: chunks.clear(), write=chunks.append)
    return np.concatenate(chunks), decoded.fps


def decode_video(
    path: Path, choice: FrameChoice, *, begin: Begin, write: Write, only_pyav: bool = False
) -> Decoded:
    """Decode a file chunk by chunk.

    Args:
        path: the file, or a folder of images.
        choice: size, rate and part.
        begin: called with height and width of the file before the first chunk, and again if
            another reader starts over.
        write: called with each chunk, uint8 ``[t, H, W, 3]``.
        only_pyav: leave decord out, for a file that made it crash.

    Raises:
        DecodeError: with the reason, also when the file vanishes meanwhile; chunks that were
            written before it are void. What ``begin`` and ``write`` raise passes through.
    """

    def guarded_begin(height: int, width: int) -> None:
        try:
            begin(height, width)
        except Exception as error:
            raise _NotFromTheFile(error) from error

    def guarded_write(frames: Frames) -> None:
        try:
            write(frames)
        except Exception as error:
            raise _NotFromTheFile(error) from error

    try:
        return _decode(path, choice, guarded_begin, guarded_write, only_pyav)
    except _NotFromTheFile as carrier:
        raise carrier.error from None
    except OSError as error:
        raise _unreadable(error) from error


def _decode(
    path: Path, choice: FrameChoice, begin: Begin, write: Write, only_pyav: bool
) -> Decoded:
    if path.is_dir():
        from vidclass.data.image_folders import decode_images

        return decode_images(path, choice, begin=begin, write=write)
    _check_file(path)
    if not only_pyav:
        try:
            return read_decord(path, choice, begin=begin, write=write)
        except decord_errors():
            pass  # PyAV reads it, or says why nobody can
    return read_pyav(path, choice, begin=begin, write=write)


def probe(path: Path | str) -> ProbeResult:
    """Return what a file or a folder of images is, decoding its first frame only.

    Raises:
        DecodeError: with the reason.
    """
    path = Path(path)
    try:
        if path.is_dir():
            from vidclass.data.image_folders import probe_images

            return probe_images(path)
        _check_file(path)
        return probe_pyav(path)
    except OSError as error:
        raise _unreadable(error) from error


def _check_file(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise DecodeError("its name is not valid UTF-8 text: rename the file") from error
    if path.stat().st_size == 0:
        raise DecodeError("the file is empty (0 bytes)")
    missing = missing_bytes(path)
    if missing:
        raise DecodeError(f"truncated: the container says that {missing} more bytes follow")


def _unreadable(error: OSError) -> DecodeError:
    return DecodeError(f"the file cannot be read: {error.strerror or error}")
