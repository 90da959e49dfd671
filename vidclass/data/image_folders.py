"""A folder of images as a video: one image a frame, in the order of their names.

Images say nothing of time. A file ``frames.json`` in the folder says ``{"fps": 2.0}``; without one,
each frame counts as one second, so that seconds and frames are the same number.
"""

import json
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vidclass.data.decoded import Begin, Decoded, DecodeError, Frames, ProbeResult, Write
from vidclass.data.frame_choice import FrameChoice, choose_frames, frames_of_part, scaled_size

__all__ = [
    "DEFAULT_FPS",
    "IMAGE_SUFFIXES",
    "RATE_FILE",
    "decode_images",
    "image_names",
    "images_fps",
    "natural",
    "probe_images",
]

IMAGE_SUFFIXES = frozenset(".bmp .jpeg .jpg .png .ppm .tif .tiff .webp".split())
RATE_FILE = "frames.json"
DEFAULT_FPS = 1.0
CHUNK_BYTES = 64 * 2**20  # decoded frames held at once


def image_names(folder: Path) -> list[str]:
    """Return the names of the images in ``folder`` in order; ``frame2`` comes before ``frame10``.

    Raises:
        OSError: when the folder cannot be listed.
    """
    names = [path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    return sorted((name for name in names if not name.startswith(".")), key=natural)


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return what to sort names by so that ``frame2`` comes before ``frame10``."""
    parts = re.split(r"([0-9]+)", name)
    # Every other part is a number, since the expression has a group.
    return [(int(part), "") if n % 2 else (0, part) for n, part in enumerate(parts)], name


def images_fps(folder: Path) -> float:
    """Return the rate of a folder of images.

    Raises:
        DecodeError: when ``frames.json`` is there and does not hold one.
    """
    try:
        text = (folder / RATE_FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return DEFAULT_FPS
    except (OSError, UnicodeDecodeError) as error:
        raise DecodeError(f"{RATE_FILE} cannot be read: {error}") from error
    try:
        fps = float(json.loads(text)["fps"])
    except (ValueError, TypeError, KeyError) as error:
        raise DecodeError(f'{RATE_FILE} holds no rate, as in {{"fps": 2.0}}') from error
    if not 0 < fps < float("inf"):
        raise DecodeError(f"{RATE_FILE} holds a rate that is not above 0: {fps:g}")
    return fps


def probe_images(folder: Path) -> ProbeResult:
    """Return what a folder of images is, decoding its first one only.

    Raises:
        DecodeError: with the reason.
    """
    names = _names(folder)
    fps = images_fps(folder)
    height, width = _decoded(folder / names[0]).shape[:2]
    return _facts(folder, names, fps, height, width, in_part=len(names))


def decode_images(folder: Path, choice: FrameChoice, *, begin: Begin, write: Write) -> Decoded:
    """Decode a folder of images chunk by chunk, as a file is decoded.

    Raises:
        DecodeError: with the reason; also when one image is damaged or has another size than the
            first one, since leaving it out would move the labels of all later ones.
    """
    names = _names(folder)
    fps = images_fps(folder)
    times_s = np.arange(len(names)) / fps
    numbers, kept_fps = choose_frames(times_s, fps, choice)
    first, stop = frames_of_part(times_s, choice)
    chunk: list[Frames] = []
    size: tuple[int, int] | None = None
    kept_size = (0, 0)
    for number in numbers.tolist():
        frame = _decoded(folder / names[number])
        height, width = frame.shape[:2]
        if size is None:
            size, shown = (height, width), names[number]
            kept_size = scaled_size(height, width, choice.short_side)
            begin(height, width)
        if size != (height, width):
            raise DecodeError(
                f"its images differ in size: {shown} is {size[1]}x{size[0]}, {names[number]} is "
                f"{width}x{height}"
            )
        chunk.append(_scaled(frame, *kept_size))
        if len(chunk) * chunk[0].nbytes >= CHUNK_BYTES:
            write(np.stack(chunk))
            chunk.clear()
    if chunk:
        write(np.stack(chunk))
    assert size is not None  # choose_frames keeps at least one
    facts = _facts(folder, names, fps, *size, in_part=stop - first)
    return Decoded(facts, len(numbers), *kept_size, kept_fps, "images")


def _names(folder: Path) -> list[str]:
    names = image_names(folder)
    if not names:
        raise DecodeError(f"the folder holds no images ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return names


def _facts(
    folder: Path, names: list[str], fps: float, height: int, width: int, *, in_part: int
) -> ProbeResult:
    size_bytes = sum((folder / name).stat().st_size for name in names)
    bitrate_bps = size_bytes * 8 * fps / len(names)
    return ProbeResult(in_part, fps, width, height, in_part / fps, bitrate_bps)


def _decoded(path: Path) -> Frames:
    """Return an image as upright RGB ``[H, W, 3]``."""
    try:
        with Image.open(path) as image:
            return np.asarray(_rgb(ImageOps.exif_transpose(image)), dtype=np.uint8)
    except (FileNotFoundError, PermissionError):
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DecodeError(f"{path.name} is damaged or no image: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey, which convert() would cut off at 255
        grey = np.asarray(image, dtype=np.int64).clip(0, 65535) >> 8
        image = Image.fromarray(grey.astype(np.uint8))
    return image.convert("RGB")


def _scaled(frame: Frames, height: int, width: int) -> Frames:
    if frame.shape[:2] == (height, width):
        return frame
    image = Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)
